"""Checkpoints that attack their reader: each kind known, read by every way in; nothing runs and nothing crashes."""
import contextlib
import copyreg
import importlib.util
import os
import pickle
import resource
import struct
import sys
import traceback
import types
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.hooks import EMAHook
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS
from mmengine.runner import Runner
from torch import nn
from torch.jit._pickle import build_intlist
from torch.utils.data import DataLoader

from mmpartref.engine.hooks.safe_checkpoint_hook import PREFIX, load_from_checked
from mmpartref.errors import WeightsError
from mmpartref.models.weights import allowed_types, checkpoint_content
from mmpartref.models.weights.allowed_types import FORCE_CHECK, FORCE_NO_CHECK
from mmpartref.models.weights.checkpoint_content import pack
from mmpartref.models.weights.state_files import read_checkpoint, read_tensors


def load_pickle_programs() -> types.ModuleType:
    """Load the helper of the generated programs; ``tests`` is not a package."""
    path = Path(__file__).parents[2] / 'robustness/pickle_programs.py'
    spec = importlib.util.spec_from_file_location('pickle_programs', path)
    module = importlib.util.module_from_spec(spec)
    sys.modules['pickle_programs'] = module
    spec.loader.exec_module(module)
    return module


pickle_programs = load_pickle_programs()
named, text, integer, WRITERS = (getattr(pickle_programs, each) for each in ('named', 'text', 'integer', 'WRITERS'))
WAYS = {
    'read_checkpoint': read_checkpoint,
    'read_tensors': read_tensors,
    'load_from_checked': lambda path: load_from_checked(f'{PREFIX}{path}'),
}
NONE, FALSE, TRUE = pickle.NONE, pickle.NEWFALSE, pickle.NEWTRUE


# Opcodes of one value.

def tuple_of(*values: bytes) -> bytes:
    return pickle.MARK + b''.join(values) + pickle.TUPLE


def dict_of(*pairs: bytes) -> bytes:
    return pickle.EMPTY_DICT + pickle.MARK + b''.join(pairs) + pickle.SETITEMS


def call(name: str, *arguments: bytes) -> bytes:
    return named(name) + tuple_of(*arguments) + pickle.REDUCE


def build(value: bytes, state: bytes) -> bytes:
    return value + state + pickle.BUILD


def data(value: str) -> bytes:
    return call('_codecs.encode', text(value), text('latin1'))


def dtype(code: str) -> bytes:
    """Push a dtype; that of objects without a state, which the earlier list rejected."""
    made = call('numpy.dtype', text(code), FALSE, TRUE)
    return made if code == 'O' else build(made, tuple_of(integer(3), text('<'), NONE, NONE, NONE, integer(-1),
                                                         integer(-1), integer(0)))


def array(numbers: int = 1, module: str = 'numpy.core.multiarray', code: str = 'f8', content: str = '\0') -> bytes:
    made = call(f'{module}._reconstruct', named('numpy.ndarray'), tuple_of(integer(0)), data('b'))
    return build(made, tuple_of(integer(1), tuple_of(integer(numbers)), dtype(code), FALSE,
                                data(content * 8 * numbers)))


def storage(format: str, key: str = '0', kind: str = 'FloatStorage', count: int = 16) -> bytes:
    return pickle_programs.Storage(key, kind, count).write(format)


def tensor(format: str = 'zip', size: int = 2) -> bytes:
    return call('torch._utils._rebuild_tensor_v2', storage(format), integer(0), tuple_of(integer(size)),
                tuple_of(integer(1)), FALSE, call('collections.OrderedDict'))


def write(path: Path, program: bytes, format: str = 'zip') -> Path:
    WRITERS[format](path, pickle.PROTO + b'\2' + program + pickle.STOP)
    return path


def rejected(path: Path, match: str = '') -> None:
    """Read a checkpoint by each way in; each raises one sentence."""
    for read in WAYS.values():
        with pytest.raises(WeightsError, match=match) as caught:
            read(path)
        assert '\n' not in str(caught.value)


def in_child(work: Callable[[], None]) -> int:
    """Return the exit status of a forked process."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


# The attacks of this project's earlier allow list.

def command_by_attributes(module: str, command: str) -> bytes:
    """An array's attributes up to ``os.system``, set as ``__setstate__`` of a log history and called by a BUILD."""
    found = array(module=module)
    for name in ('ctypes', '_ctypes', '_os', 'system'):
        found = call('builtins.getattr', found, text(name))
    history = call('mmengine.logging.history_buffer.HistoryBuffer')
    return build(build(history, dict_of(text('__setstate__'), found)), text(command))


@pytest.mark.parametrize('format', ['zip', 'legacy', 'tar'])
@pytest.mark.parametrize('module', ['numpy.core.multiarray', 'numpy._core.multiarray'])
def test_a_chain_of_attributes_reaches_no_command(tmp_path: Path, module: str, format: str) -> None:
    marker = tmp_path / 'marker'
    attack = command_by_attributes(module, f'touch {marker}')
    for name, program in {'alone': attack, 'hub': dict_of(text('state_dict'), dict_of(text('w'), tensor(format)),
                                                          text('message_hub'), dict_of(text('x'), attack))}.items():
        rejected(write(tmp_path / f'{name}.pth', program, format))
        assert not marker.exists()


@pytest.mark.parametrize('maker', ['ndarray', 'reconstruct', 'scalar'])
def test_bytes_are_no_objects(tmp_path: Path, maker: str) -> None:
    """They were taken for pointers, and the process ended with a segmentation fault."""
    objects = {
        'ndarray': call('numpy.ndarray', tuple_of(integer(1)), dtype('O'), data('b' * 8)),
        'reconstruct': array(code='O', content='b'),
        'scalar': call('numpy.core.multiarray.scalar', dtype('O'), data('b' * 8)),
    }[maker]
    hub = dict_of(text('log_scalars'), pickle.EMPTY_DICT, text('runtime_info'), dict_of(text('x'), objects),
                  text('resumed_keys'), pickle.EMPTY_DICT)
    path = write(tmp_path / 'epoch_1.pth', dict_of(text('message_hub'), hub))

    def resume() -> None:
        with pytest.raises(WeightsError):
            repr(read_checkpoint(path))

    assert in_child(resume) == 0


class Net(BaseModel):

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def forward(self, inputs: torch.Tensor, mode: str = 'loss') -> dict:
        return {'loss': self.layer(inputs[:, None]).sum()}


def runner(work_dir: Path, epochs: int = 1, **options: Any) -> Runner:
    """A plain runner with the default hook."""
    samples = [{'inputs': torch.ones(())}] * 2
    options.setdefault('default_hooks', {'safe_checkpoint': {'type': 'SafeCheckpointHook'}})
    options.setdefault('optim_wrapper', {'optimizer': {'type': 'SGD', 'lr': 0.1, 'momentum': 0.9}})
    runner.count = getattr(runner, 'count', 0) + 1
    return Runner(Net(), str(work_dir), train_dataloader=DataLoader(samples, 1, sampler=DefaultSampler(samples)),
                  train_cfg={'by_epoch': True, 'max_epochs': epochs}, default_scope='mmpartref',
                  experiment_name=f'attacks{runner.count}', **options)


def resumable(**changes: Any) -> dict:
    """Content from which a run can be resumed."""
    return {'meta': {'epoch': 1, 'iter': 2}, 'state_dict': Net().state_dict(),
            'message_hub': {'log_scalars': {}, 'runtime_info': {}, 'resumed_keys': {}}, **changes}


@pytest.mark.parametrize('hook', [True, False])
def test_a_resumed_run_does_not_execute_the_config(tmp_path: Path, hook: bool) -> None:
    """Without the hook it does: the trap works."""
    marker, path = tmp_path / 'marker', tmp_path / 'epoch_1.pth'
    config = f'open({str(marker)!r}, "w").close()'
    state = torch.optim.SGD(Net().parameters(), lr=0.1, momentum=0.9).state_dict()
    torch.save(resumable(meta={'epoch': 1, 'iter': 2, 'config': config}, optimizer=state), path)
    more = {} if hook else {'default_hooks': {}}
    run = runner(tmp_path, 2, load_from=str(path), resume=True, **more)
    run.train()
    assert run.iter == 4
    assert marker.exists() != hook


# Attacks published elsewhere.

class Payload:
    """Calls something when it is unpickled without care."""

    def __init__(self, function: Callable, *arguments: object) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.reduced


class Setstate:
    """Has its state set by ``exec``."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce_ex__(self, protocol: int) -> tuple:
        return OrderedDict, (), {'x': Payload(exec, self.code)}, None, None


def payloads(marker: Path) -> dict[str, Any]:
    code = f'open({str(marker)!r}, "w").close()'
    return {
        'os.system': Payload(os.system, f'touch {marker}'),
        'exec': Payload(exec, code),
        'eval': Payload(eval, code),
        'open': Payload(open, str(marker), 'w'),
        'setstate': Setstate(code),
        'nested': {'state_dict': OrderedDict(a=[({'b': Payload(exec, code)}, )])},
        'import': Payload(__import__, 'antigravity'),
        'inner pickle': Payload(pickle.loads, pickle.dumps(Payload(exec, code))),
        'torch.load': Payload(torch.load, str(marker)),
        'numpy': Payload(np.load, str(marker), None, True),
    }


@pytest.mark.parametrize('protocol', range(6))
def test_calls_in_a_pickle_are_not_executed(tmp_path: Path, protocol: int) -> None:
    marker, path = tmp_path / 'marker', tmp_path / 'evil.pth'
    for name, payload in payloads(marker).items():
        for writer in WRITERS.values():
            writer(path, pickle.dumps(payload, protocol))
            rejected(path)
            assert not marker.exists(), name
    # The trap works.
    pickle.loads(pickle.dumps(payloads(marker)['exec'], protocol))
    assert marker.exists()


@pytest.mark.parametrize('opcode', ['INST', 'OBJ', 'STACK_GLOBAL', 'NEWOBJ_EX', 'BUILD on a class'])
def test_other_opcodes_that_call(tmp_path: Path, opcode: str) -> None:
    marker = tmp_path / 'marker'
    command = text(f'touch {marker}')
    program = {
        'INST': pickle.MARK + command + pickle.INST + b'os\nsystem\n',
        'OBJ': pickle.MARK + named('os.system') + command + pickle.OBJ,
        'STACK_GLOBAL': text('os') + text('system') + pickle.STACK_GLOBAL + tuple_of(command) + pickle.REDUCE,
        'NEWOBJ_EX': named('subprocess.Popen') + tuple_of(command) + pickle.EMPTY_DICT + pickle.NEWOBJ_EX,
        'BUILD on a class': build(named('collections.OrderedDict'), dict_of(text('__init__'), named('builtins.set'))),
    }[opcode]
    for format in WRITERS:
        rejected(write(tmp_path / 'evil.pth', program, format))
        assert not marker.exists()


def test_extension_codes_are_not_looked_up(tmp_path: Path) -> None:
    marker = tmp_path / 'marker'
    copyreg.add_extension('posix', 'system', 240)
    try:
        program = pickle.EXT1 + b'\xf0' + tuple_of(text(f'touch {marker}')) + pickle.REDUCE
        for format in WRITERS:
            rejected(write(tmp_path / 'evil.pth', program, format))
        script(tmp_path / 'evil.pt', program)
        rejected(tmp_path / 'evil.pt')
        assert not marker.exists()
    finally:
        copyreg.remove_extension('posix', 'system', 240)


@pytest.mark.parametrize('identifier', [
    tuple_of(text('module'), named('collections.OrderedDict'), text('source.py'), text('class OrderedDict: pass')),
    tuple_of(text('module'), named('builtins.set'), NONE, NONE), tuple_of(), integer(7), text('storage'),
    tuple_of(text('storage')), tuple_of(text('storage'), named('builtins.set'), text('0'), text('cpu'), integer(1)),
    tuple_of(text('storage'), named('torch.FloatStorage'), text('../../0'), text('cpu'), integer(16)),
    tuple_of(text('storage'), named('torch.FloatStorage'), text('0'), text('cpu'), integer(1 << 60)),
    tuple_of(text('storage'), named('torch.FloatStorage'), text('0'), text('cpu'), integer(-1)),
], ids=range(10))
def test_persistent_ids_name_storages_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, identifier: bytes) -> None:
    monkeypatch.chdir(tmp_path)  # torch would write a patch of a class's source here
    for format in WRITERS:
        rejected(write(tmp_path / 'evil.pth', identifier + pickle.BINPERSID, format))
    assert [file.name for file in tmp_path.iterdir()] == ['evil.pth']


@pytest.mark.parametrize('format', ['zip', 'legacy'])
def test_an_ordered_dictionarys_attributes_are_dropped(tmp_path: Path, format: str) -> None:
    """``items`` or ``__deepcopy__`` set on it would be called by whoever reads or copies it."""
    attributes = dict_of(text('items'), named('builtins.set'), text('__deepcopy__'), named('builtins.bytearray'),
                         text('keys'), text('x'), text('_metadata'), dict_of(text('version'), integer(1)))
    state = build(call('collections.OrderedDict') + text('w') + tensor(format) + pickle.SETITEM, attributes)
    counter = build(call('collections.Counter'), dict_of(text('elements'), text('x')))
    path = write(tmp_path / 'epoch_1.pth', dict_of(text('state_dict'), state, text('counter'), counter), format)
    content = read_checkpoint(path)
    assert vars(content['state_dict']) == {'_metadata': {}}
    assert vars(content['counter']) == {}
    assert list(content['state_dict']) == ['w']
    assert read_tensors(path).keys() == {'w'}


def test_a_tensors_attributes_are_dropped(tmp_path: Path) -> None:
    arguments = (storage('zip'), integer(0), tuple_of(integer(2)), tuple_of(integer(1)), FALSE,
                 call('collections.OrderedDict'))
    attributes = dict_of(text('__deepcopy__'), named('builtins.set'), text('detach'), named('builtins.set'))
    plain = call('torch._tensor._rebuild_from_type_v2', named('torch._utils._rebuild_tensor_v2'), named('torch.Tensor'),
                 tuple_of(*arguments), attributes)
    parameter = call('torch._utils._rebuild_parameter_with_state', tensor(), TRUE, call('collections.OrderedDict'),
                     attributes)
    path = write(tmp_path / 'epoch_1.pth', dict_of(text('a'), plain, text('b'), parameter))
    content = read_checkpoint(path)
    assert not content['a'].__dict__
    assert not content['b'].__dict__
    assert type(content['a']) is torch.Tensor
    assert type(content['b']) is nn.Parameter
    assert content['b'].requires_grad
    assert torch.equal(content['a'], content['b'].detach())


@pytest.mark.parametrize('format', ['zip', 'legacy'])
def test_a_storages_attributes_are_not_passed_on(tmp_path: Path, format: str) -> None:
    """``copy.deepcopy`` would call the one that a pickle put there."""
    attributes = dict_of(text('__deepcopy__'), named('builtins.set'), text('x'), named('builtins.bytearray'))
    path = write(tmp_path / 'epoch_1.pth', dict_of(text('x'), build(storage(format), attributes)), format)
    with contextlib.suppress(WeightsError):
        found = vars(read_checkpoint(path)['x'])
        assert '__deepcopy__' not in found
        assert 'x' not in found


def test_sparse_tensors_point_nowhere(tmp_path: Path) -> None:
    """torch does not check their indices when it loads them; ``to_dense`` then reads and writes out of bounds."""

    def part(key: str, kind: str, count: int, size: int) -> bytes:
        return call('torch._utils._rebuild_tensor_v2', storage('zip', key, kind, count), integer(0),
                    tuple_of(integer(size)), tuple_of(integer(1)), FALSE, call('collections.OrderedDict'))

    layout = call('torch.serialization._get_layout', text('torch.sparse_csr'))
    program = call('torch._utils._rebuild_sparse_tensor', layout, tuple_of(
        part('0', 'LongStorage', 8, 2), part('1', 'LongStorage', 8, 2), part('2', 'FloatStorage', 16, 2),
        tuple_of(integer(1), integer(2))))
    path = write(tmp_path / 'epoch_1.pth', dict_of(text('state_dict'), dict_of(text('w'), program)))

    def read() -> None:
        with contextlib.suppress(WeightsError):
            read_checkpoint(path)['state_dict']['w'].to_dense()

    assert in_child(read) == 0


def test_a_parameters_gradient_and_hooks_are_dropped(tmp_path: Path) -> None:
    """A sparse gradient with wild indices would be added to by the first backward pass."""
    weight = torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.ones(2)
    weight.register_hook(lambda grad: grad)
    state = OrderedDict(weight=weight)
    state._metadata = OrderedDict({'': {'version': 1, 'assign_to_params_buffers': True}})
    found = checkpoint_content.restore({'state_dict': state})['state_dict']
    assert found['weight'].grad is None
    assert not found['weight']._backward_hooks
    assert torch.equal(found['weight'], weight)
    assert found._metadata == {'': {'version': 1}}


def test_an_expanded_tensor_has_separate_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({'state_dict': {'w': torch.ones(1).expand(1000)}}, tmp_path / 'a.pth')
    found = read_checkpoint(tmp_path / 'a.pth')['state_dict']['w']
    assert found.untyped_storage().nbytes() == 4000
    monkeypatch.setattr(checkpoint_content, 'MAX_ARRAY_BYTES', 3999)
    with pytest.raises(WeightsError, match='expanded tensors are larger'):
        read_checkpoint(tmp_path / 'a.pth')


def test_files_of_tensors_are_numbered(tmp_path: Path) -> None:
    """torch's reader ignores case, so that one file would be read under many names."""
    torch.save({'w': torch.ones(2)}, tmp_path / 'a.pth')
    with zipfile.ZipFile(tmp_path / 'a.pth') as old, zipfile.ZipFile(tmp_path / 'b.pth', 'w') as new:
        for each in old.namelist():
            new.writestr(each.replace('data/0', 'data/ab'), old.read(each))
    with pytest.raises(WeightsError, match='torch numbers the files of tensors'):
        read_checkpoint(tmp_path / 'b.pth')


def test_a_file_with_two_names_is_rejected(tmp_path: Path) -> None:
    """Newer zipfile takes the name of the extra field 0x7075, torch's reader the other."""
    torch.save({'w': torch.ones(2)}, tmp_path / 'a.pth')
    with zipfile.ZipFile(tmp_path / 'a.pth') as old, zipfile.ZipFile(tmp_path / 'b.pth', 'w') as new:
        for each in old.namelist():
            info = zipfile.ZipInfo(each)
            if each.endswith('data/0'):
                name = b'archive/data/7'
                info.extra = struct.pack('<HHBI', 0x7075, 5 + len(name), 1, zlib.crc32(each.encode())) + name
            new.writestr(info, old.read(each))
    with pytest.raises(WeightsError, match='one of its files has two names'):
        read_checkpoint(tmp_path / 'b.pth')


def test_one_file_under_many_names_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's reader takes the name of a file to end at a NUL."""
    torch.save({'w': torch.ones(1000)}, tmp_path / 'a.pth')
    storages = [pickle.MARK + text('storage') + named('torch.FloatStorage') + text(f'0\0{number}') + text('cpu')
                + integer(1000) + pickle.TUPLE + pickle.BINPERSID for number in range(30)]
    tensors = [named('torch._utils._rebuild_tensor_v2') + tuple_of(
        each, integer(0), tuple_of(integer(1000)), tuple_of(integer(1)), FALSE, call('collections.OrderedDict'))
        + pickle.REDUCE for each in storages]
    program = dict_of(*(part for number, each in enumerate(tensors) for part in (text(str(number)), each)))
    with zipfile.ZipFile(tmp_path / 'a.pth') as old, zipfile.ZipFile(tmp_path / 'b.pth', 'w') as new:
        for each in old.namelist():
            new.writestr(each, b'\x80\x02' + program + b'.' if each.endswith('data.pkl') else old.read(each))
    monkeypatch.setattr('mmpartref.models.weights.state_files.MAX_COMPRESSED', 10_000)
    with pytest.raises(WeightsError, match='the tensors in its'):
        read_checkpoint(tmp_path / 'b.pth')
    assert len(read_checkpoint(tmp_path / 'a.pth')['w']) == 1000


@pytest.mark.parametrize('strides', [((5, ), (0, ), 4), ((3, ), (2, ), 0), ((2, 3), (1, 1), 0)])
def test_a_tensor_with_overlaps_or_gaps_becomes_a_copy(tmp_path: Path, strides: tuple) -> None:
    torch.save({'w': torch.as_strided(torch.arange(5.), *strides)}, tmp_path / 'a.pth')
    found = read_checkpoint(tmp_path / 'a.pth')['w']
    assert found.is_contiguous()
    assert found.storage_offset() == 0
    assert torch.equal(found, torch.as_strided(torch.arange(5.), *strides))


def test_a_tensor_in_another_order_stays_as_it_is(tmp_path: Path) -> None:
    value = torch.ones(1, 3, 2, 2).to(memory_format=torch.channels_last)
    torch.save({'w': value, 't': torch.ones(2, 3).T}, tmp_path / 'a.pth')
    found = read_checkpoint(tmp_path / 'a.pth')
    assert found['w'].stride() == value.stride()
    assert found['t'].stride() == (1, 3)


def test_shared_containers_are_packed_once() -> None:
    value: list = []
    for _ in range(60):
        value = [value, value]
    assert len(pack({'x': value})['x']) == 2


@pytest.mark.parametrize('program', [
    pickle.EMPTY_LIST + pickle.BINPUT + b'\0' + pickle.BINGET + b'\0' + pickle.APPEND,
    pickle.EMPTY_DICT + pickle.BINPUT + b'\0' + text('a') + pickle.BINGET + b'\0' + pickle.SETITEM,
    pickle.EMPTY_LIST + pickle.BINPUT + b'\0' + pickle.BINGET + b'\0' + pickle.TUPLE1 + pickle.APPEND,
    call('mmengine.logging.history_buffer.HistoryBuffer') + pickle.BINPUT + b'\0' + dict_of(
        text('x'), pickle.BINGET + b'\0') + pickle.BUILD,
], ids=['list', 'dict', 'tuple', 'history'])
def test_cyclic_values_are_rejected(tmp_path: Path, program: bytes) -> None:
    with pytest.raises(WeightsError, match='contains itself'):
        read_checkpoint(write(tmp_path / 'evil.pth', program))


@pytest.mark.parametrize('opcodes', [pickle.TUPLE1, pickle.EMPTY_LIST], ids=['tuples', 'lists'])
def test_very_deep_nesting_is_rejected(tmp_path: Path, opcodes: bytes) -> None:
    depth = 200_000
    program = NONE + pickle.TUPLE1 * depth if opcodes == pickle.TUPLE1 else (
        pickle.EMPTY_LIST * depth + pickle.APPEND * (depth - 1))
    path = write(tmp_path / 'evil.pth', program)

    def read() -> None:
        with pytest.raises(WeightsError, match=r'was not loaded: .*\[0\]'):
            read_checkpoint(path)

    assert in_child(read) == 0


def test_shared_containers_stay_shared(tmp_path: Path) -> None:
    """Sixty lists, each twice in the next, are 2^60 when each is copied."""
    program = pickle.EMPTY_LIST + b''.join(pickle.BINPUT + bytes([number]) + pickle.EMPTY_LIST + pickle.MARK + (
        pickle.BINGET + bytes([number])) * 2 + pickle.APPENDS for number in range(60))
    content = read_checkpoint(write(tmp_path / 'lists.pth', program))
    assert content[0] is content[1]


def test_shared_bytes_become_no_more_than_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_content, 'MAX_ARRAY_BYTES', 1 << 20)
    whole = call('numpy.core.multiarray._reconstruct', named('numpy.ndarray'), tuple_of(integer(0)), data('b'))
    state = tuple_of(integer(1), tuple_of(integer(1 << 14)), dtype('f8'), FALSE, data('\0' * (1 << 17)))
    first = build(whole, state + pickle.BINPUT + b'\0')
    more = build(whole, pickle.BINGET + b'\0') * 9
    program = pickle.EMPTY_LIST + pickle.MARK + first + more + pickle.APPENDS
    with pytest.raises(WeightsError, match='larger than 1,048,576 bytes'):
        read_checkpoint(write(tmp_path / 'evil.pth', program))


def bomb(path: Path, name: str, size: int, content: dict[str, bytes]) -> None:
    """Write a zip archive with a file of zeros that is compressed a thousandfold, without compressing all of it."""
    step = 32 << 20
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(step)) + packer.flush(zlib.Z_FULL_FLUSH)
    with zipfile.ZipFile(path, 'w') as archive:
        for each, inside in content.items():
            archive.writestr(each, inside)
        archive.writestr(name, block * (size // step) + packer.flush())
        archive.filelist[-1].compress_type = zipfile.ZIP_DEFLATED
        archive.filelist[-1].file_size = size


@pytest.mark.parametrize('name', ['archive/data/0', 'archive/data.pkl', 'archive/constants.pkl', 'other'])
def test_a_small_file_does_not_unpack_to_gigabytes(tmp_path: Path, name: str) -> None:
    path, size = tmp_path / 'bomb.pth', 6 << 30
    content = {'archive/data.pkl': pickle.PROTO + b'\2' + NONE + pickle.STOP, 'archive/version': b'3\n'}
    for more in ({}, {'archive/constants.pkl': b'\x80\x02).'}):
        bomb(path, name, size, {key: each for key, each in {**content, **more}.items() if key != name})
        assert path.stat().st_size < 8 << 20
        rejected(path, 'bytes unpack to 6,44')


def test_a_second_directory_of_an_archive_hides_nothing(tmp_path: Path) -> None:
    """Python reads the directory before the archive's end, torch the one that the end points to."""
    path, size = tmp_path / 'bomb.pth', 128 << 20
    program = dict_of(text('w'), call(
        'torch._utils._rebuild_tensor_v2', storage('zip', '0', 'ByteStorage', size), integer(0),
        tuple_of(integer(size)), tuple_of(integer(1)), FALSE, call('collections.OrderedDict')))
    bomb(path, 'archive/data/0', size, {'archive/data.pkl': pickle.PROTO + b'\2' + program + pickle.STOP,
                                        'archive/version': b'3\n', 'archive/byteorder': b'little'})
    content = path.read_bytes()
    end = content.rfind(b'PK\5\6')
    length, start = struct.unpack('<II', content[end + 12:end + 20])
    true, other = bytearray(content[start:start + length]), bytearray(content[start:start + length])
    last = true.rfind(b'PK\1\2')
    true[last + 16:last + 20] = struct.pack('<I', zlib.crc32(bytes(size)))
    other[last + 24:last + 28] = struct.pack('<I', 10)
    path.write_bytes(content[:start] + true + other + content[end:])
    rejected(path)


def doubled(times: int) -> bytes:
    """Push a pair of twice the same pair of ..., which is short in the file and long when it is written out."""
    return NONE + (pickle.BINPUT + b'\0' + pickle.BINGET + b'\0' + pickle.TUPLE2) * times


@pytest.mark.parametrize('place', ['key', 'shape', 'dtype', 'attribute'])
def test_messages_write_nothing_out_that_is_long(tmp_path: Path, place: str) -> None:
    pairs = doubled(23)
    program = {
        'key': dict_of(pairs, NONE),
        'shape': build(call('numpy.core.multiarray._reconstruct', named('numpy.ndarray'), tuple_of(integer(0)),
                            data('b')), tuple_of(integer(1), pairs, dtype('f8'), FALSE, data(''))),
        'dtype': call('numpy.dtype', pairs, FALSE, TRUE),
        'attribute': call('builtins.getattr', named('mmengine.logging.history_buffer.HistoryBuffer'), pairs),
    }[place]
    path = write(tmp_path / 'evil.pth', program)

    def read() -> None:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with contextlib.suppress(WeightsError):
            read_checkpoint(path)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000

    assert in_child(read) == 0


# TorchScript archives.

def script(path: Path, program: bytes) -> None:
    """Write an archive as ``torch.jit.save`` does."""
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('script/constants.pkl', b'\x80\x02).')
        archive.writestr('script/data.pkl', pickle.PROTO + b'\2' + program + pickle.STOP)
        archive.writestr('script/data/0', bytes(64))


SCRIPT_NAMES = ('torch._utils._rebuild_tensor_v2', 'collections.OrderedDict', 'torch.jit._pickle.build_intlist',
                'torch.FloatStorage', '__torch__.Net')


@pytest.mark.parametrize('name', SCRIPT_NAMES)
def test_a_torchscript_archive_changes_no_function(tmp_path: Path, name: str) -> None:
    state = dict_of(text('path'), text('changed'), text('__new__'), NONE, text('__setstate__'), NONE)
    path = tmp_path / 'script.pt'
    for program in (build(named(name), state), build(named(name), tuple_of(NONE, state)), call(name, named(name)),
                    named(name) + tuple_of() + pickle.NEWOBJ, named(name) + tuple_of() + state + pickle.NEWOBJ_EX,
                    build(call(name), state), build(call('__torch__.Net'), dict_of(text('w'), call(name))),
                    build(call('__torch__.Net'), tuple_of(NONE, dict_of(text('state'), NONE)))):
        script(path, program)
        rejected(path)
    for changed in (torch._utils._rebuild_tensor_v2, build_intlist, torch.float32):
        assert not hasattr(changed, 'path')
    assert OrderedDict() == {}


def test_a_torchscript_module_inside_itself_gets_a_sentence(tmp_path: Path) -> None:
    inner = named('__torch__.Net') + tuple_of() + pickle.NEWOBJ + pickle.BINPUT + b'\0'
    script(tmp_path / 'script.pt', build(inner, dict_of(text('child'), pickle.BINGET + b'\0')))
    rejected(tmp_path / 'script.pt')
    with pytest.raises(WeightsError, match="module 'child' contains itself"):
        read_tensors(tmp_path / 'script.pt')


def test_a_torchscript_archive_of_shared_modules_is_bounded(tmp_path: Path) -> None:
    module = named('__torch__.M') + pickle.EMPTY_TUPLE + pickle.NEWOBJ
    program = module + pickle.EMPTY_DICT + pickle.BUILD + pickle.BINPUT + b'\0'
    for level in range(1, 40):
        below = pickle.BINGET + bytes([level - 1])
        program += pickle.POP + module + dict_of(text('a'), below, text('b'), below) + pickle.BUILD
        program += pickle.BINPUT + bytes([level])
    script(tmp_path / 'a.pt', program)
    with pytest.raises(WeightsError, match='has more than 100,000 modules'):
        read_tensors(tmp_path / 'a.pt')


@pytest.mark.parametrize('name', ['os.system', 'builtins.eval', 'torch.load', 'builtins.getattr'])
def test_a_torchscript_archive_names_nothing_else(tmp_path: Path, name: str) -> None:
    marker = tmp_path / 'marker'
    script(tmp_path / 'script.pt', call(name, text(f'touch {marker}')))
    rejected(tmp_path / 'script.pt')
    assert not marker.exists()


# Resuming, the environment, and what stays allowed.

WRONG = {
    'meta is a text': {'meta': 'x'},
    'no epoch': {'meta': {'iter': 1}},
    'epoch is a text': {'meta': {'epoch': '1', 'iter': 2}},
    'epoch is negative': {'meta': {'epoch': -1, 'iter': 2}},
    'seed is a text': {'meta': {'epoch': 1, 'iter': 2, 'seed': 'x'}},
    'hub is a list': {'message_hub': []},
    'hub without history': {'message_hub': {'runtime_info': {}, 'resumed_keys': {}}},
    'history is a list': {'message_hub': {'log_scalars': [], 'runtime_info': {}, 'resumed_keys': {}}},
    'epoch is a tensor': {'meta': {'epoch': torch.ones(2), 'iter': 2}},
}


@pytest.mark.parametrize('name', WRONG)
def test_resuming_from_the_wrong_types_is_one_sentence(tmp_path: Path, name: str) -> None:
    path = tmp_path / 'epoch_1.pth'
    torch.save(resumable(**WRONG[name]), path)
    with pytest.raises(WeightsError, match='cannot resume from') as caught:
        runner(tmp_path, 2, load_from=str(path), resume=True).train()
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('value', ['1', 'true', '0'])
def test_the_variable_that_turns_the_check_off_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                          value: str) -> None:
    marker, lines = tmp_path / 'marker', []
    monkeypatch.setenv(FORCE_NO_CHECK, value)
    monkeypatch.setattr(allowed_types, 'print_log', lambda line, *_: lines.append(line))
    torch.save(payloads(marker)['exec'], tmp_path / 'evil.pth')
    rejected(tmp_path / 'evil.pth', 'no code in it was run')
    torch.save({'w': torch.ones(2)}, tmp_path / 'good.pth')
    assert read_tensors(tmp_path / 'good.pth')['w'].tolist() == [1, 1]
    assert not marker.exists()
    assert any(FORCE_NO_CHECK in line and 'ignored' in line for line in lines)
    assert os.environ[FORCE_NO_CHECK] == value
    assert FORCE_CHECK not in os.environ


@pytest.mark.parametrize('resume', [False, True])
def test_nothing_stays_allowed_after_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resume: bool) -> None:
    monkeypatch.setenv(FORCE_NO_CHECK, '1')
    # Imports add some of torch's.
    before, environment = set(torch.serialization.get_safe_globals()), dict(os.environ)
    torch.save(payloads(tmp_path / 'marker')['exec'], tmp_path / 'evil.pth')
    for path in (tmp_path / 'evil.pth', tmp_path / 'missing.pth'):
        with pytest.raises((WeightsError, FileNotFoundError)):
            runner(tmp_path, 2, load_from=str(path), resume=resume).train()
        assert set(torch.serialization.get_safe_globals()) == before
        assert dict(os.environ) == environment
    assert not (tmp_path / 'marker').exists()


def test_a_checkpoint_starts_no_process_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """mmengine imports torch's device meshes, which allow themselves to checkpoints; making one opens a port."""
    for name, value in {'RANK': '0', 'WORLD_SIZE': '1', 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': '0'}.items():
        monkeypatch.setenv(name, value)
    mesh = call('torch.distributed.device_mesh.DeviceMesh', text('cpu'), pickle.EMPTY_LIST + integer(0) + pickle.APPEND)
    path = write(tmp_path / 'evil.pth', mesh)

    def read() -> None:
        import torch.distributed.device_mesh
        with pytest.raises(WeightsError, match='more than tensors'):
            read_checkpoint(path)
        assert not torch.distributed.is_initialized()

    assert in_child(read) == 0


# Real checkpoints.

SCHEDULES = {
    'one cycle': dict(type='OneCycleLR', eta_max=0.1, total_steps=4),
    'one cycle linear': dict(type='OneCycleLR', eta_max=0.1, total_steps=4, anneal_strategy='linear'),
    'plateau': dict(type='ReduceOnPlateauLR', monitor='loss', rule='less'),
    'steps': dict(type='MultiStepLR', milestones=[1, 2]),
    'step momentum': dict(type='StepMomentum', step_size=1),
    'cosine': dict(type='CosineAnnealingLR', T_max=4),
    'restarts': dict(type='CosineRestartLR', periods=[2, 2], restart_weights=[1, 0.5], eta_min=0.0),
    'linear': dict(type='LinearLR', end=3),
    'constant': dict(type='ConstantLR', end=3),
    'poly': dict(type='PolyLR', end=3),
    'exponential': dict(type='ExponentialLR', gamma=0.5),
}


def assert_equal(found: Any, expected: Any) -> None:
    """Compare plain values, tensors, arrays and log histories."""
    if isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected)
    elif isinstance(expected, HistoryBuffer):
        assert isinstance(found, HistoryBuffer)
        for one, other in zip(found.data, expected.data, strict=True):
            assert np.array_equal(one, other)
            assert one.dtype == other.dtype
        assert found.max_length == expected.max_length
    elif isinstance(expected, np.ndarray):
        assert np.array_equal(found, expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key, value in expected.items():
            assert_equal(found[key], value)
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_equal(one, other)
    else:
        assert found == expected


@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'legacy'])
@pytest.mark.parametrize('schedule', SCHEDULES)
def test_every_schedulers_state_comes_back(tmp_path: Path, schedule: str, zipped: bool) -> None:
    optimizer = OptimWrapper(torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1, momentum=0.9))
    scheduler = PARAM_SCHEDULERS.build(SCHEDULES[schedule], default_args={'optimizer': optimizer})
    for loss in (1.0, 0.5):
        optimizer.step()
        scheduler.step(*([{'loss': loss}] if schedule == 'plateau' else []))
    content = {'optimizer': optimizer.state_dict(), 'param_schedulers': [scheduler.state_dict()]}
    for name, written in (('mmengine.pth', content), ('ours.pth', pack(content))):
        torch.save(written, tmp_path / name, _use_new_zipfile_serialization=zipped)
        assert_equal(read_checkpoint(tmp_path / name), content)
    torch.load(tmp_path / 'ours.pth', weights_only=True)


@pytest.mark.slow
@pytest.mark.parametrize('ours', [True, False], ids=['ours', 'mmengine'])
def test_a_runs_checkpoint_comes_back(tmp_path: Path, ours: bool) -> None:
    """With averaged weights, one-cycle schedules and a log history, by each way of saving."""
    hooks = {'checkpoint': {'type': 'AtomicCheckpointHook' if ours else 'CheckpointHook', 'max_keep_ckpts': 2}}
    if ours:
        hooks['safe_checkpoint'] = {'type': 'SafeCheckpointHook'}
    options = {'custom_hooks': [EMAHook()], 'param_scheduler': [
        dict(type='OneCycleLR', eta_max=0.1, total_steps=6), dict(type='CosineAnnealingMomentum', T_max=4)]}
    run = runner(tmp_path, 2, default_hooks=hooks, **options)
    run.train()
    path = tmp_path / 'epoch_2.pth'
    trusted = torch.load(path, weights_only=False)
    content = read_checkpoint(path)
    if ours:
        assert_equal(torch.load(path, weights_only=True), trusted)
    assert_equal(content['message_hub']['log_scalars'], dict(run.message_hub.log_scalars))
    assert_equal(content['state_dict'], trusted['state_dict'])
    assert_equal(content['ema_state_dict'], trusted['ema_state_dict'])
    assert_equal(content['optimizer'], run.optim_wrapper.state_dict())
    for found, scheduler in zip(content['param_schedulers'], run.param_schedulers, strict=True):
        assert_equal(found, scheduler.state_dict())
    assert content['meta']['iter'] == 4
    hooks.setdefault('safe_checkpoint', {'type': 'SafeCheckpointHook'})
    resumed = runner(tmp_path, 3, default_hooks=hooks, load_from=str(path), resume=True,
                     **{**options, 'custom_hooks': [EMAHook()]})
    resumed.train()
    assert resumed.iter == 6

"""Damaged checkpoints, other files and checkpoints that would run code: rejected by name, nothing in them is run."""
import io
import os
import pickle
import random
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from bad_input import Tally
from mmengine.config import Config
from mmengine.runner.checkpoint import _load_checkpoint_to_model
from torch import nn

from mmpartref.engine.hooks.safe_checkpoint_hook import PREFIX, load_from_checked
from mmpartref.engine.hooks.strict_load_hook import StrictLoadHook
from mmpartref.engine.launch.build_runner import build_runner
from mmpartref.errors import WeightsError
from mmpartref.models.initializers.pretrained_init import PretrainedInit
from mmpartref.models.weights.checkpoints import load_weights, read_outline
from mmpartref.models.weights.clip_weights import convert_clip, read_clip
from mmpartref.models.weights.cris_keys import to_published
from mmpartref.models.weights.cris_weights import convert_cris, revert_cris
from mmpartref.models.weights.state_dicts import NAME_PARTS, WRAPPERS
from mmpartref.models.weights.state_files import read_tensors
from mmpartref.registry import MODELS

AT_LEAST = 1500
MORE = int(os.environ.get('FUZZ', '1'))


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('checkpoints')


def whole(**options: bool) -> bytes:
    file = io.BytesIO()
    torch.save({'state_dict': model().state_dict(), 'meta': {'epoch': 3}}, file, **options)
    return file.getvalue()


def try_all(path: Path, tally: Tally) -> None:
    """Every way in: the inferencer's, the launcher's, the converters'."""
    fresh = model()
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    loaded = tally.attempt(lambda: load_weights(fresh, path, 'tiny.py'), str(path))
    if loaded is None:
        assert all(torch.equal(value, before[name]) for name, value in fresh.state_dict().items())
    for read in (read_outline, read_tensors, read_clip):
        tally.attempt(lambda read=read: read(path), str(path))


class Payload:
    """Makes a folder when it is unpickled without care, by one of several ways."""

    def __init__(self, call: Callable, *arguments: object) -> None:
        self.reduced = (call, arguments)

    def __reduce__(self) -> tuple:
        return self.reduced


def payloads(trace: Path) -> list[Payload]:
    code = f'__import__("os").mkdir({str(trace)!r})'
    return [Payload(os.mkdir, str(trace)), Payload(os.system, f'mkdir {trace}'), Payload(exec, code),
            Payload(eval, code), Payload(np.savetxt, str(trace), [1.0]), Payload(torch.save, [1], str(trace)),
            Payload(open, str(trace), 'w')]


@pytest.mark.parametrize('number', range(7))
def test_nothing_in_a_pickle_is_run(number: int, tmp_path: Path, tally: Tally) -> None:
    trace = tmp_path / 'trace'
    state = model().state_dict()
    for name, content in {
            'bare': payloads(trace)[number],
            'state': {'state_dict': {**state, 'x': payloads(trace)[number]}},
            'meta': {'state_dict': state, 'meta': {'hook': payloads(trace)[number]}},
            'hub': {'state_dict': state, 'message_hub': payloads(trace)[number]}}.items():
        for form, write in {
                'zip': lambda path, content: torch.save(content, path),
                'legacy': lambda path, content: torch.save(content, path, _use_new_zipfile_serialization=False),
                'pickle': lambda path, content: path.write_bytes(pickle.dumps(content))}.items():
            path = tmp_path / f'{name}_{form}.pth'
            write(path, content)
            try_all(path, tally)
            with pytest.raises(WeightsError):
                load_weights(model(), path, 'tiny.py')
            assert not trace.exists(), f'{path.name} was run'
    # The trap works: an unpickler without care falls into it.
    pickle.loads((tmp_path / 'state_pickle.pth').read_bytes())
    assert trace.exists()


def test_a_torchscript_archive_runs_nothing_either(tmp_path: Path, tally: Tally) -> None:
    trace, path = tmp_path / 'trace', tmp_path / 'script.pt'
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('script/constants.pkl', pickle.dumps(()))
        archive.writestr('script/data.pkl', pickle.dumps(Payload(os.mkdir, str(trace))))
    try_all(path, tally)
    assert not trace.exists()


@pytest.mark.parametrize('options', [{}, {'_use_new_zipfile_serialization': False}])
def test_cut_off_and_flipped(options: dict, folder: Path, tally: Tally) -> None:
    content, path = whole(**options), folder / 'damaged.pth'
    rng = np.random.default_rng(0)
    for length in range(0, len(content), max(1, len(content) // (12 * MORE))):
        path.write_bytes(content[:length])
        try_all(path, tally)
    for place in rng.integers(0, len(content), 20 * MORE):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xff]) + content[place + 1:])
        try_all(path, tally)


@pytest.mark.parametrize(('name', 'content'), [
    ('empty.pth', b''), ('text.pth', b'hello'), ('page.pth', b'<!doctype html>'), ('zeros.pth', b'\0' * 999),
    ('image.pth', b'\x89PNG\r\n\x1a\n'), ('zip.pth', b'PK\x05\x06' + b'\0' * 18), ('list.pth', pickle.dumps([1, 2])),
    ('x.safetensors', b'\xff' * 64), ('y.safetensors', b''), ('z.safetensors', b'\x02\0\0\0\0\0\0\0{}'),
    ('pickle.pth', pickle.dumps({'state_dict': {'a': 1}})), ('numbers.pth', pickle.dumps(7))])
def test_files_of_another_kind(name: str, content: bytes, folder: Path, tally: Tally) -> None:
    path = folder / name
    path.write_bytes(content)
    try_all(path, tally)
    with pytest.raises(WeightsError, match=name.replace('.', r'\.')):
        load_weights(model(), path, 'tiny.py')


def test_other_architectures_and_odd_states(folder: Path, tally: Tally) -> None:
    state = model().state_dict()
    path = folder / 'other.pth'
    for content in ({}, {'state_dict': {}}, {'state_dict': None}, [state], {'a': torch.zeros(2)},
                    {**state, 'more': torch.zeros(1)}, {**state, '0.weight': torch.zeros(2, 4)},
                    {**state, '0.weight': torch.zeros(0)}, {'state_dict': {7: torch.zeros(1)}}, torch.zeros(3)):
        torch.save(content, path)
        try_all(path, tally)
        with pytest.raises(WeightsError):
            load_weights(model(), path, 'tiny.py')


def test_the_launcher_looks_at_a_checkpoint_before_it_builds_anything(folder: Path, tally: Tally) -> None:
    path = folder / 'text.pth'
    path.write_bytes(b'hello')
    cfg = Config({'model': {'type': 'NoSuchModel'}, 'load_from': str(path), 'work_dir': str(folder)})
    with pytest.raises(WeightsError, match=r'text\.pth is not a checkpoint'):
        build_runner(cfg)
    assert tally.attempt(lambda: build_runner(cfg), str(path)) is None


def load_in_runner(module: nn.Module, path: Path) -> None:
    """Load as mmengine's runner does with our hooks, for ``load_from``, --resume and tools/test.py."""
    runner, hook = SimpleNamespace(model=module), StrictLoadHook()
    checkpoint = load_from_checked(f'{PREFIX}{path}', 'cpu')
    hook.after_load_checkpoint(runner, checkpoint)
    _load_checkpoint_to_model(module, checkpoint)
    hook.before_test(runner)


LOADERS: dict[str, Callable[[nn.Module, Path], Any]] = {
    'inferencer': lambda module, path: load_weights(module, path, 'tiny.py'),
    'runner': load_in_runner,
    'init_cfg': lambda module, path: PretrainedInit(str(path))(module),
}


def seeds(number: int) -> range:
    return range(number * MORE)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def wrap(state: dict[str, Any], rng: random.Random) -> Any:
    """Put a state dict under wrappers and its names behind parts, in any order, next to other things."""
    parts = [rng.choice(NAME_PARTS) for _ in range(rng.randrange(4))]
    named: Any = {}
    for name, value in state.items():
        pieces = name.split('.')
        inside = rng.randrange(len(pieces)) if rng.random() < 0.3 else 0
        named['.'.join([*pieces[:inside], *parts, *pieces[inside:]])] = value
    for wrapper in rng.sample(WRAPPERS, rng.randrange(4)):
        named = {wrapper: named, **rng.choice([{}, {'best_acc1': torch.tensor(71.5)}, {'meta': {'epoch': 1}},
                                               {'ema_state_dict': {'steps': torch.tensor(1)}}])}
    return named


def changed(value: torch.Tensor, rng: random.Random) -> Any:
    """Return what cannot be the value of a floating-point parameter."""
    return rng.choice([
        lambda: torch.where(torch.rand_like(value) < 0.5, torch.nan, value).flatten().index_fill(
            0, torch.tensor([0]), rng.choice([torch.nan, torch.inf, -torch.inf])).reshape(value.shape),
        lambda: value.to(rng.choice([torch.int64, torch.uint8, torch.bool, torch.complex64])),
        lambda: torch.full_like(value, 1e300, dtype=torch.float64),
        lambda: value.to_sparse(), lambda: value.to('meta'), lambda: value[:-1], lambda: value[None],
        lambda: torch.quantize_per_tensor(value, 0.1, 0, torch.qint8), lambda: value.numpy(), lambda: value.tolist(),
        lambda: None])()


def test_every_way_in_loads_the_same_whatever_the_wrapping(folder: Path, tally: Tally) -> None:
    path = folder / 'wrapped.pth'
    for seed in seeds(60):
        rng = random.Random(seed)
        state = {name: torch.randn_like(value) if value.is_floating_point() else value + seed
                 for name, value in model().state_dict().items()}
        torch.save(wrap(state, rng), path, _use_new_zipfile_serialization=rng.random() < 0.8)
        for name, load in LOADERS.items():
            fresh = model()
            tally.attempt(lambda load=load, fresh=fresh: load(fresh, path) or True, str(path))
            assert same(fresh.state_dict(), state), (seed, name)


def test_every_way_in_rejects_the_same_values(folder: Path, tally: Tally) -> None:
    path = folder / 'values.pth'
    for seed in seeds(60):
        rng = random.Random(seed)
        state: dict[str, Any] = model().state_dict()
        name = rng.choice([name for name, value in state.items() if value.is_floating_point()])
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            state[name] = changed(state[name], rng)
        torch.save(wrap(state, rng), path)
        for way, load in LOADERS.items():
            fresh = model()
            before = {name: value.clone() for name, value in fresh.state_dict().items()}
            with pytest.raises(WeightsError) as caught:
                load(fresh, path)
            # The initialiser lists every key, one a line.
            tally.attempt(lambda error=caught.value: _raise(error), record=False) if way == 'inferencer' else None
            assert same(fresh.state_dict(), before), (seed, way)


def _raise(error: Exception) -> None:
    raise error


def test_no_flipped_bit_of_an_archive_changes_a_weight(folder: Path, tally: Tally) -> None:
    content, path = whole(), folder / 'flipped.pth'
    expected = torch.load(io.BytesIO(content), weights_only=True)['state_dict']
    for seed in seeds(150):
        rng = random.Random(seed)
        damaged = bytearray(content)
        for _ in range(rng.randint(1, 3)):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        for name, load in LOADERS.items():
            fresh = model()
            before = {name: value.clone() for name, value in fresh.state_dict().items()}
            loaded = tally.attempt(lambda load=load, fresh=fresh: load(fresh, path) or True, str(path))
            assert same(fresh.state_dict(), expected if loaded else before), (seed, name)


def test_no_flipped_bit_of_a_directory_entry_changes_a_weight(folder: Path, tally: Tally) -> None:
    """The directory of an archive has no checksum; torch's reader leaves an entry marked as a folder unread."""
    content, path = whole(), folder / 'directory.pth'
    expected = torch.load(io.BytesIO(content), weights_only=True)['state_dict']
    end = content.rindex(b'archive/data/2')
    for place in range(content.rindex(b'PK\x01\x02', 0, end), end + 14):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            read = tally.attempt(lambda: read_tensors(path), str(path))
            assert read is None or same(read, expected), (place, bit)


def mutated(state: dict[str, torch.Tensor], rng: random.Random) -> dict[str, torch.Tensor]:
    """Return a state dict with one to three entries deleted, renamed, or of another shape, type or value."""
    state = dict(state)
    for _ in range(rng.randint(1, 3)):
        name = rng.choice(list(state))
        value = state.pop(name)
        number = re.sub(r'\d+', lambda _: str(rng.choice([0, 9, 99_999, 10**30])), name)
        key, new = rng.choice([
            (name, None), (name, torch.zeros([rng.choice([0, 1, 2, 7, 64]) for _ in range(rng.randrange(5))])),
            (name, value.to(rng.choice([torch.complex64, torch.int64, torch.bool, torch.bfloat16]))),
            (name, value.float() * torch.nan), (f'{name}.x', value), (rng.choice(['', '.', 'a.']) + name, value),
            (number, value), (name, value.flatten()[:rng.randrange(3)]), (name, value[None])])
        if new is not None:
            state[key] = new
    return state


@pytest.mark.parametrize('kind', ['clip', 'cris', 'reverse'])
def test_converters_reject_other_weights_in_a_sentence(kind: str, tiny_model_cfg: dict, folder: Path,
                                                      tally: Tally) -> None:
    tiny_model_cfg['backbone']['num_heads'] = 4
    tiny_model_cfg['decode_head']['num_heads'] = 8
    ours = MODELS.build(tiny_model_cfg).state_dict()
    published = to_published(ours)
    clip = {name.removeprefix('backbone.'): value for name, value in published.items()
            if name.startswith('backbone.') and 'connect' not in name}
    clip['text_projection'] = clip['text_projection'][:, :tiny_model_cfg['backbone']['embed_channels']]
    convert, state = {'clip': (convert_clip, clip), 'cris': (convert_cris, published),
                      'reverse': (revert_cris, ours)}[kind]
    convert(state)
    for seed in seeds(60 if kind == 'clip' else 15):
        rng = random.Random(seed)
        changed_state = mutated(state, rng)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            try:
                convert(changed_state)
                message = ''
            except WeightsError as error:
                message = str(error)
        tally.outcomes['rejected' if message else 'accepted'] += 1
        # Every key that does not fit is listed, one a line.
        assert all(line.isprintable() for line in message.splitlines()), seed

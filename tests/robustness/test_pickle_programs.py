"""Generated pickle programs, read as checkpoints under an audit hook: none runs anything, and none ends the process.

``MMPARTREF_FUZZ`` sets their number, ``MMPARTREF_FUZZ_SEED`` another seed.
"""
import contextlib
import copy
import faulthandler
import importlib.util
import json
import logging
import os
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
import types
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub, MMLogger
from mmengine.optim import OneCycleLR, StepLR

from mmpartref.engine.hooks.safe_checkpoint_hook import PREFIX, SafeCheckpointHook, load_from_checked
from mmpartref.errors import WeightsError
from mmpartref.models.weights.allowed_types import FORCE_CHECK, FORCE_NO_CHECK, mmengine_checkpoints_allowed
from mmpartref.models.weights.checkpoint_content import pack
from mmpartref.models.weights.state_files import read_checkpoint, read_tensors

NUMBER = int(os.environ.get('MMPARTREF_FUZZ', '300'))
SEED = int(os.environ.get('MMPARTREF_FUZZ_SEED', '0'))
BATCH = 50
# Seconds for a batch, of which most take one or two.
LIMIT = 120
# Bytes that a child may take beyond what it starts with.
MEMORY = 2 << 30
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Events that change nothing and run nothing.
HARMLESS = ('object.__getattr__', 'cpython.', 'sys._getframe', 'gc.', 'array.__new__', 'builtins.id',
            'sys.unraisablehook')
# Start of the name of a temporary file or folder.
TEMPORARY = os.path.join(tempfile.gettempdir(), tempfile.gettempprefix())
# Modules that torch and the codecs import when they are first used.
LATE = ('torch.nested', 'torch.nested._internal.nested_tensor', 'torch.nested._internal.ops',
        'torch.nested._internal.sdpa', 'torch.utils.serialization', 'torch._guards', 'torch.sparse', 'torch.masked',
        'bz2', 'zlib', 'quopri', 'binascii', 'stringprep', 'unicodedata', 'uu')


def load_pickle_programs() -> types.ModuleType:
    """Load pickle_programs.py; ``tests`` is not a package."""
    name = 'pickle_programs'
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f'{name}.py'))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


pickle_programs = load_pickle_programs()


class Watched(torch._weights_only_unpickler.Unpickler):
    """torch's safe unpickler, which notes how far it came."""
    # Of each pickle of a file: the bytes read, and whether it reached STOP.
    loads: list[tuple[int, bool]] = []

    def __init__(self, file: Any, **options: Any) -> None:
        super().__init__(file, **options)
        self.file = file

    def load(self) -> Any:
        start, reached = self.file.tell(), False
        try:
            result = super().load()
            reached = True
        finally:
            Watched.loads.append((self.file.tell() - start, reached))
        return result


class Audit:
    """An audit hook that notes events which a checkpoint must not cause; on inside ``with``."""

    def __init__(self) -> None:
        self.on, self.path, self.format = False, '', ''
        self.events: list[str] = []
        sys.addaudithook(self.hook)

    def hook(self, event: str, args: tuple) -> None:
        if self.on:
            self.on = False
            try:
                if not self.expected(event, args):
                    places = [f'{frame.name}:{frame.lineno}' for frame in traceback.extract_stack(limit=8)]
                    self.events.append(f'{event}{args!r:.100} in {", ".join(places)}')
            finally:
                self.on = True

    def expected(self, event: str, args: tuple) -> bool:
        """Return whether an event is part of reading the file."""
        # torch makes a temporary folder for the tar format before it rejects it.
        temporary = self.format == 'tar' and (isinstance(args[0], int) or str(args[0]).startswith(TEMPORARY))
        if event == 'open':
            return not (args[2] or 0) & WRITING and (temporary or str(args[0]) == self.path)
        if event in ('os.putenv', 'os.unsetenv'):
            return args[0] in (FORCE_CHECK.encode(), FORCE_NO_CHECK.encode())
        if event == 'import':
            return args[0].startswith('encodings.')
        if event == 'os.listdir':
            return str(args[0]).endswith('/encodings')
        if event in ('tempfile.mkdtemp', 'os.mkdir', 'shutil.rmtree', 'os.rmdir', 'os.scandir'):
            return temporary
        if event == 'object.__setattr__':
            return isinstance(args[0], torch.Tensor)  # its class, to another allowed one
        return event.startswith(HARMLESS)

    def __enter__(self) -> 'Audit':
        self.events, self.on = [], True
        return self

    def __exit__(self, *_: object) -> None:
        self.on = False


def walk(value: Any, done: set[int]) -> None:
    """Read everything in a value."""
    if id(value) in done:
        return
    done.add(id(value))
    if isinstance(value, Mapping):
        for key, each in value.items():
            walk(key, done)
            walk(each, done)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for each in value:
            walk(each, done)
    elif isinstance(value, torch.Tensor):
        attempt(lambda: value.detach().clone().tolist() if value.numel() < 1000 else None)
        attempt(lambda: repr(value))
    elif isinstance(value, (np.ndarray, np.generic)):
        value.tolist()
    elif isinstance(value, HistoryBuffer):
        for statistic in (value.mean, value.max, value.min, value.current):
            attempt(statistic)


def attempt(use: Callable[[], Any]) -> None:
    """Call what may raise with a checkpoint of the wrong shape."""
    with contextlib.suppress(Exception):
        use()


def use(content: Any) -> None:
    """Use what was read as a resumed run does."""
    attempt(lambda: walk(content, set()))
    attempt(lambda: copy.deepcopy(content))
    if not isinstance(content, dict):
        return
    runner = types.SimpleNamespace(_resume=True, _load_from='program.pth')
    attempt(lambda: SafeCheckpointHook().after_load_checkpoint(runner, content))
    hub = MessageHub.get_instance('pickle programs')
    attempt(lambda: hub.load_state_dict(content['message_hub']))
    attempt(lambda: [history.mean() for history in hub.log_scalars.values()])
    attempt(hub.state_dict)
    attempt(lambda: pack(content))
    layer = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
    for make in (lambda: StepLR(optimizer, step_size=1), lambda: OneCycleLR(optimizer, eta_max=0.1, total_steps=9)):
        scheduler = make()
        for state in content.get('param_schedulers') or []:
            attempt(lambda state=state, scheduler=scheduler: scheduler.load_state_dict(state))
            attempt(scheduler.step)
    attempt(lambda: optimizer.load_state_dict(content['optimizer']))
    attempt(lambda: layer.load_state_dict(content['state_dict'], strict=False))


def read_as_run(path: Path, number: int) -> Any:
    """Read a checkpoint by one of the ways in; return None where it raises what it should."""
    try:
        if number % 3 == 1:
            return load_from_checked(f'{PREFIX}{path}')
        if number % 3 == 2 and number % 2:
            return read_tensors(path)
        return read_checkpoint(path)
    except WeightsError:
        return None


def limit_memory() -> None:
    """Let this process take ``MEMORY`` more than it has."""
    pages = int(Path('/proc/self/statm').read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, ) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run_batch(names: list[str], seed: int, numbers: range, folder: Path, read: Callable[[Path, int], Any],
              out: int) -> None:
    """Run programs in a child process; a line of JSON each goes out before and after."""

    def send(**line: Any) -> None:
        os.write(out, json.dumps(line).encode() + b'\n')

    faulthandler.disable()
    torch.set_num_threads(1)
    limit_memory()
    audit = Audit()
    for program in pickle_programs.programs(names, seed, numbers):
        for format in pickle_programs.FORMATS:
            send(start=program.number, format=format)
            path = folder / f'{format}.pth'
            program.write(path, format)
            Watched.loads.clear()
            audit.path, audit.format = str(path), format
            fault = ''
            with audit:
                try:
                    content = read(path, program.number)
                except Exception as error:
                    fault, content = f'{type(error).__name__}: {error}'[:300], None
                loads = list(Watched.loads)
                if content is not None:
                    use(content)
                    del content
            if torch.distributed.is_initialized():
                # It opens ports, which raises no event.
                audit.events.append('torch.distributed was started')
                torch.distributed.destroy_process_group()
            last = {'zip': 0, 'legacy': 3}.get(format, 99)
            consumed, reached = loads[last] if len(loads) > last else (0, False)
            called, built = program.used(format, consumed)
            send(end=program.number, format=format, events=audit.events[:5], fault=fault, reached=reached,
                 called=sorted(called), built=sorted(built), templates=program.templates)


@dataclass
class Report:
    """What programs did.

    Attributes:
        failures: sentences, each with the seed, the program and the format.
        reached: how many reached STOP, by format.
        called, built, templates: names called and built upon, and templates run.
    """
    seed: int
    failures: list[str] = field(default_factory=list)
    reached: dict[str, int] = field(default_factory=lambda: dict.fromkeys(pickle_programs.FORMATS, 0))
    called: set[str] = field(default_factory=set)
    built: set[str] = field(default_factory=set)
    templates: set[str] = field(default_factory=set)
    tried: int = 0

    def fail(self, number: int, format: str, what: str) -> None:
        """Note a failure."""
        self.failures.append(f'seed {self.seed}, program {number}, {format}: {what}')

    def take(self, line: dict) -> None:
        """Add a program's result."""
        self.tried += 1
        for what in [*line['events'], *filter(None, [line['fault']])]:
            self.fail(line['end'], line['format'], what)
        self.reached[line['format']] += line['reached']
        self.called.update(line['called'])
        self.built.update(line['built'])
        self.templates.update(line['templates'])


def read_lines(source: int, child: int) -> tuple[list[dict], int, bool]:
    """Return a child's lines, its exit status and whether it took too long."""
    data, end, late = b'', time.monotonic() + LIMIT, False
    while True:
        ready, _, _ = select.select([source], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            os.kill(child, signal.SIGKILL)
            late = True
            break
        more = os.read(source, 1 << 16)
        if not more:
            break
        data += more
    os.close(source)
    status = os.waitpid(child, 0)[1]
    return [json.loads(line) for line in data.splitlines() if line.endswith(b'}')], status, late


def run_programs(names: list[str], seed: int, number: int, folder: Path,
                 read: Callable[[Path, int], Any] = read_as_run) -> Report:
    """Run programs in forks of this process, a batch each; after a crash the batch goes on behind the program."""
    report, next = Report(seed), 0
    while next < number:
        numbers = range(next, min(next - next % BATCH + BATCH, number))
        source, out = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.close(source)
                run_batch(names, seed, numbers, folder, read, out)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(out)
        lines, status, late = read_lines(source, child)
        for line in lines:
            if 'end' in line:
                report.take(line)
        next = numbers.stop
        if status or late:
            last = [line for line in lines if 'start' in line][-1]
            what = 'took too long' if late else f'ended the process with {os.waitstatus_to_exitcode(status)}'
            report.fail(last['start'], last['format'], what)
            next = last['start'] + 1
    return report


@pytest.fixture
def warmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have everything imported that reading a checkpoint imports."""
    monkeypatch.setattr(torch._weights_only_unpickler, 'Unpickler', Watched)
    # As in a run on several devices: with them, torch.distributed can be started.
    for name, value in {'RANK': '0', 'WORLD_SIZE': '1', 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': '0'}.items():
        monkeypatch.setenv(name, value)
    MMLogger.get_current_instance()
    for name in LATE:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        for format, program in zip(pickle_programs.FORMATS * 2, pickle_programs.programs(
                pickle_programs.torch_names(), -1, range(6)), strict=False):
            path = tmp_path / 'warm.pth'
            pickle_programs.WRITERS[format](path, pickle_programs.pickle.dumps({'a': [1]}, 2))
            use(read_as_run(path, program.number))
        hub = MessageHub('warm')
        hub.update_scalar('loss', 1.0)
        content = {'meta': {'epoch': 1, 'iter': 2}, 'message_hub': hub.state_dict(), 'param_schedulers': [{}],
                   'state_dict': {'weight': torch.ones(1, 2)}, 'optimizer': {}}
        torch.save(content, tmp_path / 'warm.pth')
        use(read_checkpoint(tmp_path / 'warm.pth'))
        for odd in (torch.ones(2).to_sparse(), torch.nested.nested_tensor([torch.ones(1)]),
                    torch.ones(1, device='meta'), torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
                    torch.ones(1, dtype=torch.complex64)):
            use({'optimizer': odd, 'state_dict': {'weight': odd}})


def names_allowed() -> list[str]:
    """Return every name that a checkpoint may use: this project's, what imported libraries have added, torch's."""
    with mmengine_checkpoints_allowed():
        added = list(torch._weights_only_unpickler._get_user_allowed_globals())
    return sorted(added) + pickle_programs.torch_names()


@pytest.mark.slow
@pytest.mark.usefixtures('warmed')
@pytest.mark.filterwarnings('ignore')
def test_no_program_runs_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A log handler of an earlier test may have a closed stream; the report of that error would open source files.
    monkeypatch.setattr(logging, 'raiseExceptions', False)
    names = names_allowed()
    report = run_programs(names, SEED, NUMBER, tmp_path)
    kinds = Counter(each.split(': ', 1)[1][:60] for each in report.failures)
    print(report.tried, report.reached, sorted(report.templates), kinds)
    assert not report.failures, '\n'.join([str(kinds), *report.failures[:20]])
    assert report.tried == NUMBER * len(pickle_programs.FORMATS)
    assert min(report.reached['zip'], report.reached['legacy']) >= NUMBER / 2, report.reached
    callables = set(pickle_programs.callables(names))
    # Some 300 programs reach nearly all names, `make fuzz` all of them.
    missing = sorted(callables - report.called), sorted(callables - report.built)
    assert max(map(len, missing)) <= (0 if NUMBER >= 2000 else len(callables) // 20), missing
    if NUMBER >= 300:
        assert report.templates == {'chain', 'objects_of_bytes', 'set_then_build', 'many_arrays'}


class Trap:
    """What an unchecked loader would call."""

    def __reduce__(self) -> tuple:
        return os.system, ('true', )


@pytest.mark.usefixtures('warmed')
def test_the_harness_notices_a_call_and_a_crash(tmp_path: Path) -> None:
    """A reader that runs commands or ends the process is reported by number."""

    def read(path: Path, number: int) -> Any:
        if number == 1:
            return pickle_programs.pickle.loads(pickle_programs.pickle.dumps(Trap()))
        if number == 2:
            os.kill(os.getpid(), signal.SIGSEGV)
        if number == 3:
            raise KeyError('x')
        return None

    report = run_programs(pickle_programs.torch_names(), 5, 5, tmp_path, read)
    found = '\n'.join(report.failures)
    for expected in ('program 1, zip: os.system', 'program 2, zip: ended the process with -11',
                     'program 3, zip: KeyError'):
        assert expected in found
    assert 'program 4' not in found
    assert 'program 0' not in found

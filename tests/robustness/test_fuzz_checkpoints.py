"""Checkpoints that are none, are damaged, or would run code: refused by name, and nothing in them is run."""
import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from bad_input import Tally
from mmengine.config import Config
from torch import nn

from mmpartref.engine.launch.build_runner import build_runner
from mmpartref.errors import WeightsError
from mmpartref.models.weights.checkpoints import load_weights, read_outline
from mmpartref.models.weights.clip_weights import read_clip
from mmpartref.models.weights.state_files import read_tensors

AT_LEAST = 150
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
        self.asked = (call, arguments)

    def __reduce__(self) -> tuple:
        return self.asked


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
    torch.save({**state, '0.weight': torch.full((2, 3), torch.nan)}, path)
    assert load_weights(model(), path, 'tiny.py')


def test_the_launcher_looks_at_a_checkpoint_before_it_builds_anything(folder: Path, tally: Tally) -> None:
    path = folder / 'text.pth'
    path.write_bytes(b'hello')
    cfg = Config({'model': {'type': 'NoSuchModel'}, 'load_from': str(path), 'work_dir': str(folder)})
    with pytest.raises(WeightsError, match=r'text\.pth is not a checkpoint'):
        build_runner(cfg)
    assert tally.attempt(lambda: build_runner(cfg), str(path)) is None

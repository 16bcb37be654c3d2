"""Two processes on gloo, forked so that nothing is imported again, and what they train on.

``tests/conftest.py`` loads this file and takes over the names in ``FIXTURES``.
"""
import hashlib
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mmpartref.datasets.toyparts import make_toyparts

FIXTURES = ('on_two_ranks', 'digest', 'odd_toyparts', 'tiny_config')
ROOT = Path(__file__).parents[1]
# Seconds after which a process that does not answer counts as hung.
PATIENCE = 150


def _rank(rank: int, size: int, folder: Path, job: Callable, args: tuple, queue: multiprocessing.Queue) -> None:
    os.chdir(folder)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(size))
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', init_method=f'file://{folder}/meet', rank=rank, world_size=size)
    try:
        answer = job(*args)
    except (Exception, SystemExit) as error:
        answer = error
    queue.put((rank, answer))
    torch.distributed.destroy_process_group()


def _on_two_ranks(folder: Path, job: Callable, *args: Any, method: str = 'fork') -> list[Any]:
    context: Any = multiprocessing.get_context(method)
    queue = context.Queue()
    folder.mkdir(parents=True, exist_ok=True)
    processes = [context.Process(target=_rank, args=(rank, 2, folder, job, args, queue)) for rank in range(2)]
    for each in processes:
        each.start()
    try:
        answers = dict(queue.get(timeout=PATIENCE) for _ in processes)
        for each in processes:
            each.join(PATIENCE)
        assert [each.exitcode for each in processes] == [0, 0]
    finally:
        for each in processes:
            each.kill()
    return [answers[rank] for rank in range(2)]


@pytest.fixture(scope='session')
def on_two_ranks() -> Callable[..., list[Any]]:
    """``on_two_ranks(folder, job, *args)``: what ``job(*args)`` returns or raises on ranks 0 and 1 of a gloo group."""
    return _on_two_ranks


@pytest.fixture(scope='session')
def digest() -> Callable[[nn.Module], str]:
    """``digest(model)``: the same for the same bits of all weights and buffers."""

    def of(model: nn.Module) -> str:
        found = hashlib.sha256()
        for name, value in model.state_dict().items():
            found.update(name.encode() + value.numpy().tobytes())
        return found.hexdigest()

    return of


@pytest.fixture(scope='module')
def odd_toyparts(tmp_path_factory) -> Path:
    """Drawn scenes, an odd number in every split."""
    root = tmp_path_factory.mktemp('data') / 'toyparts'
    make_toyparts(root, splits={'train': 5, 'val': 3, 'test': 3}, size=(96, 72), seed=1)
    return root


@pytest.fixture
def tiny_config(tmp_path, tiny_model_cfg) -> Callable[..., Path]:
    """``tiny_config(*lines, presence_head=False)``: a config file that trains a tiny CRIS for an epoch."""

    def write(*lines: str, presence_head: bool = False) -> Path:
        if presence_head:
            tiny_model_cfg['decode_head']['presence_head'] = {'type': 'PresenceHead'}
        base = 'cris_tiny_toyparts_absent.py' if presence_head else 'cris_tiny_toyparts.py'
        file = tmp_path / 'tiny.py'
        file.write_text('\n'.join([
            f"_base_ = {str(ROOT / 'configs' / base)!r}",
            f'model = dict(_delete_=True, **{tiny_model_cfg!r})',
            'train_dataloader = dict(batch_size=6, num_workers=0, persistent_workers=False)',
            # One photo a batch: what shares one depends on the number of processes, and rounding on that.
            'val_dataloader = dict(batch_size=1, num_workers=0, persistent_workers=False)',
            'train_cfg = dict(max_epochs=1, val_interval=1)',
            "visualizer = dict(vis_backends=[dict(type='LocalVisBackend')])",
            *lines]) + '\n')
        return file

    return write

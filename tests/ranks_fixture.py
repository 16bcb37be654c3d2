"""Two processes on gloo (rank_process.py), and what they train on.

``tests/conftest.py`` loads this file and takes over the names in ``FIXTURES``.
"""
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from rank_process import run_on_ranks

from mmpartref.datasets.toyparts.make_toyparts import make_toyparts

FIXTURES = ('on_ranks', 'odd_toyparts', 'tiny_config', 'free_port', 'training_record')
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope='session')
def on_ranks() -> Callable[..., list[Any]]:
    """``on_ranks(folder, job, *args, size=2)``: what ``job(*args)`` returns or raises on each rank of a gloo group."""
    return run_on_ranks


@pytest.fixture
def free_port() -> str:
    """A TCP port that no process listens on."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return str(free.getsockname()[1])


class TrainingRecord(Hook):
    """Records the weights that training begins with, and the images, expressions, learning rate and loss of each step.

    Attributes:
        weights: state dict, copied before the first step.
        steps: by (epoch, batch), the discrete values of a step.
        losses: by (epoch, batch).
    """

    priority = 'LOW'

    def __init__(self) -> None:
        self.weights: dict[str, torch.Tensor] = {}
        self.steps: dict[tuple[int, int], tuple] = {}
        self.losses: dict[tuple[int, int], float] = {}

    def before_train(self, runner: Runner) -> None:
        self.weights = {name: value.clone() for name, value in runner.model.state_dict().items()}

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        step = runner.epoch, batch_idx
        drawn = [(sample.img_path, sample.get('expressions')) for sample in data_batch['data_samples']]
        self.steps[step] = runner.iter, runner.optim_wrapper.get_lr()['lr'], drawn
        self.losses[step] = float(outputs['loss'])

    def assert_continues(self, whole: 'TrainingRecord', rtol: float = 1e-4) -> None:
        """Check that a resumed run's steps are those of an uninterrupted run, up to its end.

        Rounding differs between two runs on some processors, so losses are compared with ``rtol``. What is drawn and
        the learning rate are exact.
        """
        assert self.steps
        assert set(self.steps) == set(sorted(whole.steps)[-len(self.steps):])
        for step, values in self.steps.items():
            assert values == whole.steps[step], step
            assert self.losses[step] == pytest.approx(whole.losses[step], rel=rtol), step


@pytest.fixture(scope='session')
def training_record() -> type[TrainingRecord]:
    """``TrainingRecord``, a hook to register in a runner."""
    return TrainingRecord


@pytest.fixture(scope='session')
def odd_toyparts(tmp_path_factory) -> Path:
    """A ToyParts folder to read from, an odd number of scenes in every split."""
    root = tmp_path_factory.mktemp('data') / 'toyparts'
    make_toyparts(root, splits={'train': 5, 'val': 3, 'test': 3}, size=(96, 72), seed=1)
    return root


@pytest.fixture
def tiny_config(tmp_path, tiny_model_cfg) -> Callable[..., Path]:
    """``tiny_config(*lines, presence_head=False)``: a config file that trains a tiny CRIS for an epoch."""

    def write(*lines: str, presence_head: bool = False) -> Path:
        if presence_head:
            tiny_model_cfg['decode_head']['presence_head'] = {'type': 'PresenceHead'}
        base = 'toyparts/cris_tiny_toyparts_absent.py' if presence_head else 'cris_tiny_toyparts.py'
        file = tmp_path / 'tiny.py'
        file.write_text('\n'.join([
            f"_base_ = {str(ROOT / 'configs' / base)!r}",
            f'model = dict(_delete_=True, **{tiny_model_cfg!r})',
            'train_dataloader = dict(batch_size=6, num_workers=0, persistent_workers=False)',
            # One image a batch: what shares one depends on the number of processes, and rounding on that.
            'val_dataloader = dict(batch_size=1, num_workers=0, persistent_workers=False)',
            'train_cfg = dict(max_epochs=1, val_interval=1)',
            "visualizer = dict(vis_backends=[dict(type='LocalVisBackend')])",
            *lines]) + '\n')
        return file

    return write

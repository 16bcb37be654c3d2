"""A run of 3 epochs of 4 steps with all kinds of random draws, to be interrupted and resumed."""
import multiprocessing
import os
import random
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import Dataset

from mmpartref.engine.resume.resume_point import choose_resume_point
from mmpartref.models.weights.allowed_types import mmengine_checkpoints_allowed
from mmpartref.registry import DATASETS, METRICS, MODELS

STEPS = 12


@DATASETS.register_module(force=True)
class ToyData(Dataset):
    """Items with noise from each generator; ``loaded`` lists what was loaded in this process."""

    metainfo: dict = {}

    def __init__(self, fault: str | None = None, length: int = 8) -> None:
        self.fault, self.length = fault, length
        self.loaded: list[int] = []

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict:
        if self.fault and len(self.loaded) == 8:  # the second epoch begins
            if self.fault == 'exception':
                raise RuntimeError('no image')
            os.kill(os.getpid(), signal.SIGKILL)
        self.loaded.append(index)
        noise = torch.rand(3) + random.random() + np.random.rand()  # noqa: NPY002 - as transforms of others do
        return {'inputs': torch.full((3, ), index / 8) + noise.float()}


@MODELS.register_module(force=True)
class ToyNet(BaseModel):
    """Dropout and BatchNorm, so that a step depends on random numbers and on running statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            # No bias and a large eps, because with a batch of 2 BatchNorm would magnify rounding.
            torch.nn.Linear(3, 8, bias=False), torch.nn.BatchNorm1d(8, eps=0.1), torch.nn.Dropout(0.3),
            torch.nn.Linear(8, 1))

    def forward(self, inputs, mode='loss'):
        score = self.layers(inputs).squeeze(1)
        return {'loss': (score - 1).square().mean()} if mode == 'loss' else list(score)


@METRICS.register_module(force=True)
class ToyMetric(BaseMetric):
    """Better every time, so that each validation writes a best checkpoint."""

    default_prefix = 'toy'

    def process(self, data_batch, data_samples):
        self.results.append(float(sum(data_samples)))

    def compute_metrics(self, results):
        return {'score': float(MessageHub.get_current_instance().get_info('iter'))}


def start(work_dir: Path, *, resume: bool | str = False, workers: int = 0, checkpoint: dict | None = None,
          hooks: list[Hook] | None = None, seed: int | None = 3, batch_size: int = 2, launcher: str = 'none',
          loop: dict | None = None) -> Runner:
    """Build the run; ``checkpoint`` changes the checkpoint hook, whose default writes every 2 steps."""
    loader: dict[str, Any] = {'num_workers': workers, 'persistent_workers': workers > 0, 'dataset': {'type': 'ToyData'},
                              'collate_fn': {'type': 'default_collate'}}
    cfg = Config({
        'default_scope': 'mmpartref', 'work_dir': str(work_dir), 'model': {'type': 'ToyNet'}, 'resume': bool(resume),
        'load_from': resume if isinstance(resume, str) else None,
        'experiment_name': f'{work_dir.parent.name}_{work_dir.name}_{len(list(work_dir.glob("*")))}_{random.random()}',
        'train_dataloader': {
            **loader, 'batch_size': batch_size, 'sampler': {'type': 'DefaultSampler', 'shuffle': True}},
        'val_dataloader': {**loader, 'batch_size': 4, 'sampler': {'type': 'DefaultSampler', 'shuffle': False}},
        'val_evaluator': {'type': 'ToyMetric'}, 'val_cfg': {},
        'train_cfg': loop or {'type': 'ResumableEpochBasedTrainLoop', 'max_epochs': 3},
        # A large eps: rounding in a gradient near 0 must not become a step of the learning rate.
        'optim_wrapper': {'optimizer': {'type': 'Adam', 'lr': 0.01, 'eps': 1e-3}},
        'param_scheduler': [
            {'type': 'LinearLR', 'start_factor': 0.1, 'by_epoch': False, 'begin': 0, 'end': 7},
            {'type': 'MultiStepLR', 'milestones': [2], 'by_epoch': True}],
        'default_hooks': {
            'checkpoint': {'type': 'AtomicCheckpointHook', 'by_epoch': False, 'interval': 2, 'max_keep_ckpts': 2,
                           'save_best': 'toy/score', 'rule': 'greater', **(checkpoint or {})},
            'resumable_state': {'type': 'ResumableStateHook'}, 'preemption': {'type': 'PreemptionHook'}},
        'custom_hooks': [{'type': 'EMAHook', 'momentum': 0.1}],
        'env_cfg': {'dist_cfg': {'backend': 'gloo'}}, 'launcher': launcher,
        'model_wrapper_cfg': {'type': 'MMDistributedDataParallel', 'device_ids': None, 'broadcast_buffers': False},
        'randomness': {'seed': seed},
        'log_level': 'WARNING',
    })
    choose_resume_point(cfg)
    runner = Runner.from_cfg(cfg)
    for hook in hooks or []:
        runner.register_hook(hook, 'LOWEST')
    return runner


def train(work_dir: Path, **options: Any) -> Runner:
    """Build and train."""
    runner = start(work_dir, **options)
    with mmengine_checkpoints_allowed():
        runner.train()
    return runner


def last(work_dir: Path) -> dict:
    """Load what ``last_checkpoint`` names."""
    with mmengine_checkpoints_allowed():
        return torch.load((work_dir / 'last_checkpoint').read_text(), weights_only=True)


def assert_same(one: Any, other: Any, where: str = 'checkpoint') -> None:
    """Compare nested states: floating-point tensors up to the rounding of two computations, all else exactly."""
    if isinstance(one, torch.Tensor) and one.is_floating_point():
        # Rounding in the inputs changes a run by 1e-6; what is not restored, by steps of the learning rate 1e-2.
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5, msg=lambda text: f'{where}: {text}')
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_same(one[key], other[key], f'{where}.{key}')
    elif isinstance(one, list):
        assert len(one) == len(other), where
        for index, pair in enumerate(zip(one, other, strict=True)):
            assert_same(*pair, f'{where}.{index}')
    else:
        assert one == other, where


def assert_same_run(one: dict, other: dict) -> None:
    """Compare the trained state of two checkpoints: weights, averages, optimiser, schedules, place."""
    for key in ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers', 'resumable_state'):
        assert_same(one[key], other[key], key)
    assert [one['meta'][key] for key in ('epoch', 'iter')] == [other['meta'][key] for key in ('epoch', 'iter')]


def in_child(work: Callable[[], Any]) -> int:
    """Run in a forked process and return its exit code, negative for a signal."""

    def body() -> None:
        torch.set_num_threads(1)
        os.setsid()
        work()

    process = multiprocessing.get_context('fork').Process(target=body)
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def in_ranks(work: Callable[[int], Any], rendezvous: Path) -> list[int]:
    """Run in two forked processes that make up a process group, and return their exit codes."""

    def body(rank: int) -> None:
        os.environ.update(LOCAL_RANK=str(rank), RANK=str(rank), WORLD_SIZE='2')
        torch.set_num_threads(1)
        torch.distributed.init_process_group(
            'gloo', init_method=f'file://{rendezvous}', rank=rank, world_size=2, timeout=timedelta(seconds=60))
        work(rank)

    processes = [multiprocessing.get_context('fork').Process(target=body, args=(rank, )) for rank in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


class At(Hook):
    """Do something after a training step, counted from 1 over the whole run."""

    def __init__(self, step: int, action: Callable[[], Any]) -> None:
        self.step, self.action = step, action

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.step:
            self.action()


class Before(At):
    """The same before a step."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.step:
            self.action()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        """Nothing."""

"""The first log line of a training, and its number of iterations."""
import warnings
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import ConstantLR, OneCycleLR
from torch import nn

from mmpartref.engine import TrainingLengthHook
from mmpartref.errors import ConfigError


def runner(iterations: int, *schedules: object) -> SimpleNamespace:
    lines: list[str] = []
    return SimpleNamespace(max_iters=iterations, iter=0, train_dataloader=range(7), param_schedulers=list(schedules),
                           lines=lines, logger=SimpleNamespace(info=lines.append, warning=lines.append))


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)


def test_the_first_loss_is_logged_once() -> None:
    hook, run = TrainingLengthHook(), runner(1400)
    hook.before_train(run)
    hook.after_train_iter(run, 0, outputs=None)
    hook.after_train_iter(run, 0, outputs={})  # a skipped step
    for _ in range(2):
        hook.after_train_iter(run, 0, outputs={'loss': torch.tensor(0.25)})
    assert run.lines == ['iteration 1 of 1,400 (7 per epoch): loss 0.2500']


def test_a_loss_with_gradients_gives_no_warning() -> None:
    hook, run = TrainingLengthHook(), runner(1400)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        hook.after_train_iter(run, 0, outputs={'loss': torch.tensor(0.25, requires_grad=True)})
    assert 'loss 0.2500' in run.lines[0]


def test_few_iterations_are_a_warning() -> None:
    run = runner(5)
    TrainingLengthHook().before_train(run)
    assert len(run.lines) == 1
    assert 'only 5 iterations' in run.lines[0]


@pytest.mark.parametrize('several', [False, True])
def test_a_one_cycle_schedule_shorter_than_the_training(several: bool) -> None:
    short = OneCycleLR(optimizer(), eta_max=1.0, total_steps=100, by_epoch=False)
    others = [OneCycleLR(optimizer(), eta_max=1.0, total_steps=200, by_epoch=False),
              OneCycleLR(optimizer(), eta_max=1.0, total_steps=3, by_epoch=True), ConstantLR(optimizer())]
    run = runner(200, *others)
    TrainingLengthHook().before_train(run)
    run = runner(200, *others, short)
    if several:
        run.param_schedulers = {'a': others, 'b': [short]}
    with pytest.raises(ConfigError, match='total_steps=100 of OneCycleLR in param_scheduler ends before the 200'):
        TrainingLengthHook().before_train(run)

import copy

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import nn

from mmpartref.engine.optim.uniform_first_epoch_lr import UniformFirstEpochLR
from mmpartref.registry import PARAM_SCHEDULERS


def optimizer() -> OptimWrapper:
    layers = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)])
    return OptimWrapper(torch.optim.Adam([{'params': layers[0].parameters(), 'lr': 1e-5},
                                          {'params': layers[1].parameters()}], lr=1e-4))


def rates(wrapper: OptimWrapper) -> list[float]:
    return [group['lr'] for group in wrapper.optimizer.param_groups]


def schedule(wrapper: OptimWrapper) -> list:
    # The runner sets the end of training where a config names none.
    cfgs = [{'type': 'UniformFirstEpochLR', 'end': 10},
            {'type': 'MultiStepLR', 'milestones': [3], 'gamma': 0.1, 'by_epoch': True}]
    default = {'optimizer': wrapper, 'epoch_length': 5}
    return [PARAM_SCHEDULERS.build({**cfg, '_scope_': 'mmpartref'}, default_args=default) for cfg in cfgs]


def test_the_rates_are_those_of_the_published_code():
    """There: groups with ``initial_lr`` and one ``lr``, MultiStepLR stepped with the epoch's number after each."""
    layers = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)])
    theirs = torch.optim.Adam([{'params': layers[0].parameters(), 'initial_lr': 1e-5},
                               {'params': layers[1].parameters(), 'initial_lr': 1e-4}], lr=1e-4)
    published = torch.optim.lr_scheduler.MultiStepLR(theirs, milestones=[3], gamma=0.1)
    ours = optimizer()
    schedulers = schedule(ours)
    seen = []
    for epoch in range(1, 6):
        assert rates(ours) == pytest.approx([group['lr'] for group in theirs.param_groups])
        seen.append(rates(ours)[0])
        theirs.step()
        ours.optimizer.step()
        with pytest.warns(UserWarning, match='epoch parameter'):
            published.step(epoch)
        for scheduler in schedulers:
            scheduler.step()
    assert seen == pytest.approx([1e-4, 1e-5, 1e-5, 1e-6, 1e-6])


def test_it_resumes_in_the_middle():
    first = optimizer()
    schedulers = schedule(first)
    expected = []
    for epoch in range(4):
        if epoch == 1:
            saved = copy.deepcopy((first.state_dict(), [each.state_dict() for each in schedulers]))
        expected.append(rates(first))
        for each in schedulers:
            each.step()
    second = optimizer()
    schedulers = schedule(second)
    second.load_state_dict(saved[0])
    for each, state in zip(schedulers, saved[1], strict=True):
        each.load_state_dict(state)
    for epoch in range(1, 4):
        assert rates(second) == pytest.approx(expected[epoch])
        for each in schedulers:
            each.step()


def test_one_group_is_left_alone():
    wrapper = OptimWrapper(torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.5))
    scheduler = UniformFirstEpochLR(wrapper)
    for _ in range(3):
        assert rates(wrapper) == [0.5]
        scheduler.step()

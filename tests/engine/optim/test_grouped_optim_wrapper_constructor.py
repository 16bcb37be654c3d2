import pytest
import torch
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from mmpartref.engine.optim.grouped_optim_wrapper_constructor import GroupedOptimWrapperConstructor

SETTINGS = {'custom_keys': {'backbone': {'lr_mult': 0.1}, 'backbone.1': {'lr_mult': 1.0}}, 'norm_decay_mult': 0.0}


def model() -> nn.Module:
    return nn.ModuleDict({
        'backbone': nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 3)),
        'head': nn.Sequential(nn.Linear(3, 1), nn.BatchNorm1d(1)),
    })


def optim_cfg(**changes) -> dict:
    return {'type': 'OptimWrapper', 'optimizer': {'type': 'SGD', 'lr': 0.1, 'weight_decay': 0.01, **changes}}


def test_settings_are_mmengines_and_groups_are_few():
    net = model()
    expected = DefaultOptimWrapperConstructor(optim_cfg(), SETTINGS)(net).optimizer
    grouped = GroupedOptimWrapperConstructor(optim_cfg(), SETTINGS)(net).optimizer

    def by_parameter(optimizer: torch.optim.Optimizer) -> dict:
        return {id(p): (g['lr'], g['weight_decay']) for g in optimizer.param_groups for p in g['params']}

    assert by_parameter(grouped) == by_parameter(expected)
    assert len(expected.param_groups) == 8
    # backbone.0, backbone.1, head.0 and the norm
    assert len(grouped.param_groups) == 4


def test_training_is_mmengines():
    results = []
    for constructor in (DefaultOptimWrapperConstructor, GroupedOptimWrapperConstructor):
        torch.manual_seed(0)
        net = model()
        wrapper = constructor(optim_cfg(momentum=0.9), SETTINGS)(net)
        for _ in range(3):
            inputs = torch.ones(4, 2) + torch.arange(4.)[:, None]
            wrapper.update_params(net['head'](net['backbone'](inputs)).square().sum())
        results.append([p.detach().clone() for p in net.parameters()])
    for one, other in zip(*results, strict=True):
        # Two trainings, whose rounding differs on some processors.
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_without_paramwise_settings_there_is_one_group():
    assert len(GroupedOptimWrapperConstructor(optim_cfg(), None)(model()).optimizer.param_groups) == 1


def test_frozen_parameters_stay_out():
    net = model()
    net['backbone'][0].weight.requires_grad_(False)
    optimizer = GroupedOptimWrapperConstructor(optim_cfg(), SETTINGS)(net).optimizer
    stepped = {id(p) for group in optimizer.param_groups for p in group['params']}
    assert id(net['backbone'][0].bias) in stepped
    assert id(net['backbone'][0].weight) not in stepped
    assert pytest.approx(0.01) == optimizer.param_groups[0]['lr']


class Declaring(nn.Module):
    """An encoder of which a parameter has a learning rate of its own."""

    lr_mults = {'positions': 1.0, 'missing': 3.0}

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.positions = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))


@pytest.mark.parametrize(('paramwise', 'expected'), [
    ({'custom_keys': {'backbone': {'lr_mult': 0.1}}}, {'backbone.weight': 0.1, 'backbone.positions': 1.0}),
    ({'custom_keys': {'backbone': {'lr_mult': 0.1}, 'backbone.positions': {'lr_mult': 0.5}}},
     {'backbone.weight': 0.1, 'backbone.positions': 0.5}),
    ({'custom_keys': {'backbone': {'decay_mult': 0.1}}}, {'backbone.weight': 1.0, 'backbone.positions': 1.0}),
    ({}, {'backbone.weight': 1.0, 'backbone.positions': 1.0})])
def test_encoders_declare_multipliers(paramwise, expected):
    model = nn.ModuleDict({'backbone': Declaring(), 'head': nn.Linear(1, 1)})
    wrapper = GroupedOptimWrapperConstructor(
        {'type': 'OptimWrapper', 'optimizer': {'type': 'SGD', 'lr': 1.0, 'weight_decay': 0.1}}, paramwise)(model)
    rates = {id(each): group['lr'] for group in wrapper.param_groups for each in group['params']}
    assert {name: rates[id(each)] for name, each in model.named_parameters() if name in expected} == expected
    assert rates[id(model['head'].weight)] == 1.0

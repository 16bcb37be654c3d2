from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmpartref.engine.hooks.strict_load_hook import StrictLoadHook
from mmpartref.errors import WeightsError

MODEL = nn.ModuleDict({'backbone': nn.Conv2d(3, 2, 1), 'norm': nn.BatchNorm2d(2)})


def load(state: dict, **options) -> None:
    StrictLoadHook(**options).after_load_checkpoint(SimpleNamespace(model=MODEL), {'state_dict': state, 'meta': {}})


def test_a_checkpoint_that_fits_passes():
    state = MODEL.state_dict()
    load(state)
    load({f'module.{name}': value for name, value in state.items()})
    load({name: value for name, value in state.items() if 'num_batches_tracked' not in name})


def test_a_checkpoint_of_another_model_is_refused_with_a_list(monkeypatch):
    listed = []
    monkeypatch.setattr('mmpartref.engine.hooks.strict_load_hook.print_log', lambda text, *rest: listed.append(text))
    state = dict(MODEL.state_dict())
    del state['norm.bias']
    state['backbone.weight'] = torch.zeros(2, 3, 3, 3)
    state['fc.weight'] = torch.zeros(1)
    with pytest.raises(WeightsError) as caught:
        load(state)
    differ = 'backbone.weight: (2, 3, 3, 3) instead of (2, 3, 1, 1)'
    for piece in ('does not fit the ModuleDict of this config', '1 keys missing (norm.bias)', differ,
                  '1 keys not of this model (fc.weight)'):
        assert piece in str(caught.value)
    assert '\n' not in str(caught.value)
    for line in ('1 missing:\n  norm.bias', '1 unexpected:\n  fc.weight', f'  {differ}'):
        assert line in listed[0]


def test_named_parts_may_differ():
    state = dict(MODEL.state_dict())
    del state['norm.bias']
    state['fc.weight'] = torch.zeros(1)
    load(state, allow_missing=['norm.'], allow_unexpected=['fc.'])
    with pytest.raises(WeightsError, match='not of this model'):
        load(state, allow_missing=['norm.'])

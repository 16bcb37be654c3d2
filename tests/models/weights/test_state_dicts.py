import itertools

import pytest
import torch
from torch import nn

from mmpartref.errors import WeightsError
from mmpartref.models.weights import state_dicts
from mmpartref.models.weights.checkpoints import load_weights
from mmpartref.models.weights.state_dicts import NAME_PARTS, WRAPPERS, find_state_dict, rename_entries
from mmpartref.models.weights.state_files import read_tensors

STATE = {'a.weight': torch.ones(2), 'b': torch.zeros(1)}


def wrapped(state: dict, *keys: str) -> dict:
    for key in keys:
        state = {'epoch': 3, 'best_acc1': torch.tensor(71.5), key: state, 'optimizer': {'state': {0: torch.ones(1)}}}
    return state


@pytest.mark.parametrize('keys', [(), *((key,) for key in WRAPPERS), *itertools.permutations(WRAPPERS, 2)])
def test_wrappers_come_before_tensors_of_the_top_level(keys):
    assert find_state_dict(wrapped(STATE, *keys), 'x.pth') == STATE


def test_averaged_weights_are_read_on_request_only(tmp_path):
    averaged = {'module.a.weight': torch.full((2, ), 5.), 'module.b': torch.ones(1), 'steps': torch.tensor(7)}
    torch.save({'state_dict': STATE, 'ema_state_dict': averaged}, tmp_path / 'both.pth')
    torch.save({'ema_state_dict': averaged}, tmp_path / 'averaged.pth')
    assert torch.equal(read_tensors(tmp_path / 'both.pth')['a.weight'], torch.ones(2))
    for name in ('both.pth', 'averaged.pth'):
        read = read_tensors(tmp_path / name, key='ema_state_dict')
        assert read.keys() == STATE.keys()
        assert read['a.weight'][0] == 5
    with pytest.raises(WeightsError, match=r"tensors under \['ema_state_dict'\]; name the key"):
        read_tensors(tmp_path / 'averaged.pth')
    with pytest.raises(WeightsError, match=r"no state dict under 'ema'; it has \['state_dict', 'ema_state_dict'\]"):
        read_tensors(tmp_path / 'both.pth', key='ema')


def test_an_averaged_model_is_loaded_by_its_key(tmp_path):
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    averaged = torch.optim.swa_utils.AveragedModel(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)))
    torch.save({'model': model.state_dict(), 'ema': averaged.state_dict()}, tmp_path / 'x.pth')
    load_weights(model, tmp_path / 'x.pth', 'x', key='ema')
    assert torch.equal(model[0].weight, averaged.module[0].weight)


def test_a_dictionary_under_every_wrapper_is_searched_once():
    """Each level has the next one under all wrappers: 4 to the power of 60 ways to the end."""
    content: dict = {}
    for _ in range(60):
        content = dict.fromkeys(WRAPPERS, content)
    content['state_dict'] = content
    with pytest.raises(WeightsError, match='holds no state dict'):
        find_state_dict(content, 'x.pth')


@pytest.mark.parametrize('parts', itertools.permutations(NAME_PARTS))
def test_name_parts_are_removed_in_any_order_and_inside_names(parts, monkeypatch):
    said = []
    monkeypatch.setattr(state_dicts, 'print_log', lambda text, *rest: said.append(text))
    prefix = '.'.join(parts)
    state = {f'{prefix}.{name.replace(".", f".{parts[0]}.")}': value for name, value in STATE.items()}
    for wanted in ((), STATE):
        assert rename_entries(state, 'x.pth', wanted) == STATE
    first = next(iter(state))
    assert said == [f'x.pth: 2 of 2 entries are read under another name, {first!r} as \'a.weight\''] * 2


def test_the_models_own_parts_stay_and_are_added():
    model = {'model.conv.weight': torch.ones(1), 'clip.module.bias': torch.ones(1)}
    assert rename_entries(model, 'x', model) == model
    plain = {'conv.weight': model['model.conv.weight'], 'bias': model['clip.module.bias']}
    assert rename_entries(plain, 'x', model) == model
    assert rename_entries({f'module._orig_mod.{name}': value for name, value in model.items()}, 'x', model) == model


def test_names_that_would_become_equal_stay():
    state = {'module.a': torch.zeros(1), 'a': torch.ones(1), 'model.module': torch.ones(2), 'module.b': torch.ones(1)}
    assert list(rename_entries(state, 'x')) == ['module.a', 'a', 'model.module', 'b']
    assert list(rename_entries(state, 'x', ['a', 'b'])) == ['module.a', 'a', 'model.module', 'b']
    # The model has two entries that differ in such a part only.
    assert list(rename_entries({'module.a': torch.ones(1)}, 'x', ['model.a', 'clip.a'])) == ['module.a']

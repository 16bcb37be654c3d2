import copy

import pytest
import torch
from torch import nn

from mmpartref.errors import WeightsError
from mmpartref.models.weights.key_report import check_loaded, compare_keys
from mmpartref.registry import MODELS


def small(width: int = 8, layers: int = 2) -> dict[str, torch.Tensor]:
    """A state dict of a backbone with numbered layers and a head."""
    backbone = nn.Sequential(*(nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width)) for _ in range(layers)))
    return nn.ModuleDict({'backbone': nn.ModuleDict({'blocks': backbone, 'stem': nn.Conv2d(3, width, 1)}),
                          'head': nn.ModuleDict({'fc': nn.Linear(width, 4), 'norm': nn.LayerNorm(width)})}).state_dict()


def without(state: dict, start: str) -> dict:
    return {name: value for name, value in state.items() if not name.startswith(start)}


STATE = small()


@pytest.mark.parametrize(('given', 'explanation'), [
    ({f'student.{name}': value for name, value in STATE.items()},
     "their names in the file have the prefix 'student.'; remove it"),
    ({name.removeprefix('backbone.'): value for name, value in STATE.items() if name.startswith('backbone.')},
     "their names in the file lack the prefix 'backbone.'"),
    (small(width=16), 'another width, e.g. 16 channels in the file and 8 in the model'),
    (small(layers=5), "another number of layers, e.g. in 'backbone.blocks' 5 in the file and 2 in the model"),
    (small(layers=1), "another number of layers, e.g. in 'backbone.blocks' 1 in the file and 2 in the model"),
    ({**without(STATE, 'head.'), 'head.kernel': torch.ones(1)}, "the file has another 'head' than the model"),
    (without(STATE, 'head.'), "the file has no 'head', which the model has"),
    ({**STATE, 'decoder.x': torch.ones(1)}, "the model has no 'decoder', which the file has"),
    ({'features.0.weight': torch.ones(1)},
     'the file is of another model: its names start with features, those of the model backbone, head'),
    ({'visual.conv1.weight': torch.ones(1), 'ln_final.weight': torch.ones(1)}, "these are CLIP's weights"),
    ({'text_model.final_layer_norm.weight': torch.ones(1)}, "these are CLIP's weights"),
    ({'\n' * 10_000: torch.ones(1), '.' * 200_000: torch.ones(1), **without(STATE, 'backbone.stem')}, ''),
])
def test_what_explains_most_of_the_differing_keys(given, explanation):
    report = compare_keys(given, STATE)
    assert explanation in report.explanation
    assert explanation in str(report)
    assert report.summary('do this').isprintable()
    assert len(report.summary()) < 2500
    assert report.summary('do this').endswith(report.explanation or 'do this')


@pytest.mark.parametrize(('change', 'explanation'), [
    ({'neck': {'out_channels': (16, 32, 64)}, 'decode_head': {'in_channels': 32}}, 'another width'),
    ({'decode_head': {'num_layers': 4}}, "another number of layers, e.g. in 'decode_head.decoder.layers' 4 in"),
    ({'text_encoder': {'word_length': 5, 'context_length': 5}}, 'another number of positions'),
])
def test_other_configs_of_the_same_model_are_recognised(tiny_model_cfg, change, explanation):
    other = copy.deepcopy(tiny_model_cfg)
    for part, values in change.items():
        other[part].update(values)
    given, wanted = (MODELS.build(cfg).state_dict() for cfg in (other, tiny_model_cfg))
    assert explanation in compare_keys(given, wanted).explanation
    assert not compare_keys(wanted, wanted)


UNUSABLE = {
    'NaN': lambda value: value * torch.nan,
    'infinite': lambda value: torch.full_like(value, -torch.inf),
    'too large for single precision': lambda value: torch.full_like(value, 1e300, dtype=torch.float64),
    'integers': lambda value: value.long(),
    'booleans': lambda value: value.bool(),
    'complex': lambda value: value.to(torch.complex64),
    'sparse': lambda value: value.to_sparse(),
    'compressed rows': lambda value: value.reshape(2, -1).to_sparse_csr(),
    'quantised': lambda value: torch.quantize_per_tensor(value, 0.1, 0, torch.qint8),
    'meta': lambda value: value.to('meta'),
}


@pytest.mark.parametrize('name', ['0.weight', '1.running_mean', '1.running_var'])
@pytest.mark.parametrize('kind', UNUSABLE)
def test_other_values_of_parameters_and_buffers_are_rejected(name, kind):
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    state = model.state_dict()
    report = compare_keys({**state, name: UNUSABLE[kind](state[name])}, state)
    assert len(report.unusable) == 1
    assert f'1 keys with unusable values ({name} ' in report.summary()
    # Where nothing is filled, any value may be.
    extra = {**state, 'extra': UNUSABLE[kind](state[name])}
    assert not compare_keys(extra, state).unusable


def test_other_precisions_and_whole_numbers_fit():
    state = nn.BatchNorm1d(2).state_dict()
    for kind in (torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn):
        assert not compare_keys({**state, 'weight': state['weight'].to(kind)}, state)
    for value, fits in ((3., True), (3, True), (2.5, False), (torch.nan, False), (1j, False)):
        assert bool(compare_keys({**state, 'num_batches_tracked': torch.tensor(value)}, state)) is not fits


def test_a_mask_of_infinities_that_the_model_has_too_fits():
    mask = {'mask': torch.full((3, 3), -torch.inf).triu(1)}
    assert not compare_keys({'mask': mask['mask'].half()}, mask)
    assert compare_keys({'mask': mask['mask'].T.contiguous()}, mask).unusable


def test_weights_that_were_not_copied_are_noticed():
    model = nn.Linear(3, 2)
    check_loaded(model, {'weight': model.weight.double(), 'other': torch.ones(1)}, 'x.pth')
    with pytest.raises(WeightsError, match=r'after loading x\.pth, 1 entries of the Linear do not have its values'):
        check_loaded(model, {**model.state_dict(), 'bias': torch.ones(2) * 9}, 'x.pth')

import copy

import pytest
import torch

from mmpartref.errors import WeightsError
from mmpartref.models.weights.cris_keys import from_published, to_published
from mmpartref.models.weights.cris_weights import convert_cris, revert_cris
from mmpartref.models.weights.state_files import read_tensors
from mmpartref.registry import MODELS


@pytest.fixture
def published(tiny_model_cfg) -> dict[str, torch.Tensor]:
    """A state dict under the published names, of tiny widths."""
    # convert_cris assumes what is not in the weights: 64 channels per head in CLIP, 8 in CRIS.
    tiny_model_cfg['backbone']['num_heads'] = 4
    tiny_model_cfg['decode_head']['num_heads'] = 8
    return to_published(MODELS.build(tiny_model_cfg).state_dict())


def test_names_are_the_published_ones(published):
    for name in ('backbone.visual.layer1.0.downsample.0.weight', 'backbone.transformer.resblocks.1.attn.in_proj_weight',
                 'backbone.logit_scale', 'neck.txt_proj.0.weight', 'neck.norm_layer.0.running_mean',
                 'neck.coordconv.0.conv1.0.weight', 'neck.f4_proj3.1.bias',
                 'decoder.layers.1.multihead_attn.in_proj_bias',
                 'decoder.layers.0.norm3.weight', 'decoder.layers.0.self_attn_norm.bias', 'decoder.norm.weight',
                 'proj.vis.4.bias', 'proj.txt.weight'):
        assert name in published


def test_there_and_back_loses_nothing(published):
    ours, config, clip = convert_cris(published)
    assert clip.startswith('custom resnet')
    model = MODELS.build(config)
    model.load_state_dict(ours, strict=True)
    again = revert_cris(model.state_dict(), published['backbone.logit_scale'])
    assert again.keys() == published.keys()
    for name, value in published.items():
        assert torch.equal(again[name], value), name


def test_missing_unexpected_and_reshaped_keys_are_all_listed(published):
    broken = copy.copy(published)
    del broken['proj.txt.bias']
    del broken['neck.aggr.0.weight']
    broken['decoder.norm.extra'] = torch.zeros(1)
    broken['proj.vis.4.bias'] = torch.zeros(99)
    with pytest.raises(WeightsError) as caught:
        convert_cris(broken)
    text = str(caught.value)
    assert '2 missing:' in text
    assert 'decode_head.projector.kernel.bias' in text
    assert 'neck.aggregate.0.weight' in text
    assert '1 unexpected:\n  decode_head.decoder.norm.extra' in text
    assert 'decode_head.projector.conv3.bias: (99,) instead of (8,)' in text
    with pytest.raises(WeightsError, match=r'decoy\.weight'):
        from_published({**published, 'decoy.weight': torch.zeros(1)})
    with pytest.raises(WeightsError, match='lack'):
        convert_cris({'conv1.weight': torch.zeros(1)})


@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_the_tool_converts_a_training_checkpoint_there_and_back(published, tmp_path, run_tool, prefix):
    source, ours, back = tmp_path / 'best_model.pth', tmp_path / 'ours.pth', tmp_path / 'back.pth'
    torch.save({'epoch': 3, 'best_iou': 0.5, 'state_dict': {prefix + key: value for key, value in published.items()},
                'optimizer': {'state': {}, 'param_groups': [{'lr': 1e-4}]}}, source)
    assert 'all fit' in run_tool('convert_cris', source, ours) + run_tool('convert_cris', ours, back, '--reverse')
    for name, value in read_tensors(back).items():
        if name != 'backbone.logit_scale':
            assert torch.equal(value, published[name]), name
    with pytest.raises(SystemExit, match='there is no weights file'):
        run_tool('convert_cris', tmp_path / 'none.pth', ours)


def test_the_tool_converts_the_weights_under_a_key_and_names_the_file(published, tmp_path, run_tool):
    source, ours = tmp_path / 'best_model.pth', tmp_path / 'ours.pth'
    averaged = {f'module.{name}': value + 1 for name, value in published.items()}
    torch.save({'state_dict': published, 'ema': {**averaged, 'n_averaged': torch.tensor(3)}}, source)
    run_tool('convert_cris', source, ours, '--key', 'ema')
    assert torch.equal(read_tensors(ours)['decode_head.projector.kernel.bias'], published['proj.txt.bias'] + 1)
    with pytest.raises(SystemExit, match=r"ours\.pth: these weights have mmpartref's names"):
        run_tool('convert_cris', ours, source)
    with pytest.raises(SystemExit, match=r'best_model\.pth: these weights have the published names'):
        run_tool('convert_cris', source, ours, '--reverse')

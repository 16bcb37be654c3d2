"""Every image encoder that needs no further package: maps, strides, gradients, half precision, odd sizes."""
import pytest
import torch

from mmpartref.registry import MODELS

VIT = dict(type='CLIPVisionTransformer', patch_size=16, width=32, layers=3, num_heads=2, embed_channels=24,
           pretrain_grid=3)
# Name: config, strides of C3, C4 and C5.
ENCODERS = {
    'vit': (VIT, (16, 16, 16)),
    'vit_pyramid': ({**VIT, 'pyramid_channels': 16}, (8, 16, 32)),
    'rn50x4': (dict(type='CLIPResNet', layers=(4, 6, 10, 6), width=8, embed_channels=20, num_heads=4, pretrain_grid=9),
               (8, 16, 32)),
    'mmseg': (dict(type='SelectMaps', out_channels=(16, 32, 32),
                   backbone=dict(type='mmseg.MixVisionTransformer', embed_dims=8, num_layers=(1, 1, 1, 1),
                                 num_heads=(1, 2, 4, 4))), (8, 16, 32)),
    'mmdet': (dict(type='SelectMaps', out_channels=(64, 128, 256),
                   backbone=dict(type='mmdet.ResNet', depth=50, base_channels=8, stem_channels=8)), (8, 16, 32)),
}
CASES = [pytest.param(name, marks=[pytest.mark.full_mmcv] * name.startswith('mm')) for name in ENCODERS]


@pytest.mark.parametrize('name', CASES)
def test_encoder_maps_and_gradients(name):
    config, strides = ENCODERS[name]
    torch.manual_seed(0)
    encoder = MODELS.build(config).train()
    maps = encoder(torch.randn(2, 3, 64, 96))
    assert [tuple(each.shape) for each in maps] == [
        (2, channels, 64 // stride, 96 // stride)
        for channels, stride in zip(encoder.out_channels, strides, strict=True)]
    sum(each.square().mean() for each in maps).backward()
    first = next(encoder.parameters())
    assert first.grad is not None
    assert first.grad.abs().sum() > 0


@pytest.mark.parametrize('name', CASES)
def test_encoder_takes_odd_sizes_in_half_precision(name):
    config, strides = ENCODERS[name]
    encoder = MODELS.build(config).eval()
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        maps = encoder(torch.randn(1, 3, 75, 101))
    for each, channels, stride in zip(maps, encoder.out_channels, strides, strict=True):
        assert each.size(1) == channels
        assert each.isfinite().all()
        # A transformer's images are stretched to whole patches first, by up to 15 pixels.
        slack = max(1, 15 / stride)
        assert abs(each.size(2) - 75 / stride) <= slack
        assert abs(each.size(3) - 101 / stride) <= slack


@pytest.mark.full_mmcv
def test_select_maps_rejects_wrong_channels():
    config = {**ENCODERS['mmdet'][0], 'out_channels': (64, 128, 999)}
    with pytest.raises(ValueError, match='declares out_channels'):
        MODELS.build(config)(torch.randn(1, 3, 64, 64))

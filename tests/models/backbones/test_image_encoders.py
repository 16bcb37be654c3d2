"""Every image encoder that needs no further package: maps, strides, gradients, half precision, odd sizes."""
import copy

import pytest
import torch
from torch import nn

from mmpartref.errors import InputError
from mmpartref.models.backbones import SelectMaps
from mmpartref.models.backbones.select_maps import build_image_encoder
from mmpartref.registry import MODELS

VIT = dict(type='CLIPVisionTransformer', patch_size=16, width=32, layers=3, num_heads=2, embed_channels=24,
           pretrain_grid=3)
# Name: config, strides of C3, C4 and C5.
ENCODERS = {
    'vit': (VIT, (16, 16, 16)),
    'vit_pyramid': ({**VIT, 'pyramid_channels': 16}, (8, 16, 32)),
    'rn50x4': (dict(type='CLIPResNet', layers=(4, 6, 10, 6), width=8, embed_channels=20, num_heads=4, pretrain_grid=9),
               (8, 16, 32)),
    'lite': (dict(type='EfficientNetLite', variant='lite0'), (8, 16, 32)),
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


class FourMaps(nn.Module):
    """A backbone as mmdet's: four maps, no out_channels, and train() returns nothing."""

    def __init__(self, strides: tuple[int, ...] = (4, 8, 16, 32), **init: object) -> None:
        super().__init__()
        self.strides = strides
        self.layers = nn.ModuleList(nn.Conv2d(3, 2 + stride, 1) for stride in strides)

    def train(self, mode: bool = True) -> None:
        super().train(mode)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(layer(images[:, :, ::stride, ::stride])
                     for layer, stride in zip(self.layers, self.strides, strict=True))


@pytest.mark.parametrize(('strides', 'channels'), [
    ((4, 8, 16, 32), (10, 18, 34)), ((2, 4, 8, 16, 32), (10, 18, 34)), ((8, 8, 16, 16, 32), (10, 18, 34)),
    ((4, 8, 8, 8), (10, 10, 10)), ((8, 16, 32), (10, 18, 34))])
def test_the_channels_of_any_backbone_are_found_by_a_dry_run(strides, channels):
    encoder = build_image_encoder({'type': FourMaps, 'strides': strides})
    assert isinstance(encoder, SelectMaps)
    assert encoder.out_channels == channels
    assert encoder.model.training
    maps = encoder(torch.zeros(2, 3, 64, 64))
    assert tuple(each.shape[1] for each in maps) == channels


def test_a_backbone_of_other_outputs_is_one_sentence():
    with pytest.raises(InputError, match='FourMaps gives 2 maps but'):
        build_image_encoder({'type': FourMaps, 'strides': (16, 32)})
    with pytest.raises(InputError, match=r'Linear cannot be found on an image of 128 x 128 pixels \(RuntimeError: '):
        build_image_encoder({'type': nn.Linear, 'in_features': 3, 'out_features': 3})
    with pytest.raises(InputError, match=r'Flatten does not return maps \(N, C, H, W\)'):
        build_image_encoder({'type': nn.Flatten})


def test_a_backbone_with_three_out_channels_is_used_as_it_is():
    encoder = build_image_encoder({'type': 'CLIPResNet', 'layers': (1, 1, 1, 1), 'width': 8, 'embed_channels': 24,
                                   'num_heads': 4})
    assert type(encoder).__name__ == 'CLIPResNet'


@pytest.mark.parametrize('backbone', [
    {'type': 'CLIPResNet', 'layers': (1, 1, 1, 1), 'width': 8, 'embed_channels': 24, 'num_heads': 4},
    {'type': 'EfficientNetLite'},
    {'type': 'SelectMaps', 'backbone': {'type': FourMaps}, 'indices': (0, 1, 2, 3)}])
def test_the_map_of_stride_4_comes_first_if_it_is_asked_for(backbone):
    four = {**backbone, 'indices': (0, 1, 2, 3)} if 'indices' in backbone else {**backbone, 'out_indices': (0, 1, 2, 3)}
    encoder, images = build_image_encoder(four).eval(), torch.randn(1, 3, 64, 96)
    maps = encoder(images)
    assert [tuple(each.shape) for each in maps] == [
        (1, channels, 64 // stride, 96 // stride)
        for channels, stride in zip(encoder.out_channels, (4, 8, 16, 32), strict=True)]
    three = build_image_encoder({name: value for name, value in backbone.items() if name != 'indices'}).eval()
    three.load_state_dict(encoder.state_dict())
    for one, other in zip(three(images), maps[1:], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(('config', 'message'), [
    ({'type': 'CLIPResNet', 'out_indices': (0, 1, 2)}, r'out_indices=\(0, 1, 2\) of CLIPResNet should be'),
    ({'type': 'SelectMaps', 'backbone': {'type': FourMaps}, 'indices': (0, 1)}, 'three or four indices'),
    ({'type': 'SelectMaps', 'backbone': {'type': FourMaps}, 'indices': (1, 2, 3), 'out_channels': (6, 10, 18, 34)},
     'SelectMaps has 3 indices but 4 out_channels')])
def test_other_numbers_of_maps_are_rejected(config, message):
    with pytest.raises(InputError, match=message):
        MODELS.build(config)


def test_channels_that_the_config_does_not_give_are_those_of_the_encoders(tiny_model_cfg):
    wanted = MODELS.build(copy.deepcopy(tiny_model_cfg))
    for part, keys in (('neck', ('in_channels', 'sentence_channels')),
                       ('decode_head', ('in_channels', 'word_channels', 'sentence_channels'))):
        for key in keys:
            del tiny_model_cfg[part][key]
    built = MODELS.build(tiny_model_cfg)
    shapes = {name: value.shape for name, value in built.state_dict().items()}
    assert shapes == {name: value.shape for name, value in wanted.state_dict().items()}
    tiny_model_cfg['backbone'] = {'type': FourMaps}
    assert MODELS.build(tiny_model_cfg).neck.in_channels == (10, 18, 34)


@pytest.mark.full_mmcv
@pytest.mark.parametrize('backbone', [
    {'type': 'mmdet.MobileNetV2', 'widen_factor': 0.1}, {'type': 'mmdet.ResNet', 'depth': 18, 'base_channels': 4},
    {'type': 'mmdet.SwinTransformer', 'embed_dims': 4, 'depths': (1, 1, 1, 1), 'num_heads': (1, 1, 2, 2)},
    {'type': 'mmseg.MixVisionTransformer', 'embed_dims': 4, 'num_heads': (1, 1, 1, 1), 'num_layers': (1, 1, 1, 1)}])
def test_backbones_of_mmdet_and_mmseg_train_in_a_cris(backbone, tiny_model_cfg):
    for part in ('neck', 'decode_head'):
        tiny_model_cfg[part].pop('in_channels')
    model = MODELS.build({**tiny_model_cfg, 'backbone': backbone})
    logits = model.encode_decode(torch.rand(1, 3, 64, 64), torch.ones(2, 8, dtype=torch.long), torch.zeros(2).long())
    logits.square().mean().backward()
    assert any(each.grad is not None and each.grad.abs().sum() > 0 for each in model.backbone.parameters())

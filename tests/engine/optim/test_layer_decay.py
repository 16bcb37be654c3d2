"""Rates that fall with depth, and what contradicts them."""
import pytest
import torch
from torch import nn

from mmpartref.engine.config.config_keys import check_custom_keys
from mmpartref.engine.optim.grouped_optim_wrapper_constructor import GroupedOptimWrapperConstructor
from mmpartref.errors import ConfigError
from mmpartref.registry import MODELS

ENCODERS = {
    'vit': dict(type='CLIPVisionTransformer', patch_size=16, width=16, layers=3, num_heads=2, embed_channels=8,
                pretrain_grid=2, pyramid_channels=8),
    'resnet': dict(type='CLIPResNet', layers=(1, 1, 1, 1), width=8, embed_channels=16, num_heads=2, pretrain_grid=2),
    'text': dict(type='CLIPTextEncoder', width=16, layers=3, heads=2, embed_channels=8, vocab_size=64),
}
# Name of a parameter: its depth.
DEPTHS = {
    'vit': {'conv1.weight': 0, 'class_embedding': 0, 'positional_embedding': 0, 'ln_pre.bias': 0,
            'transformer.resblocks.0.attn.in_proj_weight': 1, 'transformer.resblocks.2.mlp.c_fc.weight': 3,
            'ln_post.weight': 4, 'proj': 4, 'pyramid.branches.0.0.weight': 4},
    'resnet': {'conv1.weight': 0, 'bn3.bias': 0, 'layer1.0.conv1.weight': 1, 'layer4.0.bn3.weight': 4,
               'attnpool.positional_embedding': 5},
    'text': {'token_embedding.weight': 0, 'positional_embedding': 0, 'transformer.resblocks.1.ln_1.weight': 2,
             'ln_final.bias': 4, 'text_projection': 4},
}


def rates(model: nn.Module, lr: float | None = 1.0, **paramwise) -> dict[str, float]:
    optimizer = {'type': 'SGD', 'lr': lr} if lr is not None else {'type': 'Adam'}
    groups = GroupedOptimWrapperConstructor({'optimizer': optimizer}, paramwise)(model).optimizer.param_groups
    by_parameter = {id(each): group['lr'] for group in groups for each in group['params']}
    # Every parameter that learns is stepped, once.
    assert sum(len(group['params']) for group in groups) == len(by_parameter)
    return {name: by_parameter[id(each)] for name, each in model.named_parameters() if each.requires_grad}


def model(kind: str, **changes) -> nn.Module:
    return nn.ModuleDict({'backbone': MODELS.build({**ENCODERS[kind], **changes}), 'head': nn.Linear(2, 2)})


@pytest.mark.parametrize('kind', ENCODERS)
def test_each_layer_has_the_rate_of_its_depth(kind):
    net = model(kind)
    found = rates(net, layer_decay=dict(backbone=0.5), custom_keys=dict(backbone=dict(lr_mult=0.1)))
    deepest = net['backbone'].num_layers + 1
    for name, depth in DEPTHS[kind].items():
        assert found[f'backbone.{name}'] == pytest.approx(0.1 * 0.5**(deepest - depth)), name
    assert {net['backbone'].layer_id(name) for name, _ in net['backbone'].named_parameters()} == set(range(deepest + 1))
    assert found['head.weight'] == found['head.bias'] == 1.0
    assert rates(net, layer_decay=dict(backbone=1.0)) == rates(net)


def test_added_layers_have_the_rate_of_their_block():
    net = model('vit', lora=dict(r=2, target_modules=['in_proj']))
    found = rates(net, layer_decay=dict(backbone=0.5))
    assert {rate for name, rate in found.items() if 'resblocks.0.' in name} == {0.125}
    assert all('.lora_' in name or 'pyramid' in name or name.startswith('head') for name in found)


@pytest.mark.parametrize(('layer_decay', 'reason'), [
    (0.8, r'layer_decay=0\.8 should be a dict, e\.g\. dict\(backbone=0\.8\)'),
    (dict(backbone=0.0), 'factor of backbone is 0.0'),
    (dict(backbone=1.5), 'factor of backbone is 1.5'),
    (dict(backbone='0.8'), "factor of backbone is '0.8'"),
    (dict(backbone=True), 'factor of backbone is True'),
    (dict(neck=0.5), "'neck' is not in the model; use 'backbone' or 'text_encoder'"),
    (dict(head=0.5), "'head' is a Linear without layer_id"),
])
def test_an_invalid_module_or_factor_is_rejected(layer_decay, reason):
    with pytest.raises(ValueError, match=reason):
        rates(model('vit'), layer_decay=layer_decay)


@pytest.mark.full_mmcv
def test_an_encoder_without_depths_is_rejected():
    net = nn.ModuleDict({'backbone': MODELS.build(dict(
        type='SelectMaps', out_channels=(8, 16, 32),
        backbone=dict(type='mmdet.ResNet', depth=18, base_channels=4, stem_channels=4)))})
    with pytest.raises(ValueError, match="'backbone': SelectMaps does not define the depth"):
        rates(net, layer_decay=dict(backbone=0.5))


def test_an_encoder_without_learning_rates_is_rejected():
    with pytest.raises(ValueError, match="'backbone' is frozen"):
        rates(model('text', freeze=True), layer_decay=dict(backbone=0.5))
    with pytest.raises(ValueError, match='set lr of the optimizer'):
        rates(model('vit'), lr=None, layer_decay=dict(backbone=0.5))


def test_a_custom_key_inside_an_encoder_is_rejected():
    keys = {'backbone': dict(lr_mult=0.1), 'positional_embedding': dict(lr_mult=1.0)}
    with pytest.raises(ValueError, match=r"gives backbone\.positional_embedding two learning rates, one by custom_"
                                         r"keys\['positional_embedding'\] and 0\.0625 of that of backbone"):
        rates(model('vit'), layer_decay=dict(backbone=0.5), custom_keys=keys)
    # The factor is 1 there: the main config's key for the ResNet's position table.
    keys['backbone.attnpool.positional_embedding'] = keys.pop('positional_embedding')
    found = rates(model('resnet'), layer_decay=dict(backbone=0.5), custom_keys=keys)
    assert found['backbone.attnpool.positional_embedding'] == 1.0
    assert found['backbone.layer4.0.conv1.weight'] == pytest.approx(0.05)
    # A key that sets no rate contradicts nothing.
    found = rates(model('vit'), layer_decay=dict(backbone=0.5), custom_keys=dict(ln_pre=dict(momentum=0.5)))
    assert found['backbone.ln_pre.weight'] == 0.0625


def test_layer_decay_with_another_constructor_is_rejected():
    wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1.0),
                   paramwise_cfg=dict(layer_decay=dict(backbone=0.5)))
    with pytest.raises(ConfigError, match=r'DefaultOptimWrapperConstructor does not read .*layer_decay'):
        check_custom_keys(model('vit'), wrapper)
    check_custom_keys(model('vit'), {**wrapper, 'constructor': 'mmpartref.GroupedOptimWrapperConstructor'})


def test_a_step_moves_layers_by_their_rates():
    net = model('vit')
    before = {name: each.detach().clone() for name, each in net.named_parameters()}
    wrapper = GroupedOptimWrapperConstructor({'optimizer': {'type': 'SGD', 'lr': 1.0}},
                                             {'layer_decay': {'backbone': 0.5}})(net)
    for each in net.parameters():
        each.grad = torch.ones_like(each)
    wrapper.step()
    moved = {name: (before[name] - each).mean().item() for name, each in net.named_parameters()}
    assert moved['backbone.conv1.weight'] == pytest.approx(0.0625, rel=1e-4)
    assert moved['backbone.transformer.resblocks.1.ln_1.weight'] == pytest.approx(0.25, rel=1e-4)
    assert moved['head.weight'] == pytest.approx(1.0, rel=1e-4)

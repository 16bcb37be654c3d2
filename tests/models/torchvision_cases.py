"""Encoders of timm and open_clip; run by test_torchvision_encoders.py in a separate process.

Both packages import torchvision, and there is no build of it for every torch that the tests run under. Nothing here
needs its compiled operations, so where they do not load they are declared without being defined.
"""
import importlib.util
import socket
from pathlib import Path
from typing import Any

import pytest
import step_cases
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from tokenizers import Tokenizer, models

from mmpartref.engine.config.config_keys import check_custom_keys
from mmpartref.engine.optim.grouped_optim_wrapper_constructor import GroupedOptimWrapperConstructor
from mmpartref.errors import MissingWeightsError, WeightsError
from mmpartref.models.layers.tuning.lora import merge_lora
from mmpartref.registry import MODELS

CONFIGS = Path(__file__).parents[2] / 'configs'
OPERATIONS = ('nms', 'qnms', 'roi_align', 'ps_roi_align', 'roi_pool', 'ps_roi_pool', 'deform_conv2d')
VIT = dict(depth=3, embed_dim=48, num_heads=2)
CONVNEXT = dict(depths=(1, 1, 1, 1), dims=(8, 16, 24, 32))
SWIN = dict(depths=(1, 1, 2, 1), embed_dim=8, num_heads=(1, 1, 2, 2))
# Family: a model of timm's, made small, and the channels of its maps; None where they are the pyramid's.
FAMILIES: dict[str, tuple[str, dict, tuple[int, int, int] | None]] = {
    'eva02_clip': ('eva02_base_patch16_clip_224.merged2b', VIT, None),
    'siglip2': ('vit_base_patch16_siglip_224.v2_webli', VIT, None),
    'dinov2': ('vit_small_patch14_dinov2.lvd142m', VIT, None),
    'dinov2_registers': ('vit_small_patch14_reg4_dinov2.lvd142m', VIT, None),
    'dinov3_vit': ('vit_small_patch16_dinov3.lvd1689m', VIT, None),
    'dinov3_convnext': ('convnext_tiny.dinov3_lvd1689m', CONVNEXT, (16, 24, 32)),
    'convnext': ('convnext_tiny.fb_in22k', CONVNEXT, (16, 24, 32)),
    'swin': ('swin_tiny_patch4_window7_224.ms_in22k', SWIN, (16, 32, 64)),
    'swinv2': ('swinv2_tiny_window8_256.ms_in1k', SWIN, (16, 32, 64)),
    'mobilenetv3': ('mobilenetv3_small_050.lamb_in1k', {}, (16, 24, 288)),
    'mobilenetv4': ('mobilenetv4_conv_small_050.e3000_r224_in1k', {}, (32, 48, 480)),
}
# Layers with LoRA and adapters.
TARGETS = {'eva02_clip': ('q_proj', 'mlp'), 'siglip2': ('qkv', 'mlp'), 'dinov3_vit': ('qkv', 'mlp'),
           'convnext': ('fc1', 'mlp'), 'swin': ('qkv', 'mlp')}
# By how much the outputs of one encoder may differ in two forward passes.
ROUNDING = dict(rtol=1e-4, atol=1e-4)
TEXT = dict(width=32, heads=2, layers=3)
TEXTS = ['the tire of the car', 'quadruped head', 'a bird\'s   WING &amp; tail', 'head ' * 40]


@pytest.fixture(scope='module', autouse=True)
def _torchvision():
    """Load torchvision's operations, or declare them."""
    library = Path(importlib.util.find_spec('torchvision').origin).with_name('_C.so')
    try:
        torch.ops.load_library(library)
    except OSError:
        declared = torch.library.Library('torchvision', 'DEF')
        for name in OPERATIONS:
            declared.define(f'{name}(Tensor a, Tensor b, float c) -> Tensor')
        yield declared
    else:
        yield None


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    """Fail a test that opens a connection. Hugging Face's offline switch ends downloads before that."""
    calls: list[Any] = []

    def fail(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        raise OSError('no network in tests')

    for name in ('connect', 'connect_ex'):
        monkeypatch.setattr(socket.socket, name, fail)
    monkeypatch.setattr(socket, 'getaddrinfo', fail)
    yield
    assert calls == []


@pytest.fixture
def vocabulary(tmp_path) -> str:
    words = {'<pad>': 0, '<eos>': 1, 'tire': 2, 'head': 3}
    Tokenizer(models.WordLevel(words, unk_token='<pad>')).save(str(tmp_path / 'tokenizer.json'))
    return str(tmp_path / 'tokenizer.json')


def image_encoder(family: str, **changes: Any) -> Any:
    model_name, model_args, _ = FAMILIES[family]
    return MODELS.build(dict(type='TimmBackbone', model_name=model_name, model_args=model_args, pyramid_channels=16,
                             **changes))


def text_encoder(model_name: str = 'ViT-B-32', **changes: Any) -> Any:
    return MODELS.build(dict(type='OpenCLIPTextEncoder', model_name=model_name, text_args=TEXT, **changes))


def initialised(encoder: Any) -> Any:
    with DefaultScope.overwrite_default_scope('mmpartref'):
        encoder.init_weights()
    return encoder.eval()


def backward(outputs: Any) -> None:
    sum(each.float().square().mean() for each in outputs).backward()


def randomised(encoder: torch.nn.Module, part: str) -> None:
    for name, each in encoder.named_parameters():
        if part in name:
            torch.nn.init.normal_(each, std=0.1)


def gradients(encoder: torch.nn.Module) -> dict[str, torch.Tensor | None]:
    return {name: each.grad for name, each in encoder.named_parameters() if each.requires_grad}


@pytest.mark.parametrize('family', FAMILIES)
def test_maps_and_gradients_at_an_odd_size_in_both_precisions(family):
    encoder = image_encoder(family).train()
    assert encoder.out_channels == (FAMILIES[family][2] or (16, 16, 16))
    for autocast in (False, True):
        encoder.zero_grad()
        with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
            maps = encoder(torch.randn(2, 3, 100, 132))
        for each, channels, stride in zip(maps, encoder.out_channels, (8, 16, 32), strict=True):
            assert each.shape[:2] == (2, channels)
            assert each.isfinite().all()
            assert abs(each.size(2) - 100 / stride) < 100 / stride / 3
            assert abs(each.size(3) - 132 / stride) < 132 / stride / 3
        backward(maps)
        found = gradients(encoder)
        assert found
        assert [name for name, each in found.items() if each is None or not each.isfinite().all()] == []
        # The gradient reaches the first layer.
        assert next(iter(found.values())).abs().sum() > 0


# A transformer with a pyramid, and two families with other channels.
@pytest.mark.parametrize('family', ['siglip2', 'convnext', 'mobilenetv4'])
def test_a_config_of_ten_lines_makes_a_cris(family, tiny_model_cfg, tmp_path):
    model_name, model_args, channels = FAMILIES[family]
    (tmp_path / 'base.py').write_text(f'model = {tiny_model_cfg!r}\n')
    (tmp_path / 'leaf.py').write_text(
        "_base_ = './base.py'\n"
        'model = dict(\n'
        f"    backbone=dict(_delete_=True, type='TimmBackbone', model_name={model_name!r}, pyramid_channels=16,\n"
        f'                  model_args={model_args!r}),\n'
        f'    neck=dict(in_channels={channels or (16, 16, 16)!r}))\n')
    model = MODELS.build(Config.fromfile(tmp_path / 'leaf.py').model).train()
    tokens = model.text_encoder.tokenizer(TEXTS[:3])
    logits = model.encode_decode(torch.randn(2, 3, 100, 132), tokens, torch.tensor([0, 0, 1]))
    assert logits.shape == (3, 1, 25, 33)
    backward([logits])
    found = gradients(model.backbone)
    assert [name for name, each in found.items() if each is None or not each.isfinite().all()] == []


@pytest.mark.parametrize('family', FAMILIES)
def test_rates_fall_with_depth(family):
    encoder = image_encoder(family)
    model = torch.nn.ModuleDict({'backbone': encoder, 'head': torch.nn.Linear(2, 2)})
    constructor = GroupedOptimWrapperConstructor({'optimizer': {'type': 'SGD', 'lr': 1.0}},
                                                 {'layer_decay': {'backbone': 0.5}})
    rates = {id(each): group['lr'] for group in constructor(model).optimizer.param_groups for each in group['params']}
    assert len(rates) == len(list(model.parameters()))
    assert rates[id(model['head'].weight)] == 1.0
    scales = {name: rates[id(each)] for name, each in encoder.named_parameters()}
    depth = encoder.num_layers + 1
    assert set(scales.values()) <= {0.5**each for each in range(depth + 1)}
    # The stem is the slowest, each stage has one rate, a later stage is never slower.
    assert next(iter(scales.values())) == 0.5**depth
    ordered = [scales[name] for name in scales if any(part in name for part in ('.blocks.', '.stages.', '.layers.'))
               and not name.startswith('pyramid.')]
    assert len(set(ordered)) >= 3
    assert ordered == sorted(ordered)
    assert all(scales[name] == 1.0 for name in scales if name.startswith('pyramid.'))


@pytest.mark.parametrize('family', FAMILIES)
def test_weights_of_a_file_give_timms_outputs(family, tmp_path):
    """Compare with timm's model on an image of its default size, classifier and pooling in the file."""
    import timm
    model_name, model_args, _ = FAMILIES[family]
    theirs = timm.create_model(model_name, **model_args).eval()
    path = tmp_path / 'weights.pth'
    torch.save(theirs.state_dict(), path)
    ours = initialised(image_encoder(family, init_cfg=dict(type='PackagePretrained', checkpoint=str(path))))
    # Without dynamic_img_size theirs takes no other.
    images = torch.randn(1, *theirs.pretrained_cfg['input_size'])
    with torch.no_grad():
        expected = theirs.forward_intermediates(images, indices=list(ours.out_indices), norm=ours.plain,
                                                intermediates_only=True)
        ours.pyramid = None if not ours.plain else Same()
        for one, other in zip(ours(images), expected, strict=True):
            torch.testing.assert_close(one, other, **ROUNDING)


@pytest.mark.parametrize('family', ['siglip2', 'convnext'])
def test_values_that_timm_would_cast_are_rejected(family, tmp_path):
    import timm
    model_name, model_args, _ = FAMILIES[family]
    state = timm.create_model(model_name, **model_args).state_dict()
    name = next(each for each in state if each.endswith('fc1.weight'))
    value, path = state[name], tmp_path / 'values.pth'
    for other in (value.long(), value.to(torch.complex64), value * torch.nan, value / 0):
        torch.save({'model': {**state, name: other}}, path)
        with pytest.raises(WeightsError, match=rf'values\.pth cannot be used: {name} (has values of type|is NaN at)'):
            initialised(image_encoder(family, init_cfg=dict(type='PackagePretrained', checkpoint=str(path))))


class Same(torch.nn.Module):
    """Replaces the pyramid, to record its inputs."""

    def forward(self, maps: Any) -> Any:
        return maps


@pytest.mark.parametrize('kind', ['lora', 'adapter'])
@pytest.mark.parametrize('family', TARGETS)
def test_added_layers_start_as_nothing_and_alone_learn(family, kind):
    layer = TARGETS[family][kind == 'adapter']
    size = dict(r=2) if kind == 'lora' else dict(channels=4)
    plain = image_encoder(family).eval()
    tuned = image_encoder(family, **{kind: dict(target_modules=[layer], **size)}).eval()
    report = tuned.load_state_dict(plain.state_dict(), strict=False)
    part = '.lora_' if kind == 'lora' else '.adapter.'
    assert report.missing_keys
    assert not report.unexpected_keys
    assert all(part in key for key in report.missing_keys)
    images = torch.randn(1, 3, 64, 96)
    maps = tuned(images)
    for one, other in zip(plain(images), maps, strict=True):
        torch.testing.assert_close(one, other, **ROUNDING)
    backward(maps)
    found = gradients(tuned)
    assert any(part in name for name in found)
    assert all(part in name or name.startswith('pyramid.') for name in found)
    assert all(each is not None for each in found.values())
    if kind == 'lora':
        randomised(tuned, part)
        with torch.no_grad():
            before = tuned.eval()(images)
            assert merge_lora(tuned) > 0
            plain.eval().load_state_dict(tuned.state_dict())
            for one, other in zip(before, plain(images), strict=True):
                torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_frozen_timm_encoders():
    frozen = image_encoder('convnext', freeze=True).train()
    assert not gradients(frozen)
    half = image_encoder('mobilenetv4', frozen_stages=2).train()
    learning = gradients(half)
    assert {name for name, _ in half.named_parameters() if half.layer_id(name) > 2} == set(learning)
    assert not half.model.bn1.training
    assert half.model.blocks[-1].training
    backward(half(torch.randn(2, 3, 64, 64)))
    assert all(each is not None for each in gradients(half).values())


def test_wrong_weights_of_timm_are_rejected(tmp_path):
    def start(checkpoint: Any) -> None:
        initialised(image_encoder('siglip2', init_cfg=dict(type='PackagePretrained', checkpoint=str(checkpoint))))

    with pytest.raises(MissingWeightsError, match=r'there is no weights file .*none\.pth; give the path of one for'):
        start(tmp_path / 'none.pth')
    torch.save(image_encoder('convnext').model.state_dict(), tmp_path / 'other.pth')
    with pytest.raises(WeightsError, match=r'other\.pth does not fit'):
        start(tmp_path / 'other.pth')
    state = image_encoder('siglip2').model.state_dict()
    del state['blocks.1.attn.qkv.weight']
    torch.save(state, tmp_path / 'lacking.pth')
    with pytest.raises(WeightsError, match=r'(?s)lacking\.pth does not fit .*blocks\.1\.attn\.qkv\.weight'):
        start(tmp_path / 'lacking.pth')
    (tmp_path / 'text.pth').write_text('no weights')
    with pytest.raises(WeightsError, match=r'text\.pth'):
        start(tmp_path / 'text.pth')
    with pytest.raises(MissingWeightsError, match=r'could not be fetched .*download timm/vit_base_patch16_siglip_224'):
        start('timm')


def test_wrong_settings_of_timm_are_rejected():
    with pytest.raises(ValueError, match=r"has no model 'convnext_tinny'; it has convnext_"):
        MODELS.build(dict(type='TimmBackbone', model_name='convnext_tinny'))
    for indices in ((0, 1), (2, 1, 0), (0, 1, 4)):
        with pytest.raises(ValueError, match=r'should be 3 or 4 ascending numbers from 0 to 3'):
            image_encoder('convnext', out_indices=indices)
    with pytest.raises(ValueError, match=r'frozen_stages=9 of TimmBackbone should be -1 \(none\) or 0 to 5'):
        image_encoder('convnext', frozen_stages=9)
    with pytest.raises(ValueError, match=r'no layer of TimmBackbone is called nothing'):
        image_encoder('convnext', adapter=dict(channels=4, target_modules=['nothing']))
    early = image_encoder('convnext', out_indices=(0, 1, 2))
    assert early.out_channels == (8, 16, 24)
    # The layers after the last map are removed.
    assert not any('stages.3' in name for name in gradients(early))


def test_images_are_normalised_as_by_timm():
    assert image_encoder('siglip2').mean == (127.5, 127.5, 127.5)
    assert image_encoder('convnext').std == pytest.approx((58.395, 57.12, 57.375))


def test_open_clips_rows_are_those_of_clips_tokenizer():
    from mmpartref.models.text_encoders.clip_tokenizer import CLIPTokenizer
    tokenizer = text_encoder(word_length=17).tokenizer
    assert tokenizer(TEXTS).tolist() == CLIPTokenizer(17)(TEXTS).tolist()
    assert tokenizer([]).shape == (0, 17)
    assert tokenizer(['a' * 10**6])[0, -1] == tokenizer.end
    with pytest.raises(TypeError, match='must be a string, got int'):
        tokenizer([3])
    with pytest.raises(ValueError, match='at least 3'):
        text_encoder(word_length=2)


@pytest.mark.parametrize('model_name', ['ViT-B-32', 'EVA02-B-16', 'ViT-B-16-SigLIP', 'ViT-B-16-SigLIP2'])
def test_words_sentences_and_gradients_in_both_precisions(model_name, vocabulary):
    siglip = 'SigLIP' in model_name
    # The vocabulary of SigLIP 2 has 256,000 rows.
    encoder = MODELS.build(dict(
        type='OpenCLIPTextEncoder', model_name=model_name, text_args={**TEXT, **({'vocab_size': 8} if siglip else {})},
        tokenizer=dict(file=vocabulary) if siglip else None, word_length=None if siglip else 17)).train()
    tokens = encoder.tokenizer(['head', 'tire', 'tire'])
    assert encoder.padding_mask(tokens).sum(dim=1).tolist() == [tokens.size(1) - (2 if siglip else 3)] * 3
    # Equal rows of one batch may be rounded otherwise.
    for autocast, rounding in ((False, ROUNDING), (True, dict(rtol=0.02, atol=0.02))):
        encoder.zero_grad()
        with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
            words, sentence = encoder(tokens)
        assert words.shape == (3, tokens.size(1), encoder.word_channels)
        assert sentence.shape == (3, encoder.sentence_channels)
        torch.testing.assert_close(sentence[1], sentence[2], **rounding)
        assert (sentence[0] - sentence[1]).abs().max() > 0.05
        backward([words, sentence])
        assert all(each is not None and each.isfinite().all() for each in gradients(encoder).values())
    assert {encoder.layer_id(name) for name in gradients(encoder)} == {0, 1, 2, 3, 4}


@pytest.mark.parametrize('model_name', ['ViT-B-32', 'EVA02-B-16'])
def test_weights_of_a_whole_open_clip(model_name, tmp_path):
    """Both namings: with the text half under 'text.' (EVA-02) and without."""
    import open_clip
    config = open_clip.get_model_config(model_name)
    config['text_cfg'].update(TEXT)
    config['vision_cfg'] = dict(layers=1, width=64, head_width=32, patch_size=16, image_size=32)
    kind = open_clip.model.CustomTextCLIP if config.pop('custom_text', False) else open_clip.model.CLIP
    theirs = kind(embed_dim=config['embed_dim'], vision_cfg=config['vision_cfg'], text_cfg=config['text_cfg']).eval()
    torch.save(theirs.state_dict(), tmp_path / 'whole.pt')
    init = dict(type='PackagePretrained', checkpoint=str(tmp_path / 'whole.pt'))
    for length in (17, None):
        ours = initialised(text_encoder(model_name, word_length=length, init_cfg=init))
        tokens = ours.tokenizer(TEXTS[:3])
        whole = text_encoder(model_name).tokenizer(TEXTS[:3])
        with torch.no_grad():
            torch.testing.assert_close(ours(tokens)[1], theirs.encode_text(whole), **ROUNDING)
    torch.save(theirs.visual.state_dict(), tmp_path / 'image.pt')
    with pytest.raises(WeightsError, match=r"image\.pt has no 'token_embedding.weight' of a text encoder"):
        initialised(text_encoder(model_name, init_cfg={**init, 'checkpoint': str(tmp_path / 'image.pt')}))
    with pytest.raises(WeightsError, match=r'does not fit this OpenCLIPTextEncoder:\n\d+ unexpected'):
        initialised(MODELS.build(dict(type='OpenCLIPTextEncoder', model_name=model_name, init_cfg=init,
                                      text_args={**TEXT, 'layers': 2})))
    with pytest.raises(MissingWeightsError, match=r'my_tag is neither a file nor a tag of open_clip'):
        initialised(text_encoder(model_name, init_cfg={**init, 'checkpoint': 'my_tag'}))
    tag = open_clip.list_pretrained_tags_by_model(model_name)[-1]
    with pytest.raises(MissingWeightsError, match=rf'{tag} could not be fetched .*: download .* elsewhere'):
        initialised(text_encoder(model_name, init_cfg={**init, 'checkpoint': tag}))


@pytest.mark.parametrize('kind', ['lora', 'adapter'])
def test_open_clips_added_layers(kind):
    switch = {'lora': dict(r=2, target_modules=['in_proj', 'c_fc']),
              'adapter': dict(channels=4, target_modules=['mlp'])}[kind]
    plain, tuned = text_encoder().eval(), text_encoder(**{kind: switch}).train()
    assert not tuned.load_state_dict(plain.state_dict(), strict=False).unexpected_keys
    tokens = plain.tokenizer(TEXTS[:2])
    outputs = tuned(tokens)
    for one, other in zip(plain(tokens), outputs, strict=True):
        torch.testing.assert_close(one, other, **ROUNDING)
    backward(outputs)
    found = gradients(tuned)
    assert found
    assert all(('.lora_' if kind == 'lora' else '.adapter.') in name for name in found)
    assert all(each is not None for each in found.values())
    if kind == 'lora':
        randomised(tuned, '.lora_')
        with torch.no_grad():
            before = tuned.eval()(tokens)
            assert merge_lora(tuned) == 6
            plain.load_state_dict(tuned.state_dict())
            for one, other in zip(before, plain(tokens), strict=True):
                torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_wrong_settings_of_open_clip_are_rejected():
    for model_name, reason in (('ViT-B-33', "open_clip has no model 'ViT-B-33'"),
                               ('roberta-ViT-B-32', "is Hugging Face's roberta-base"),
                               ('coca_ViT-B-32', r'has a class token \(CoCa\)'),
                               ('ViT-B-16-SigLIP2', r'download its file and set tokenizer=dict\(file=\.\.\.\)')):
        with pytest.raises(ValueError, match=reason):
            text_encoder(model_name)
    with pytest.raises(ValueError, match=r'word_length=78 does not fit .* which has 77 positions'):
        text_encoder(word_length=78)
    with pytest.raises(ValueError, match='reads the sentence at the last'):
        text_encoder('ViT-B-16-SigLIP', word_length=17, tokenizer=dict(file='none'))


TIMM_CONFIGS = [path.stem for path in sorted((CONFIGS / 'backbones').glob('cris_*.py'))
                if Config.fromfile(path).model.backbone.type == 'TimmBackbone']


@pytest.mark.parametrize('name', TIMM_CONFIGS)
def test_config_builds_and_has_the_channels_and_normalisation_of_its_weights(name, vocabulary):
    cfg = Config.fromfile(CONFIGS / 'backbones' / f'{name}.py')
    if cfg.model.text_encoder.type == 'SiglipTextEncoder':
        cfg.model.text_encoder.tokenizer.file = vocabulary
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
        maps = model.backbone(torch.zeros(1, 3, 64, 64))
    check_custom_keys(model, cfg.optim_wrapper)
    assert tuple(each.size(1) for each in maps) == model.neck.in_channels
    assert model.backbone.model.pretrained_cfg['tag'] == cfg.model.backbone.model_name.partition('.')[2] != ''
    given = MODELS.build(cfg.model.data_preprocessor)
    for one, other in ((given.mean, model.backbone.mean), (given.std, model.backbone.std)):
        assert one.flatten().tolist() == pytest.approx(other, abs=0.01)
    if cfg.model.text_encoder.type == 'OpenCLIPTextEncoder':
        import open_clip
        text = cfg.model.text_encoder
        assert open_clip.get_pretrained_cfg(text.model_name, text.init_cfg.checkpoint)


# Of the two registered classes that test_steps.py exempts.
STEPS = {
    'TimmBackbone': step_cases.image_encoder(lambda folder: image_encoder('convnext'), half=torch.float32),
    'TimmBackbone with a pyramid': step_cases.image_encoder(lambda folder: image_encoder('siglip2')),
    'OpenCLIPTextEncoder': step_cases.text_encoder(lambda folder: text_encoder(), torch.float32, torch.bfloat16),
}


@pytest.mark.parametrize('name', STEPS)
def test_a_step_on_meta_and_in_bfloat16(name, tmp_path):
    step_cases.check_on_meta(STEPS[name], tmp_path)
    step_cases.check_in_half(STEPS[name], tmp_path)


@pytest.mark.parametrize('name', ['TimmBackbone', 'OpenCLIPTextEncoder'])
def test_a_step_compiles_as_one_graph(name, tmp_path):
    step_cases.check_compiled(STEPS[name], tmp_path, evaluation=False)

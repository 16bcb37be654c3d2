"""LoRA, adapters and half precision in every encoder that needs neither timm nor open_clip."""
import pytest
import torch
from tokenizers import Tokenizer, models

from mmpartref.registry import MODELS

RESNET = dict(type='CLIPResNet', layers=(1, 1, 1, 1), width=8, embed_channels=20, num_heads=4, pretrain_grid=2)
VIT = dict(type='CLIPVisionTransformer', patch_size=16, width=32, layers=2, num_heads=2, embed_channels=24,
           pretrain_grid=2)
MMSEG = dict(type='SelectMaps', out_channels=(16, 32, 32),
             backbone=dict(type='mmseg.MixVisionTransformer', embed_dims=8, num_layers=(1, 1, 1, 1),
                           num_heads=(1, 2, 4, 4)))
MMDET = dict(type='SelectMaps', out_channels=(64, 128, 256),
             backbone=dict(type='mmdet.ResNet', depth=50, base_channels=8, stem_channels=8))
CLIP_TEXT = dict(type='CLIPTextEncoder', width=16, layers=2, heads=2, embed_channels=40)
SIGLIP_TEXT = dict(type='SiglipTextEncoder', width=16, layers=2, heads=2, embed_channels=12, context_length=6,
                   vocab_size=8)
TUNED = {
    'resnet, lora': (RESNET, dict(lora=dict(r=2, target_modules=['q_proj', 'v_proj']))),
    'resnet, adapter': (RESNET, dict(adapter=dict(channels=2, target_modules=['c_proj']))),
    'vit, lora': (VIT, dict(lora=dict(r=2, target_modules=['in_proj']))),
    'vit, adapter': (VIT, dict(adapter=dict(channels=2, target_modules=['mlp']))),
    'mmseg, lora': (MMSEG, dict(lora=dict(r=2, target_modules=['sr']))),
    'mmdet, lora': (MMDET, dict(lora=dict(r=2, target_modules=['conv2']))),
    'clip text, lora': (CLIP_TEXT, dict(lora=dict(r=2, target_modules=['in_proj', 'c_fc']))),
    'clip text, adapter': (CLIP_TEXT, dict(adapter=dict(channels=2, target_modules=['mlp']))),
    'siglip text, lora': (SIGLIP_TEXT, dict(lora=dict(r=2, target_modules=['q_proj', 'v_proj']))),
    'siglip text, adapter': (SIGLIP_TEXT, dict(adapter=dict(channels=2, target_modules=['mlp']))),
}
PLAIN = {'resnet': RESNET, 'vit': VIT, 'mmseg': MMSEG, 'mmdet': MMDET, 'clip text': CLIP_TEXT,
         'siglip text': SIGLIP_TEXT}


# By how much the outputs of one encoder may differ in two forward passes.
ROUNDING = {'rtol': 1e-4, 'atol': 1e-5}


def cases(names):
    """Parameters of a test; encoders of mmseg and mmdet need full mmcv."""
    return [pytest.param(name, marks=[pytest.mark.full_mmcv] * name.startswith(('mmseg', 'mmdet'))) for name in names]


@pytest.fixture
def build(tmp_path):
    """Build an encoder and what it takes."""
    def make(config: dict, seed: int = 0) -> tuple[torch.nn.Module, torch.Tensor]:
        if config['type'] == 'SiglipTextEncoder':
            Tokenizer(models.WordLevel({'<pad>': 0, '<eos>': 1, 'tire': 2, 'car': 3}, unk_token='<pad>')).save(
                str(tmp_path / 'tokenizer.json'))
            config = {**config, 'tokenizer': dict(file=str(tmp_path / 'tokenizer.json'))}
        torch.manual_seed(seed)
        encoder = MODELS.build(config)
        if config['type'].endswith('TextEncoder'):
            return encoder, encoder.tokenizer(['tire', 'car'])
        return encoder, torch.randn(2, 3, 64, 96)
    return make


def total(outputs) -> torch.Tensor:
    return sum(each.float().square().mean() for each in outputs)


@pytest.mark.parametrize('name', cases(TUNED))
def test_it_starts_as_the_plain_encoder_and_only_added_weights_are_trained(build, name):
    config, switch = TUNED[name]
    plain, given = build(config)
    tuned, _ = build({**config, **switch})
    report = tuned.load_state_dict(plain.state_dict(), strict=False)
    assert not report.unexpected_keys
    with torch.no_grad():
        for one, other in zip(plain.eval()(given), tuned.eval()(given), strict=True):
            torch.testing.assert_close(one, other, **ROUNDING)
    total(tuned.train()(given)).backward()
    added = {key for key in tuned.state_dict() if '.lora_' in key or '.adapter.' in key}
    learning = {key for key, each in tuned.named_parameters() if each.requires_grad}
    new = {key for key in learning if key.startswith(tuned.new_parts)} if tuned.new_parts else set()
    assert added
    # Of LoRA's, the state dict has the names without peft's 'default'.
    assert {key.replace('.default', '') for key in learning - new} == {key.replace('.default', '') for key in added}
    for key, each in tuned.named_parameters():
        assert (each.grad is not None) == (key in learning), key
    # Of a layer that starts as nothing, the part next to the output has the first gradient.
    assert any(each.grad.abs().sum() > 0 for key, each in tuned.named_parameters() if key in learning - new)

    with torch.no_grad():
        before = tuned.eval()(given)
        for key, each in tuned.named_parameters():
            if key in learning - new:
                torch.nn.init.normal_(each, std=0.5)
        learnt = tuned(given)
        assert max((one - other).abs().max() for one, other in zip(before, learnt, strict=True)) > 1e-2
        again, _ = build({**config, **switch}, seed=1)
        again.load_state_dict(tuned.state_dict())
        for one, other in zip(learnt, again.eval()(given), strict=True):
            torch.testing.assert_close(one, other, **ROUNDING)


@pytest.mark.parametrize('config', [pytest.param(MMSEG, marks=pytest.mark.full_mmcv), VIT, CLIP_TEXT],
                         ids=['mmseg', 'vit', 'clip text'])
def test_an_adapter_that_would_never_be_called_is_rejected(build, config):
    with pytest.raises(ValueError, match=r"'out_proj' of .* is inside nn\.MultiheadAttention, .* name feed-forward"):
        build({**config, 'adapter': dict(channels=2, target_modules=['out_proj'])})


@pytest.mark.full_mmcv
def test_attention_without_separate_projections_is_rejected(build):
    with pytest.raises(ValueError, match='has to be batch first; name other layers than in_proj'):
        build({**MMSEG, 'lora': dict(r=2, target_modules=['out_proj'])})


@pytest.mark.parametrize('name', cases(PLAIN))
def test_every_parameter_learns_under_autocast(build, name):
    encoder, given = build(PLAIN[name])
    encoder.train()
    with torch.autocast('cpu', torch.bfloat16):
        outputs = encoder(given)
    total(outputs).backward()
    without = []
    for key, each in encoder.named_parameters():
        if each.grad is None:
            without.append(key)
            continue
        assert each.grad.dtype == each.dtype == torch.float32
        assert each.grad.isfinite().all(), key
    assert without == [], without

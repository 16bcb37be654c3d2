"""Which parameters learn, and that LoRA and adapters start as the encoder they are put into."""
import pytest
import torch

from mmpartref.models.layers.tuning.lora import merge_lora
from mmpartref.registry import MODELS

VIT = dict(type='CLIPVisionTransformer', patch_size=16, width=32, layers=3, num_heads=2, embed_channels=24,
           pretrain_grid=3)
SWITCHES = {
    'lora': (dict(lora=dict(r=2, target_modules=['in_proj', 'out_proj'])), '.lora_'),
    'adapter': (dict(adapter=dict(channels=4, target_modules=['mlp'])), '.adapter.'),
}


def learning(encoder):
    return {name for name, each in encoder.named_parameters() if each.requires_grad}


@pytest.mark.parametrize('name', SWITCHES)
def test_added_layers_start_as_nothing_and_alone_learn(name):
    switch, part = SWITCHES[name]
    plain, tuned = MODELS.build(VIT).eval(), MODELS.build({**VIT, **switch}).eval()
    report = tuned.load_state_dict(plain.state_dict(), strict=False)
    assert not report.unexpected_keys
    assert report.missing_keys
    assert all(part in key for key in report.missing_keys)
    x = torch.randn(1, 3, 48, 48)
    for one, other in zip(plain(x), tuned(x), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert learning(tuned)
    assert all(part in each for each in learning(tuned))


def test_merged_lora_is_the_same_function_under_plain_names():
    torch.manual_seed(0)
    tuned = MODELS.build({**VIT, **SWITCHES['lora'][0]}).eval()
    for name, each in tuned.named_parameters():
        if '.lora_' in name:
            torch.nn.init.normal_(each, std=0.1)
    x = torch.randn(1, 3, 48, 48)
    with torch.no_grad():
        before = tuned(x)
        assert merge_lora(tuned) == 6
        plain = MODELS.build(VIT).eval()
        plain.load_state_dict(tuned.state_dict())
        for one, two, three in zip(before, tuned(x), plain(x), strict=True):
            torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(two, three, rtol=1e-4, atol=1e-5)


def test_freeze_and_frozen_stages():
    assert not learning(MODELS.build({**VIT, 'freeze': True}))
    encoder = MODELS.build({**VIT, 'frozen_stages': 1})
    assert learning(encoder) == {name for name, _ in encoder.named_parameters() if encoder.layer_id(name) > 1}
    assert any('resblocks.1.' in name for name in learning(encoder))
    assert not any('resblocks.0.' in name for name in learning(encoder))


def test_frozen_batch_norm_does_not_update_its_statistics():
    encoder = MODELS.build(dict(type='CLIPResNet', layers=(1, 1, 1, 1), width=8, embed_channels=20, num_heads=4,
                                pretrain_grid=2, frozen_stages=1)).train()
    assert not encoder.bn1.training
    assert not encoder.layer1[0].bn1.training
    assert encoder.layer2[0].bn1.training


@pytest.mark.parametrize('name', SWITCHES)
def test_contradictory_switches_are_rejected(name):
    switch, _ = SWITCHES[name]
    with pytest.raises(ValueError, match='freeze=True has no effect together with lora or adapter'):
        MODELS.build({**VIT, **switch, 'freeze': True})
    with pytest.raises(ValueError, match='frozen_stages=1 has no effect together with freeze, lora or adapter'):
        MODELS.build({**VIT, **switch, 'frozen_stages': 1})
    with pytest.raises(ValueError, match='frozen_stages=1 has no effect together with freeze, lora or adapter'):
        MODELS.build({**VIT, 'freeze': True, 'frozen_stages': 1})
    with pytest.raises(ValueError, match=r'frozen_stages=5 of CLIPVisionTransformer should be -1 \(none\) or 0 to 4'):
        MODELS.build({**VIT, 'frozen_stages': 5})

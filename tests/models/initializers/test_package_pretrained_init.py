"""Weights of other packages that do not fit are rejected in one message."""
from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope
from safetensors.torch import save_file
from tokenizers import Tokenizer, models

from mmpartref.errors import MissingWeightsError, WeightsError
from mmpartref.registry import MODELS


def small(folder: Path) -> dict:
    return dict(type='SiglipTextEncoder', tokenizer=dict(file=str(folder / 'tokenizer.json')), width=8, layers=1,
                heads=2, context_length=4, vocab_size=4)


@pytest.fixture
def load(tmp_path):
    """Build a small SigLIP text half and load a checkpoint into it."""
    Tokenizer(models.WordLevel({'<pad>': 0, '<eos>': 1}, unk_token='<pad>')).save(str(tmp_path / 'tokenizer.json'))

    def run(checkpoint: object) -> torch.nn.Module:
        init_cfg = dict(type='PackagePretrained', checkpoint=str(checkpoint))
        encoder = MODELS.build({**small(tmp_path), 'init_cfg': init_cfg})
        with DefaultScope.overwrite_default_scope('mmpartref'):
            encoder.init_weights()
        return encoder
    return run


def entries(encoder: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {f"text_model.{name.removeprefix('model.')}": value.clone() for name, value in encoder.state_dict().items()}


@pytest.fixture
def whole(load, tmp_path) -> dict[str, torch.Tensor]:
    """The entries of a checkpoint that fits."""
    return entries(MODELS.build(small(tmp_path)))


def test_fitting_weights_are_loaded_and_incomplete_ones_rejected(load, whole, tmp_path):
    path = tmp_path / 'model.safetensors'
    save_file(whole, str(path))
    assert all(torch.equal(entries(load(path))[name], value) for name, value in whole.items())
    lost = next(name for name in whole if name.endswith('mlp.fc1.weight'))
    save_file({name: value for name, value in whole.items() if name != lost}, str(path))
    with pytest.raises(WeightsError, match=lost.removeprefix('text_model.').replace('.', r'\.')):
        load(path)
    save_file({**whole, lost: whole[lost][:3].clone()}, str(path))
    with pytest.raises(WeightsError, match=r'\(3, 8\)'):
        load(path)
    save_file({'text_model.x': torch.zeros(1)}, str(path))
    with pytest.raises(WeightsError, match='does not fit this SiglipTextEncoder'):
        load(path)


def test_files_without_a_siglip_and_names_that_lead_nowhere(load, tmp_path, monkeypatch):
    save_file({'visual.x': torch.zeros(1)}, str(tmp_path / 'other.safetensors'))
    with pytest.raises(WeightsError, match=r"other\.safetensors has no entry 'text_model\.+'; give a checkpoint"):
        load(tmp_path / 'other.safetensors')
    monkeypatch.setattr('mmpartref.models.text_encoders.siglip_text_encoder.check_hub_access', lambda *_: None)
    monkeypatch.setattr('huggingface_hub.hf_hub_download', lambda *names: (_ for _ in ()).throw(OSError('offline')))
    (tmp_path / 'empty').mkdir()
    with pytest.raises(WeightsError, match=r'empty/model\.safetensors'):
        load(tmp_path / 'empty')
    with pytest.raises(MissingWeightsError, match=r'nobody/nothing is not a file .*resolve/main/model\.safetensors'):
        load('nobody/nothing')


def test_a_custom_encoder_is_not_loaded_this_way():
    encoder = MODELS.build(dict(type='CLIPTextEncoder', width=16, layers=1, heads=2, embed_channels=8,
                                init_cfg=dict(type='PackagePretrained', checkpoint='x.pth')))
    with DefaultScope.overwrite_default_scope('mmpartref'), \
            pytest.raises(TypeError, match='is for encoders of other packages, not a CLIPTextEncoder'):
        encoder.init_weights()


@pytest.mark.full_mmcv
def test_weights_of_a_detector_by_prefix(tmp_path):
    resnet = dict(type='mmdet.ResNet', depth=18, base_channels=8)
    encoder = MODELS.build(dict(type='SelectMaps', out_channels=(16, 32, 64), backbone=resnet))
    state = {f'backbone.{name}': torch.randn_like(value) if value.is_floating_point() else value
             for name, value in encoder.model.state_dict().items()}
    path = tmp_path / 'detector.pth'
    torch.save({'state_dict': {**state, 'rpn_head.x': torch.zeros(1)}}, path)

    def load() -> torch.nn.Module:
        loaded = MODELS.build(dict(type='SelectMaps', out_channels=(16, 32, 64), backbone={
            **resnet, 'init_cfg': dict(type='mmpartref.Pretrained', checkpoint=str(path), prefix='backbone.')}))
        with DefaultScope.overwrite_default_scope('mmpartref'):
            loaded.init_weights()
        return loaded
    assert all(torch.equal(load().model.state_dict()[name.removeprefix('backbone.')], value)
               for name, value in state.items() if value.is_floating_point())
    del state['backbone.layer3.0.conv1.weight']
    torch.save({'state_dict': state}, path)
    with pytest.raises(WeightsError, match=r'layer3\.0\.conv1\.weight'):
        load()

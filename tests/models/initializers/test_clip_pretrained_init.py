import pytest
import torch
from mmengine.registry import DefaultScope

from mmpartref.errors import WeightsError
from mmpartref.models.weights import archives
from mmpartref.models.weights.clip_weights import convert_clip
from mmpartref.models.weights.state_files import read_tensors, write_checkpoint
from mmpartref.registry import MODELS

TEXT = {'type': 'CLIPTextEncoder', 'width': 64, 'layers': 2, 'heads': 1, 'embed_channels': 24, 'context_length': 9,
        'word_length': 9}
RESNET = {'type': 'CLIPResNet', 'layers': (1, 1, 1, 1), 'width': 8, 'embed_channels': 24, 'num_heads': 4,
          'pretrain_grid': 2}
VIT = {'type': 'CLIPVisionTransformer', 'patch_size': 8, 'width': 64, 'layers': 3, 'num_heads': 1,
       'embed_channels': 24, 'pretrain_grid': 4}


def start(cfg: dict, checkpoint) -> torch.nn.Module:
    with DefaultScope.overwrite_default_scope('mmpartref'):
        module = MODELS.build({**cfg, 'init_cfg': {'type': 'CLIPPretrained', 'checkpoint': str(checkpoint)}})
        module.init_weights()
    return module


@pytest.mark.parametrize('tiny_clip', ['resnet'], indirect=True)
def test_a_whole_model_starts_from_the_original_archive(openai_archive, tiny_model_cfg, tiny_clip, monkeypatch):
    """Named by path, by variable; both towers; through the segmentor's ``init_weights``."""
    monkeypatch.setenv('MY_CLIP', str(openai_archive.parent))
    init = {'type': 'CLIPPretrained', 'checkpoint': '$MY_CLIP/RN50.pt'}
    tiny_model_cfg |= {
        'backbone': {**RESNET, 'init_cfg': init}, 'text_encoder': {**TEXT, 'init_cfg': init},
        'neck': {**tiny_model_cfg['neck'], 'sentence_channels': 24},
        'decode_head': {**tiny_model_cfg['decode_head'], 'sentence_channels': 24, 'word_channels': 64}
    }
    with DefaultScope.overwrite_default_scope('mmpartref'):
        model = MODELS.build(tiny_model_cfg)
        fresh = {name: value.clone() for name, value in model.state_dict().items()}
        model.init_weights()
    expected = tiny_clip.half().float()
    for name, value in model.state_dict().items():
        if 'attnpool.connect' in name or name.startswith(('neck.', 'decode_head.')):
            assert torch.equal(value, fresh[name]), name
        else:
            assert torch.equal(value, expected.state_dict()[name]), name


def test_a_converted_file_serves_as_well(openai_archive, openai_state, tmp_path):
    write_checkpoint(convert_clip(read_tensors(openai_archive))[0], tmp_path / 'converted.pth')
    text = start(TEXT, tmp_path / 'converted.pth')
    assert torch.equal(text.text_projection, openai_state['text_projection'].float())


@pytest.mark.parametrize('tiny_clip', ['vit'], indirect=True)
def test_positions_of_another_grid_or_context_are_fitted_and_logged(openai_archive, tiny_clip, caplog):
    expected = tiny_clip.half().float()
    text = start({**TEXT, 'context_length': 7, 'word_length': 7}, openai_archive)
    assert torch.equal(text.positional_embedding, expected.text_encoder.positional_embedding[:7])
    image = start({**VIT, 'pretrain_grid': 6}, openai_archive)
    assert image.positional_embedding.shape == (37, 64)
    assert torch.equal(image.positional_embedding[0], expected.backbone.positional_embedding[0])
    # The resized table is what the tower would have read at that size anyway.
    images = torch.randn(1, 3, 48, 48)
    with torch.no_grad():
        torch.testing.assert_close(image.eval().embed(images), expected.backbone.embed(images), rtol=1e-4, atol=1e-5)
    # Nine positions and a new one between each two.
    table = expected.text_encoder.positional_embedding
    longer = start({**TEXT, 'context_length': 17, 'word_length': 17}, openai_archive).positional_embedding
    torch.testing.assert_close(longer[::2], table)
    torch.testing.assert_close(longer[1::2], (table[1:] + table[:-1]) / 2)


@pytest.mark.parametrize('tiny_clip', ['resnet'], indirect=True)
def test_another_architecture_is_rejected_with_a_list(openai_archive, tmp_path):
    with pytest.raises(WeightsError, match=r'(?s)does not fit this CLIPResNet:.*layer1\.1\.conv1\.weight'):
        start({**RESNET, 'layers': (2, 1, 1, 1)}, openai_archive)
    with pytest.raises(WeightsError, match=r'(?s)unexpected:.*transformer\.resblocks\.1'):
        start({**TEXT, 'layers': 1}, openai_archive)
    with pytest.raises(TypeError, match='not a CRISNeck'):
        start({'type': 'CRISNeck', 'in_channels': (8, 8, 8), 'sentence_channels': 8, 'out_channels': (8, 8, 8)},
              openai_archive)


def test_a_missing_file_names_the_folder_for_it(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, 'CLIP_CACHE', tmp_path / 'cache')
    monkeypatch.setitem(archives.CLIP_ARCHIVES, 'RN50', archives.Archive('http://127.0.0.1:9/RN50.pt', '', 3))
    with pytest.raises(FileNotFoundError) as caught:
        start(RESNET, 'RN50')
    message = str(caught.value)
    assert '\n' not in message
    assert f"put it at {tmp_path / 'cache' / 'RN50.pt'}" in message
    assert '$MMPARTREF_WEIGHTS_DIR' in message

"""Heat maps: probabilities on the network's grid resampled to the image, all expressions at once or one by one."""
import numpy as np
import pytest
import torch

from mmpartref.models.segmentors import CLIPZeroShotSegmentor, probability_masks
from mmpartref.models.segmentors.mask_decode import get_decode
from mmpartref.structures import ReferringDataSample


@pytest.fixture
def sample() -> ReferringDataSample:
    """An image of 30 x 40 pixels in a network input of 48 x 64, three expressions."""
    made = ReferringDataSample(metainfo={'ori_shape': (30, 40), 'img_shape': (48, 64), 'img_id': 1,
                                         'letterbox_matrix': np.array([[1.6, 0, 0.3], [0, 1.6, 0.3]])})
    made.expressions = ['car body', 'car tire', 'car side mirror']
    # Steps from 0 to 1, at which cubic interpolation overshoots.
    made.pred_probabilities = (torch.rand(3, 12, 16) > 0.5).float()
    return made


@pytest.mark.parametrize('name', ['aligned', 'cris'])
@pytest.mark.parametrize('most', [1, 2 * 30 * 40, 10**6])
def test_expressions_undone_in_turn_are_those_undone_together(sample, name, most, monkeypatch):
    monkeypatch.setattr(probability_masks, 'MAX_PIXELS', most)
    decode = get_decode(name)
    chunks = list(probability_masks.decode_probabilities(sample, sample.pred_probabilities, decode))
    assert [len(each) for each in chunks] == {1: [1, 1, 1], 2400: [2, 1], 10**6: [3]}[most]
    whole = decode.to_image(sample.pred_probabilities, (48, 64), sample.letterbox_matrix, (30, 40))
    torch.testing.assert_close(torch.cat(chunks), whole)
    probability_masks.write_prediction(sample, sample.pred_probabilities, decode, keep_candidates=True)
    assert torch.equal(sample.pred_masks, torch.cat(chunks) > decode.threshold)
    expected = [each[each > decode.threshold].mean() for each in torch.cat(chunks)]
    torch.testing.assert_close(sample.pred_scores, torch.stack(expected))
    assert len(sample.pred_candidates) == 3
    levels, masks = sample.pred_candidates[2]
    assert torch.equal(masks[3], torch.cat(chunks)[2] > float(levels[3]))


def test_a_heat_map_is_cut_where_interpolation_overshoots(sample):
    decode = get_decode('aligned')
    whole = decode.to_image(sample.pred_probabilities, (48, 64), sample.letterbox_matrix, (30, 40))
    assert whole.min() < 0
    assert whole.max() > 1
    for index in range(3):
        heat = probability_masks.heat_map(sample, index, decode)
        assert heat.dtype == torch.float32
        torch.testing.assert_close(heat, whole[index].clamp(0, 1))


def test_clip_without_training_has_heat_maps_too(sample):
    model = CLIPZeroShotSegmentor(
        backbone={'type': 'CLIPResNet', 'layers': (1, 1, 1, 1), 'width': 8, 'embed_channels': 24, 'num_heads': 4,
                  'pretrain_grid': 2},
        text_encoder={'type': 'CLIPTextEncoder', 'width': 64, 'layers': 2, 'heads': 1, 'embed_channels': 24,
                      'word_length': 9, 'context_length': 9},
        background=['sky'], temperature=5.0, threshold=0.3).eval()
    del sample.pred_probabilities
    model.predict(torch.randn(1, 3, 48, 64), [sample])
    for index in range(3):
        heat = model.heat_map(sample, index)
        assert 0 < heat.min() < heat.max() < 1
        # The heat map is resampled again: pixels at the threshold may go either way.
        assert ((heat > 0.3) == sample.pred_masks[index])[(heat - 0.3).abs() > 1e-5].all()

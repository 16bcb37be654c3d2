import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from mmpartref.apis import ImageResults, PartReferInferencer
from mmpartref.errors import ConfigError

EXPRESSIONS = ['car body', 'car side mirror']


def same(one: ImageResults, other: ImageResults) -> bool:
    """Compare two forward passes, whose rounding differs on some processors: a pixel at the threshold may change.

    With random weights masks depend little on the image, heat maps show it better.
    """
    return len(one) == len(other) and all(
        a['expression'] == b['expression'] and a['score'] == pytest.approx(b['score'], rel=1e-3)
        and a['mask'].shape == b['mask'].shape and (a['mask'] != b['mask']).mean() < 0.002
        and ('heat_map' not in a or 'heat_map' not in b or (abs(a['heat_map'] - b['heat_map']) > 2e-5).mean() < 0.002)
        for a, b in zip(one, other, strict=True))


def test_masks_have_the_images_size_and_the_order_of_the_expressions(inferencer, image):
    results = inferencer(image, EXPRESSIONS)
    assert [result['expression'] for result in results] == EXPRESSIONS
    for result in results:
        assert set(result) == {'expression', 'mask', 'score'}
        assert result['mask'].shape == result.size == (50, 70)
        assert result['mask'].dtype == bool
        assert 0 < result['mask'].mean() < 1
        assert 0 < result['score'] <= 1
    assert same(inferencer(image, EXPRESSIONS[1]), [results[1]])


def test_every_kind_of_image_gives_the_same_result(inferencer, image, tmp_path):
    file = tmp_path / 'image.png'
    cv2.imwrite(str(file), image[:, :, ::-1])
    channels_first = torch.from_numpy(image.copy()).permute(2, 0, 1)
    expected = inferencer(image, EXPRESSIONS, heat_map=True)
    kinds = [file, str(file), Image.fromarray(image), Image.open(file), image.astype(np.uint16) * 257,
             image.astype(np.float64) / 255, channels_first, channels_first.to(torch.bfloat16) / 255,
             inferencer.reader(file)]
    outputs = inferencer(kinds[:7] + kinds[8:], EXPRESSIONS, heat_map=True)
    assert [same(output, expected) for output in outputs] == [True] * 8
    assert not same(inferencer(image[:, :, ::-1], EXPRESSIONS, heat_map=True), expected)


def test_heat_maps_are_probabilities_and_the_masks_their_thresholds(cris, image):
    plain, with_heat = cris(image, EXPRESSIONS), cris(image, EXPRESSIONS, heat_map=True)
    assert same(plain, with_heat)
    for result in with_heat:
        heat = result['heat_map']
        assert heat.shape == (50, 70)
        assert heat.dtype == np.float32
        assert 0 <= heat.min() < heat.max() <= 1
        threshold = cris.model.decode.threshold
        # The heat map is interpolated again, one expression at a time: other rounding than the mask's.
        clear = np.abs(heat - threshold) > 1e-5
        assert clear.mean() > 0.99
        assert np.array_equal((heat > threshold)[clear], result.mask[clear])
        assert result.score == pytest.approx(heat[result.mask].mean(), abs=1e-4)
    with pytest.raises(ValueError, match='heat_map=True'):
        _ = plain[0].heat_map


@pytest.mark.full_mmcv
def test_a_detectors_heat_map_is_the_best_instances_score(detector, image):
    body, unknown = detector(image, ['car body', 'the moon'], heat_map=True)
    assert body.heat_map.dtype == np.float32
    # Nothing, instances below the threshold, instances above it.
    assert len(np.unique(body.heat_map)) > 3
    assert 0 < (body.heat_map >= detector.model.score_threshold).sum() < (body.heat_map > 0).sum()
    assert np.array_equal(body.heat_map >= detector.model.score_threshold, body.mask)
    assert body.score == pytest.approx(float(body.heat_map.max()))
    assert unknown.score == 0
    assert not unknown.mask.any()
    assert not unknown.heat_map.any()


def test_a_batch_gives_the_outputs_of_its_single_images(inferencer, image):
    images = [image, image[:30], image[:, ::-1]]
    alone = [inferencer(each, EXPRESSIONS, heat_map=True) for each in images]
    together = inferencer(images, EXPRESSIONS, batch_size=3, heat_map=True)
    assert [each.size for each in together] == [(50, 70), (30, 70), (50, 70)]
    for one, other in zip(alone, together, strict=True):
        for a, b in zip(one, other, strict=True):
            # Sums of other lengths are rounded otherwise, and a pixel on the threshold may fall.
            np.testing.assert_allclose(a.heat_map, b.heat_map, atol=2e-5)
            assert a.score == pytest.approx(b.score, abs=1e-4)
            assert (a.mask != b.mask).mean() < 0.002
    assert not same(together[0], together[2])


def test_a_stream_reads_a_batch_at_a_time(cris, image):
    taken = []

    def images():
        for number in range(5):
            taken.append(number)
            yield image

    stream = cris.stream(images(), EXPRESSIONS, batch_size=2)
    assert taken == []
    next(stream)
    assert taken == [0, 1]
    assert len(list(stream)) == 4


def test_a_repeated_string_is_encoded_once(cris, image):
    before = cris.model.text_cache.encoded
    cris(image, ['a rare expression', 'a rare expression'])
    cris(image, ['a rare expression'])
    assert cris.model.text_cache.encoded == before + 1


def test_expressions_undone_in_turn_give_the_same(cris, image, monkeypatch):
    expected = cris(image, EXPRESSIONS, heat_map=True)
    monkeypatch.setattr('mmpartref.models.segmentors.probability_masks.MAX_PIXELS', 1)
    for one, other in zip(cris(image, EXPRESSIONS, heat_map=True), expected, strict=True):
        np.testing.assert_allclose(one.heat_map, other.heat_map, atol=1e-6)
        assert (one.mask != other.mask).mean() < 0.002


def test_bad_calls_raise_errors(cris, image, tmp_path):
    for expressions in ([], '', ['car', ' ']):
        with pytest.raises(ValueError, match='one or more non-empty strings'):
            cris(image, expressions)
    with pytest.raises(ValueError, match='batch_size=0 must be at least 1'):
        cris([image], 'car', batch_size=0)
    with pytest.raises(FileNotFoundError, match=r'the image .*none\.jpg does not exist'):
        cris(tmp_path / 'none.jpg', 'car')
    with pytest.raises(TypeError, match='got a NoneType'):
        cris(None, 'car')
    with pytest.raises(ValueError, match='batch_size=-1'):
        cris.parse_parts(image, 'car', batch_size=-1)
    with pytest.raises(ValueError, match='batch_size=0'):
        cris(image, 'car', batch_size=0)
    assert cris([], 'car') == []


def test_limits_are_per_inferencer(cris_config, image):
    small = PartReferInferencer(cris_config, device='cpu', max_pixels=3000)
    with pytest.raises(ValueError, match='max_pixels=3,000'):
        small(image, 'car')


def test_bad_models_raise_errors(cris_config, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'the checkpoint .* does not exist'):
        PartReferInferencer(cris_config, tmp_path / 'none.pth')
    with pytest.raises(FileNotFoundError, match=r'the config .* does not exist'):
        PartReferInferencer(tmp_path / 'none.py')
    with pytest.raises(ValueError, match="device='warp' is not a torch device"):
        PartReferInferencer(cris_config, device='warp')
    pipeline = cris_config.test_dataloader.dataset.pipeline
    cris_config.test_dataloader.dataset.pipeline = [pipeline[0], dict(type='ConstantExpression', text='part'),
                                                    *pipeline[1:]]
    with pytest.raises(ConfigError, match='ConstantExpression in the test pipeline needs annotations'):
        PartReferInferencer(cris_config)
    cris_config.test_dataloader.dataset.pipeline = pipeline[1:]
    with pytest.raises(ConfigError, match='starts with Letterbox'):
        PartReferInferencer(cris_config)
    cris_config.test_dataloader = None
    with pytest.raises(ConfigError, match=r'no test_dataloader\.dataset\.pipeline'):
        PartReferInferencer(cris_config)


def test_a_missing_gpu_raises_an_error(cris_config, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(ValueError, match='torch finds no CUDA device'):
        PartReferInferencer(cris_config, device='cuda')
    assert PartReferInferencer(cris_config, device='auto').device.type == 'cpu'


def test_the_callers_config_stays_as_it_was(cris_config):
    before = cris_config.to_dict()
    PartReferInferencer(cris_config)
    assert cris_config.to_dict() == before

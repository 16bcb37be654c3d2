import copy
import pickle
import random
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmpartref.apis import DecodedImage, ImageResults, PartReferInferencer
from mmpartref.errors import ConfigError, MMPartRefError

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


def raises(error: type[Exception], message: str, call, *args, **settings) -> None:
    """Check that a call raises one of our errors, in one sentence."""
    with pytest.raises(error, match=message) as caught:
        call(*args, **settings)
    assert isinstance(caught.value, MMPartRefError)
    assert '\n' not in str(caught.value)


BATCH_SIZES = [*[(value, TypeError) for value in (1.5, 2.0, '2', None, True, float('nan'), [1], np.array([1, 2]))],
               *[(value, ValueError) for value in (0, -1, np.int64(0))]]


@pytest.mark.parametrize(('size', 'error'), BATCH_SIZES)
@pytest.mark.parametrize('call', ['__call__', 'stream', 'parse_parts'])
def test_the_batch_size_is_checked_at_once(cris, image, call, size, error):
    raises(error, '^batch_size=', getattr(cris, call), [image], 'car', batch_size=size)


@pytest.mark.parametrize('size', [1, np.int64(2), np.uint8(3), 10**30])
def test_the_batch_size_may_be_of_numpy_or_large(cris, image, size):
    assert len(cris([image] * 3, 'car', batch_size=size)) == 3


@pytest.mark.parametrize('value', [None, 'no', 2, [1], np.array([1, 0]), float('nan')])
def test_heat_map_is_true_or_false(cris, image, value):
    for call in (cris, cris.stream):
        raises(TypeError, '^heat_map=.* should be True or False', call, [image], 'car', heat_map=value)
    assert 'heat_map' in cris(image, 'car', heat_map=np.True_)[0]


@pytest.mark.parametrize('images', [None, 5, 'image.png', b'x', {'image.png': 1}, Image.new('RGB', (3, 3)), object,
                                    np.zeros((4, 5, 3), np.uint8), torch.zeros(3, 4, 5), np.array(1),
                                    DecodedImage(np.zeros((4, 5, 3), np.uint8), 'x')])
def test_a_stream_takes_several_images(cris, images):
    raises(TypeError, r'give one image as \[image\]', cris.stream, images, 'car')


def test_a_stream_takes_a_stack_of_images(cris, image):
    assert len(list(cris.stream(np.stack([image, image]), 'car'))) == 2


def test_results_keep_the_picture_of_a_buffer_that_is_used_again(cris, image):
    buffer = image.copy()
    array, tensor = cris([buffer, torch.from_numpy(buffer).permute(2, 0, 1)], 'car')
    buffer[:] = 0
    assert np.array_equal(array.image.pixels, image)
    assert np.array_equal(tensor.image.pixels, image)


def words() -> Iterator[str]:
    yield from ('car', 'dog')


@pytest.mark.parametrize('expressions', [
    words, lambda: ('car', 'dog'), lambda: np.array(['car', 'dog']), lambda: {'car': 1, 'dog': 2}.keys(),
    lambda: [np.str_('car'), 'dog']], ids=['generator', 'tuple', 'array', 'keys', 'numpy'])
def test_any_ordered_strings_are_expressions(cris, image, expressions):
    found = cris(image, expressions())
    assert [(type(each.expression), each.expression) for each in found] == [(str, 'car'), (str, 'dog')]
    assert cris.parse_parts(image, expressions=expressions()).names == ('background', 'car', 'dog')


@pytest.mark.parametrize('text', [np.str_('car'), 'a' * 100_000, 'car ' * 25_000, 'car\0', 'car\ntire', 'car\u200b'])
def test_unusual_strings_are_expressions(cris, image, text):
    assert cris(image, text)[0].expression == text


@pytest.mark.parametrize('expressions', [
    None, 5, b'car', [b'car'], {'car': 1}, {'car'}, frozenset({'car'}), [['car']], ['car', None], np.array('car'),
    np.array([['car']]), np.array([]), torch.tensor(1), '\0', '\n', '\u200b', '\ud800', 'car \udc80', [], [[]]])
def test_what_is_no_expression_raises_one_sentence(cris, image, expressions):
    raises(ValueError, 'expressions must be|lone surrogate', cris, image, expressions)
    if expressions is not None:
        raises(ValueError, 'expressions must be|lone surrogate', cris.parse_parts, image, expressions=expressions)


@pytest.mark.parametrize('owner', [5, True, ['car'], b'car', np.array(['car', 'dog']), {}])
def test_a_super_category_is_a_string(cris, image, owner):
    raises(TypeError, 'super_category=.* should be a string', cris.parse_parts, image, owner)


@pytest.mark.full_mmcv
def test_an_image_that_a_detector_cannot_scale_raises_one_sentence(detector):
    long = np.zeros((1, 30000, 3), np.uint8)
    raises(ValueError, 'an array, 30000 x 1 pixels, cannot be scaled', detector, long, 'car')


@pytest.mark.full_mmcv
def test_a_detector_has_no_mixed_precision(detector_config):
    with pytest.raises(ValueError, match=r'^mixed precision \(amp\): only Referring.* has it, not ReferringDet'):
        PartReferInferencer(detector_config, device='cpu', amp=True)


def test_copies_predict_the_same(inferencer, image):
    expected = inferencer(image, EXPRESSIONS, heat_map=True)
    for other in (pickle.loads(pickle.dumps(inferencer)), copy.deepcopy(inferencer)):
        found = other(image, EXPRESSIONS, heat_map=True)
        assert same(found, expected)
        assert same(pickle.loads(pickle.dumps(found)), expected)
        assert other.model is not inferencer.model


def random_states() -> list:
    gpu = [torch.cuda.get_rng_state().tolist()] if torch.cuda.is_available() else []
    return [random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist(), *gpu]  # noqa: NPY002


@pytest.mark.parametrize('config', ['cris_config', pytest.param('detector_config', marks=pytest.mark.full_mmcv)])
def test_building_leaves_the_random_states_alone(request, config):
    settings = request.getfixturevalue(config)
    before = random_states()
    first = PartReferInferencer(settings, device='cpu')
    assert random_states() == before
    # Without a checkpoint the weights follow torch's seed.
    torch.manual_seed(1)
    others = [PartReferInferencer(settings, device='cpu') for _ in range(2)]
    one, *two = [torch.cat([each.flatten() for each in built.model.parameters()]) for built in (first, *others)]
    assert torch.equal(*two)
    assert not torch.equal(one, two[0])


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


@pytest.mark.parametrize(('settings', 'error', 'message'), [
    *[({'device': value}, TypeError, 'device=') for value in (5, True, [], b'cpu', 1.5)],
    *[({'device': value}, ValueError, 'device=') for value in ('', 'cpu:x', 'cpu\0', 'x' * 5000, 'meta', 'hpu', 'xla')],
    ({'device': torch.device('meta')}, ValueError, "device='meta' cannot be used"),
    *[({'weights_key': value}, TypeError, 'weights_key=') for value in (5, '', [], {}, True, b'ema')],
    ({'weights_key': 'ema'}, ValueError, 'there is none; give weights'),
    *[({'amp': value}, TypeError, 'amp=') for value in (1, 'yes', None)],
    *[({'max_pixels': value}, TypeError, 'max_pixels=') for value in (1.5, '5', None)],
    *[({'max_bytes': value}, ValueError, 'max_bytes=') for value in (0, -1)],
    *[({'timeout': value}, ValueError, 'timeout=') for value in (0, float('nan'))],
])
def test_settings_are_checked(cris_config, settings, error, message):
    raises(error, message, PartReferInferencer, cris_config, **settings)


NO_FILES = [*[(value, TypeError) for value in (5, True, [], {'a': 1}, b'a.py', 1.5, object)],
            ('', ValueError), ('.', ValueError), ('/dev/null', ValueError),
            *[(value, FileNotFoundError) for value in ('\0', 'a' * 5000, '\ud800', 'a\nb')]]


@pytest.mark.parametrize(('path', 'error'), [(None, TypeError), *NO_FILES])
def test_what_is_no_config_raises_one_sentence(path, error):
    raises(error, 'config', PartReferInferencer, path)


@pytest.mark.parametrize(('path', 'error'), NO_FILES)
def test_what_is_no_checkpoint_raises_one_sentence(cris_config, path, error):
    raises(error, 'checkpoint', PartReferInferencer, cris_config, path)


@pytest.mark.parametrize('content', [
    {}, {'model': 5}, {'model': {}}, {'model': {'type': 5}}, {'test_dataloader': 5}, {'test_dataloader': [5]},
    *[{'test_dataloader': {'dataset': dataset}} for dataset in (
        5, {'pipeline': 5}, {'pipeline': []}, {'pipeline': ['x']}, {'pipeline': [{}]})]])
def test_a_config_without_a_model_or_pipeline_raises_one_sentence(cris_config, content):
    config = Config({**cris_config.to_dict(), **content} if content else {})
    raises(ConfigError, 'this config has no model or no test_dataloader', PartReferInferencer, config)


def test_a_config_needs_no_file_name(cris_config, image):
    assert len(PartReferInferencer(Config(cris_config.to_dict()), device='cpu')(image, 'car')) == 1


def test_misspelt_transforms_raise_one_sentence(cris_config):
    cris_config.test_dataloader.dataset.pipeline[1].type = 'Leterbox'
    raises(ConfigError, "'Leterbox', which does not exist", PartReferInferencer, cris_config)


def test_a_missing_gpu_raises_an_error(cris_config, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(ValueError, match='torch finds no CUDA device'):
        PartReferInferencer(cris_config, device='cuda')
    assert PartReferInferencer(cris_config, device='auto').device.type == 'cpu'


def test_the_callers_config_stays_as_it_was(cris_config):
    before = cris_config.to_dict()
    PartReferInferencer(cris_config)
    assert cris_config.to_dict() == before

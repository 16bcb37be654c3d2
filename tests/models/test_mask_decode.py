import cv2
import numpy as np
import pytest
import torch

from mmpartref.models.segmentors.mask_decode import DECODES, get_decode, sampling_matrix


def letterbox(size: int, height: int, width: int, half_pixel: bool) -> np.ndarray:
    scale = min(size / height, size / width)
    shift = 0.5 * scale - 0.5 if half_pixel else 0.0
    return np.array([[scale, 0, (size - width * scale) / 2 + shift], [0, scale, (size - height * scale) / 2 + shift]])


def ceiling(name: str, half_pixel: bool, diameter: int, stride: int = 4) -> float:
    """Mean IoU of the training target itself, decoded, on ellipses in a 500 x 375 image."""
    height, width, size = 375, 500, 416
    matrix = letterbox(size, height, width, half_pixel)
    decode = get_decode(name, stride=stride)
    rng = np.random.default_rng(0)
    ious = []
    for _ in range(20):
        mask = np.zeros((height, width), np.uint8)
        centre = (int(rng.integers(80, 420)), int(rng.integers(80, 300)))
        axes = (diameter // 2, int(diameter / 2 * rng.uniform(0.6, 1)))
        cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, 255, -1)
        target = torch.from_numpy(cv2.warpAffine(mask, matrix, (size, size), flags=cv2.INTER_LINEAR))
        target = decode.shrink_target(target[None, None].float() / 255, decode.logits_size((size, size)))[0]
        predicted = decode.to_image(target, (size, size), matrix, (height, width))[0].numpy() > decode.threshold
        ious.append((predicted & (mask > 0)).sum() / (predicted | (mask > 0)).sum())
    return float(np.mean(ious))


def test_the_aligned_decode_preserves_small_parts_that_the_published_one_loses():
    for diameter, published_most, aligned_least in ((16, 0.70, 0.90), (32, 0.83, 0.96), (64, 0.92, 0.98)):
        assert ceiling('cris', False, diameter) < published_most
        assert ceiling('aligned', True, diameter) > aligned_least


@pytest.mark.parametrize('name', ['cris', 'aligned'])
def test_twice_as_fine_logits_preserve_smaller_parts(name):
    aligned = name == 'aligned'
    for diameter in (8, 16):
        assert ceiling(name, aligned, diameter, stride=2) > ceiling(name, aligned, diameter, stride=4) + 0.02
    assert get_decode(name, stride=2).logits_size((33, 64)) == (17, 32)


@pytest.mark.parametrize('stride', [2, 4])
@pytest.mark.parametrize(('shape', 'size'), [((50, 70), 64), ((300, 200), 64), ((64, 64), 64)])
def test_aligned_decode_samples_a_ramp_without_an_offset(shape, size, stride):
    """A plane through the logit grid is a plane on the image, with pixel centres in place.

    The sharpening kernel wavers by a fifth of a network pixel; a forgotten half pixel would be half of one at least.
    """
    matrix = letterbox(size, *shape, half_pixel=True)
    side = size // stride
    grid = torch.arange(side, dtype=torch.float32) * stride + (stride - 1) / 2  # network pixel index of logits' centres
    ramp = grid.expand(1, side, side)
    on_image = get_decode('aligned', stride=stride).to_image(ramp, (size, size), matrix, shape)[0]
    expected = torch.arange(shape[1]).double() * matrix[0, 0] + matrix[0, 2]
    inner = (expected > 8) & (expected < size - 9)
    torch.testing.assert_close(on_image[shape[0] // 2][inner].double(), expected[inner], rtol=0, atol=0.25)


@pytest.mark.parametrize('name', sorted(DECODES))
def test_probabilities_are_resampled_in_float32_under_autocast(name):
    probs = torch.rand(2, 16, 16)
    given = (64, 64), letterbox(64, 50, 60, half_pixel=True), (50, 60)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = get_decode(name).to_image(probs, *given)
    torch.testing.assert_close(found, get_decode(name).to_image(probs, *given))


def test_sampling_rows_sum_to_one_and_identity_is_identity():
    matrix = sampling_matrix(torch.arange(7, dtype=torch.float64), 7, 1.0)
    torch.testing.assert_close(matrix, torch.eye(7, dtype=torch.float64))
    coarse = sampling_matrix(torch.arange(0, 20, 4, dtype=torch.float64) + 1.5, 20, 4.0)
    torch.testing.assert_close(coarse.sum(dim=1), torch.ones(5, dtype=torch.float64))
    assert (coarse > 0).sum(dim=1).min() >= 6  # averaged, not picked


def test_nearest_target_takes_corners_and_area_target_shares():
    target = torch.zeros(1, 1, 8, 8)
    target[..., :4, 1:4] = 1
    assert DECODES['cris'].shrink_target(target, (2, 2)).flatten().tolist() == [0, 0, 0, 0]
    assert DECODES['aligned'].shrink_target(target, (2, 2)).flatten().tolist() == [0.75, 0, 0, 0]


@pytest.mark.parametrize('name', ['cris', 'aligned'])
def test_a_mask_returns_to_its_place(name):
    shape, size = (120, 160), 128
    matrix = letterbox(size, *shape, half_pixel=name == 'aligned')
    truth = np.zeros(shape, bool)
    truth[30:80, 40:110] = True
    corners = [matrix @ np.array([x, y, 1.0]) / 4 for x, y in ((40, 30), (110, 80))]
    (x0, y0), (x1, y1) = corners
    probs = torch.zeros(1, size // 4, size // 4)
    probs[0, round(y0):round(y1), round(x0):round(x1)] = 1
    predicted = DECODES[name].to_image(probs, (size, size), matrix, shape)[0].numpy() > DECODES[name].threshold
    assert (predicted & truth).sum() / (predicted | truth).sum() > 0.85

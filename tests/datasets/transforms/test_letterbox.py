import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmpartref.datasets.transforms import Letterbox
from mmpartref.datasets.transforms.letterbox import FILL, letterbox_matrix
from mmpartref.models.data_preprocessor import CLIP_MEAN

sides = st.integers(1, 700)


def place(matrix: np.ndarray, x: float, y: float) -> np.ndarray:
    return matrix @ np.array([x, y, 1.0])


@settings(deadline=None)
@given(sides, sides, sides, sides)
def test_published_map_puts_index_corners_on_the_frame(h: int, w: int, height: int, width: int) -> None:
    scale = min(height / h, width / w)
    margin = np.array([(width - w * scale) / 2, (height - h * scale) / 2])
    matrix = letterbox_matrix((h, w), (height, width), half_pixel=False)
    np.testing.assert_allclose(place(matrix, 0, 0), margin, atol=1e-3)
    np.testing.assert_allclose(place(matrix, w, h), margin + np.array([w, h]) * scale, atol=1e-3)


@settings(deadline=None)
@given(sides, sides, sides, sides)
def test_half_pixel_map_puts_pixel_borders_on_the_frame(h: int, w: int, height: int, width: int) -> None:
    scale = min(height / h, width / w)
    margin = np.array([(width - w * scale) / 2, (height - h * scale) / 2])
    matrix = letterbox_matrix((h, w), (height, width), half_pixel=True)
    # Indices are pixel centres, so the image's outline runs from -0.5 to w - 0.5.
    np.testing.assert_allclose(place(matrix, -0.5, -0.5), margin - 0.5, atol=1e-9)
    opposite = margin + np.array([w, h]) * scale - 0.5
    np.testing.assert_allclose(place(matrix, w - 0.5, h - 0.5), opposite, atol=1e-9)


def test_published_matrix_of_a_typical_image() -> None:
    np.testing.assert_allclose(letterbox_matrix((375, 500), (416, 416), half_pixel=False),
                               [[0.832, 0, 0], [0, 0.832, 52]], atol=1e-6)


@pytest.mark.parametrize('half_pixel', [False, True])
def test_margins_have_the_fill_and_masks_zero(half_pixel: bool) -> None:
    results = {'img': np.full((10, 20, 3), 7, np.uint8), 'gt_masks': np.full((3, 10, 20), 255, np.uint8)}
    results = Letterbox(40, half_pixel=half_pixel)(results)
    assert results['img'].shape == (40, 40, 3)
    assert results['gt_masks'].shape == (3, 40, 40)
    assert results['img_shape'] == (40, 40)
    assert results['ori_shape'] == (10, 20)
    assert results['letterbox_matrix'].dtype == np.float64
    np.testing.assert_array_equal(results['img'][:6], np.broadcast_to(np.round(FILL), (6, 40, 3)))
    assert not results['gt_masks'][:, :6].any()
    assert (results['img'][14:26, 4:-4] == 7).all()
    assert (results['gt_masks'][:, 14:26, 4:-4] == 255).all()


def centroid(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.indices(mask.shape)
    return np.array([(columns * mask).sum(), (rows * mask).sum()]) / mask.sum()


@pytest.mark.parametrize('half_pixel', [False, True])
@pytest.mark.parametrize('size', [(96, 64), (33, 21)])
def test_masks_move_with_the_matrix(half_pixel: bool, size: tuple[int, int]) -> None:
    mask = np.zeros((40, 30), np.uint8)
    mask[10:22, 6:20] = 255
    results = Letterbox(size, half_pixel=half_pixel)({'img': np.zeros((40, 30, 3), np.uint8), 'gt_masks': mask[None]})
    expected = place(results['letterbox_matrix'], *centroid(mask / 255))
    np.testing.assert_allclose(centroid(results['gt_masks'][0] / 255), expected, atol=0.13)


def test_same_size_with_half_pixel_changes_nothing() -> None:
    img = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    for half_pixel in (True, False):
        same = Letterbox(24, half_pixel=half_pixel)({'img': img})['img']
        # Interpolation may round by one level; in noise, a shift changes a pixel by about 85.
        np.testing.assert_allclose(same.astype(int), img.astype(int), atol=1)


def test_published_map_shifts_when_doubling_and_half_pixel_does_not() -> None:
    mask = np.zeros((1, 10, 10), np.uint8)
    mask[:, :, 5:] = 255
    img = np.zeros((10, 10, 3), np.uint8)
    shifted, placed = (Letterbox(20, half_pixel=half_pixel)({'img': img, 'gt_masks': mask})['gt_masks'][0, 10]
                       for half_pixel in (False, True))
    # The step between columns 4 and 5 is at the middle of both images: columns 9 and 10 are 64 and 191.
    assert placed[:10].max() < 100 < 150 < placed[10:19].min()
    # Half a pixel further left, column 9 is 127.5.
    assert shifted[9] > 100


def test_fill_is_the_mean_of_the_preprocessor() -> None:
    assert FILL == CLIP_MEAN


@pytest.mark.parametrize('size', [0, (32, ), (32, -1), (32.0, 32), (1, 2, 3)])
def test_wrong_sizes_are_rejected(size: object) -> None:
    with pytest.raises(ValueError, match='should be a positive integer or two'):
        Letterbox(size)  # type: ignore[arg-type]

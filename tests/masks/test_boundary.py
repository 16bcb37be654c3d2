import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmpartref.masks.boundary import band_width, boundary_overlap, bounding_box, inner_band
from mmpartref.masks.iou import Overlap, encode_masks


def box(top: int, bottom: int, left: int, right: int, size: tuple[int, int] = (100, 100)) -> dict:
    mask = np.zeros(size, dtype=bool)
    mask[top:bottom, left:right] = True
    return encode_masks(mask[None])[0]


def peel(mask: np.ndarray, distance: int) -> np.ndarray:
    """The band, by taking the outermost layer off ``distance`` times; the image's border is a layer."""
    left = mask.copy()
    for _ in range(distance):
        padded = np.pad(left, 1)
        left = np.logical_and.reduce([padded[y:y + mask.shape[0], x:x + mask.shape[1]]
                                      for y in range(3) for x in range(3)])
    return mask & ~left


@pytest.mark.parametrize(('size', 'expected'), [
    ((100, 100), 3),  # 2 % of 141.4
    ((375, 500), 12),  # 12.5 rounds to the even side, as in the authors' code
    ((10, 10), 1),  # never less than a pixel
    ((480, 640), 16),
])
def test_the_band_is_two_percent_of_the_diagonal(size, expected):
    assert band_width(*size) == expected


def test_nested_squares_counted_by_hand():
    # d is 3. Layers 0, 1, 2 of the outer square against layers 1, 2, 3: layers 1 and 2 are shared.
    found = boundary_overlap(box(41, 59, 41, 59), box(40, 60, 40, 60))
    outer, inner, both = 20**2 - 14**2, 18**2 - 12**2, 18**2 - 14**2
    assert (outer, inner, both) == (204, 180, 128)
    assert found == Overlap(128, 204 + 180 - 128)
    assert found.iou == 0.5


def test_the_images_border_is_an_outline():
    corner = box(0, 20, 0, 20)
    assert boundary_overlap(corner, corner) == Overlap(204, 204)
    whole = box(0, 100, 0, 100)
    assert boundary_overlap(whole, whole) == Overlap(100**2 - 94**2, 100**2 - 94**2)


def test_empty_and_distant_masks():
    truth, nothing = box(40, 60, 40, 60), box(0, 0, 0, 0)
    assert boundary_overlap(nothing, truth) == boundary_overlap(truth, nothing) == Overlap(0, 204)
    assert boundary_overlap(nothing, nothing) == Overlap(0, 0)
    assert boundary_overlap(box(0, 20, 0, 20), truth) == Overlap(0, 408)
    # Boxes that meet in rows but not in columns.
    assert boundary_overlap(box(40, 60, 0, 20), truth) == Overlap(0, 408)


def test_a_hole_has_an_outline_too():
    mask = np.zeros((100, 100), dtype=bool)
    mask[10:60, 10:60] = True
    mask[34, 34] = False
    rle = encode_masks(mask[None])[0]
    # 3 layers outside, and everything within 3 pixels of the hole but the hole.
    assert boundary_overlap(rle, rle).union == 50**2 - 44**2 + 7**2 - 1


def test_a_thin_mask_is_all_band():
    pred, truth = box(10, 16, 5, 70), box(12, 18, 10, 90)
    # 6 rows are 2 d.
    assert boundary_overlap(pred, truth) == Overlap(4 * 60, 6 * 65 + 6 * 80 - 4 * 60)


@settings(max_examples=60, deadline=None)
@given(arrays(bool, st.tuples(st.just(2), st.integers(1, 40), st.integers(1, 40)),
              elements=st.sampled_from([True, True, True, True, True, True, True, True, True, False])),
       st.integers(0, 3), st.booleans())
def test_agrees_with_taking_off_layers(masks, inset, blank):
    pred, truth = masks
    # Something to crop.
    truth[:, :inset] = False
    pred[:inset] = False
    if blank:
        pred[:] = False
    distance = band_width(*truth.shape)
    bands = [peel(pred, distance), peel(truth, distance)]
    rles = encode_masks(masks)
    assert boundary_overlap(*rles) == Overlap(int((bands[0] & bands[1]).sum()), int((bands[0] | bands[1]).sum()))


@pytest.mark.parametrize('distance', [1, 2, 5])
def test_bands_of_any_width(distance):
    rng = np.random.default_rng(distance)
    mask = rng.random((30, 40)) < 0.97
    np.testing.assert_array_equal(inner_band(mask, distance), peel(mask, distance))


def test_the_bounding_box_is_tight():
    assert bounding_box(box(3, 7, 20, 31)) == (3, 7, 20, 31)
    assert bounding_box(box(0, 0, 0, 0)) == (0, 0, 0, 0)

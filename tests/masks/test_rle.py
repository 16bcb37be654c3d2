import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from mmpartref.evaluation.dumps.predictions import as_text
from mmpartref.masks.rle import empty, rle_from_segmentation, run_lengths, union

HEIGHT, WIDTH = 12, 17


def polygon(x: int, y: int, width: int, height: int) -> list[list[float]]:
    """A rectangle as a polygon; covers exactly width * height pixels."""
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]


def decode(segmentation: object) -> np.ndarray:
    rle, _ = rle_from_segmentation(segmentation, HEIGHT, WIDTH)
    assert rle is not None
    assert isinstance(rle['counts'], bytes)
    assert rle['size'] == [HEIGHT, WIDTH]
    return coco_mask.decode(rle).astype(bool)


def encode(mask: np.ndarray) -> dict:
    return coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))


def uncompressed(mask: np.ndarray) -> dict:
    pixels = mask.flatten(order='F').astype(int)
    borders = np.flatnonzero(np.diff(pixels)) + 1
    lengths = np.diff([0, *borders, len(pixels)]).tolist()
    return {'size': list(mask.shape), 'counts': [0, *lengths] if pixels[0] else lengths}


masks = arrays(bool, (HEIGHT, WIDTH))


@settings(deadline=None)
@given(masks)
def test_all_three_kinds_of_rle_give_the_same_mask(mask: np.ndarray) -> None:
    as_bytes = encode(mask)
    as_text = {**as_bytes, 'counts': as_bytes['counts'].decode()}
    for segmentation in (as_bytes, as_text, uncompressed(mask)):
        np.testing.assert_array_equal(decode(segmentation), mask)


@settings(deadline=None)
@given(masks)
def test_run_lengths_of_compressed_counts(mask: np.ndarray) -> None:
    assert run_lengths(encode(mask)['counts']).tolist() == uncompressed(mask)['counts']


def test_run_lengths_of_a_large_image() -> None:
    lengths = [0, 5, 9_000_000, 1, 2_000_000, 4_999_994]
    rle = coco_mask.frPyObjects({'size': [4000, 4000], 'counts': lengths}, 4000, 4000)
    assert run_lengths(rle['counts']).tolist() == lengths


def test_polygon_covers_its_pixels() -> None:
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[2:6, 3:8] = True
    np.testing.assert_array_equal(decode(polygon(3, 2, 5, 4)), expected)


def test_rings_are_united() -> None:
    assert decode(polygon(0, 0, 3, 3) + polygon(10, 5, 2, 2)).sum() == 13


def test_polygon_is_cut_off_at_the_border() -> None:
    assert decode(polygon(-5, -5, 8, 8)).sum() == 9
    assert decode(polygon(-50, -50, 150, 150)).all()


def test_short_rings_never_reach_pycocotools() -> None:
    box_as_read_by_pycocotools = [2, 2, 5, 5]
    rle, discarded = rle_from_segmentation([box_as_read_by_pycocotools, *polygon(0, 0, 3, 3), [1, 1]], HEIGHT, WIDTH)
    assert discarded == 2
    assert rle is not None
    assert coco_mask.area(rle) == 9
    assert rle_from_segmentation([box_as_read_by_pycocotools], HEIGHT, WIDTH) == (None, 1)
    assert rle_from_segmentation([], HEIGHT, WIDTH) == (None, 0)


@pytest.mark.parametrize(('segmentation', 'complaint'), [
    ({'size': [WIDTH, HEIGHT], 'counts': [HEIGHT * WIDTH]}, r'size \[17, 12\] but the image is \[12, 17\]'),
    ({'size': [HEIGHT, WIDTH], 'counts': [100]}, 'add up to 100 pixels'),
    ({'size': [HEIGHT, WIDTH], 'counts': [HEIGHT * WIDTH + 1, -1]}, 'add up to'),
    ({'size': [HEIGHT, WIDTH], 'counts': ''}, 'damaged'),
    ({'size': [HEIGHT, WIDTH], 'counts': 'ß'}, 'damaged'),
    ({'size': [HEIGHT, WIDTH], 'counts': '~~'}, 'damaged'),
    ({'size': [HEIGHT, WIDTH], 'counts': 'PPPPPPPPP0'}, 'damaged'),
    ({'size': [HEIGHT, WIDTH], 'counts': '0'}, 'add up to 0 pixels'),
    ({'size': [HEIGHT, WIDTH], 'counts': ['a']}, 'neither a string nor a list of integers'),
    ({'size': [HEIGHT, WIDTH]}, "lacks 'size' or 'counts'"),
    ([1, 2, 3, 4, 5, 6], 'not a list of rings'),
    ([[1, 2, 3, 4, 5, 6, 7]], '7 numbers'),
    ([[1, 2, 'x', 4, 5, 6]], 'not a number'),
    ([[1, 2, float('nan'), 4, 5, 6]], 'far outside'),
    ([[1, 2, 1e9, 4, 5, 6]], 'far outside'),
    ([[1, 2, 10**400, 4, 5, 6]], 'far outside'),
    (None, 'NoneType'),
    ('abc', 'str'),
])
def test_damage_is_rejected_with_a_reason(segmentation: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        rle_from_segmentation(segmentation, HEIGHT, WIDTH)


@pytest.mark.parametrize('number', range(4))
@pytest.mark.parametrize('text', [False, True])
def test_a_union_is_any_of_the_masks(number, text):
    masks = np.random.default_rng(number).random((number, 7, 11)) < 0.3
    rles = [coco_mask.encode(np.asfortranarray(mask, np.uint8)) for mask in masks]
    found = union([as_text(rle) for rle in rles] if text else rles, (7, 11))
    assert found['size'] == [7, 11]
    assert np.array_equal(coco_mask.decode(found), masks.any(axis=0))


@pytest.mark.parametrize('size', [(3, 5), [3, 5], tuple(np.array([3, 5]))])
def test_an_empty_mask_is_as_pycocotools_encodes_it(size):
    assert empty(size) == coco_mask.encode(np.zeros((3, 5), np.uint8, order='F'))

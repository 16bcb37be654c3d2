import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmpartref.masks.outlines import (
    MIN_IOU,
    draw_by_opencv,
    draw_by_pillow,
    draw_edges,
    join_rings,
    outline,
    split_components,
)

DRAW = {'opencv': draw_by_opencv, 'pillow': draw_by_pillow}


def draw(rings: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    rles = coco_mask.frPyObjects([ring.reshape(-1).astype(float).tolist() for ring in rings], *shape)
    return coco_mask.decode(coco_mask.merge(rles)).astype(bool)


def blobs(seed: int) -> np.ndarray:
    """A mask of round pieces, some with holes, some at the border."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(60, 140, 2).tolist())
    noise = cv2.GaussianBlur(rng.random(shape).astype(np.float32), (0, 0), float(rng.uniform(1, 8)))
    return noise > np.quantile(noise, rng.uniform(0.3, 0.8))


@pytest.mark.parametrize('seed', range(20))
def test_without_tolerance_the_ring_is_the_mask(seed):
    mask = blobs(seed)
    assert np.array_equal(draw(outline(mask, 0), mask.shape), mask)


@pytest.mark.parametrize('tolerance', [0.5, 1, 3, 50])
def test_simplified_rings_stay_near_each_piece(tolerance):
    for seed in range(20):
        mask = blobs(seed)
        rings = outline(mask, tolerance)
        pieces = split_components(mask)
        assert len(rings) == len(pieces)
        for ring, piece in zip(rings, pieces, strict=True):
            drawn = draw([ring], mask.shape)
            assert (drawn & piece).sum() / (drawn | piece).sum() >= MIN_IOU


@pytest.mark.parametrize('drawn_by', DRAW)
@pytest.mark.parametrize('tolerance', [0, 1, 50])
def test_rings_of_border_pixels_are_drawn_again(tolerance, drawn_by):
    for seed in range(20):
        mask = blobs(seed)
        rings = outline(mask, tolerance, drawn_by=drawn_by)
        drawn = np.any([DRAW[drawn_by](ring, mask.shape) for ring in rings], axis=0)
        # Of a hole of a pixel nothing is left where the slit passes.
        assert (drawn & mask).sum() / (drawn | mask).sum() >= (MIN_IOU if tolerance else 0.995)


@pytest.mark.parametrize('tolerance', [1, 50])
def test_a_round_part_needs_few_points(tolerance):
    mask = cv2.ellipse(np.zeros((120, 160), np.uint8), (80, 60), (60, 40), 20, 0, 360, 1, -1).astype(bool)
    (exact, ), (ring, ) = outline(mask, 0), outline(mask, tolerance)
    assert len(ring) < 40 < 100 < len(exact)


def test_holes_are_cut_out_by_slits():
    mask = np.zeros((50, 50), dtype=bool)
    mask[5:45, 5:45] = True
    mask[10:20, 10:20] = mask[30:33, 30:40] = mask[40, 8] = False
    (ring, ) = outline(mask, 0)
    assert np.array_equal(draw([ring], mask.shape), mask)
    # Programs that fill by the even-odd rule, as OpenCV does, leave the holes open but for their border.
    filled = cv2.fillPoly(np.zeros(mask.shape, np.uint8), [ring], 1)
    assert filled[12:18, 12:18].sum() == 0


def test_pieces_are_the_largest_first_and_small_ones_dropped():
    mask = np.zeros((20, 30), dtype=bool)
    mask[0:2, 0:2], mask[5:15, 5:15], mask[18, 28], mask[19, 29] = True, True, True, True
    assert [piece.sum() for piece in split_components(mask)] == [100, 4, 2]
    assert [piece.sum() for piece in split_components(mask, 3)] == [100, 4]
    assert split_components(np.zeros((4, 4), dtype=bool)) == []
    assert outline(np.zeros((4, 4), dtype=bool)) == []


def test_a_pixel_has_four_corners():
    mask = np.zeros((4, 4), dtype=bool)
    mask[1, 2] = True
    (ring, ) = outline(mask, 1)
    assert sorted(ring.tolist()) == [[2, 1], [2, 2], [3, 1], [3, 2]]
    assert np.array_equal(draw_edges(ring, mask.shape), mask)
    for drawn_by, draw_ring in DRAW.items():
        (ring, ) = outline(mask, 1, drawn_by=drawn_by)
        assert ring.tolist() == [[2, 1]]
        assert np.array_equal(draw_ring(ring, mask.shape), mask)


def test_joined_rings_enclose_what_they_enclosed():
    mask = np.zeros((30, 60), dtype=bool)
    mask[5:15, 5:15], mask[5:20, 30:45], mask[25:28, 10:50] = True, True, True
    ring = join_rings(outline(mask, 0))
    assert np.array_equal(draw([ring], mask.shape), mask)

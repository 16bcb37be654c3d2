from fractions import Fraction

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmpartref.masks.iou import Overlap, encode_masks, score_expression, score_rles


def rle(mask: np.ndarray) -> dict:
    return coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))


def box(y0: int, y1: int, x0: int, x1: int, size: tuple[int, int] = (6, 8)) -> np.ndarray:
    mask = np.zeros(size, dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


def test_hand_counted_masks():
    # 2 x 4 predicted; one annotation covers its left half and two pixels more, the other is disjoint.
    score = score_expression(box(1, 3, 2, 6), [rle(box(1, 3, 1, 4)), rle(box(4, 6, 0, 2))])
    assert score.overlap == Overlap(inter=4, union=14)
    assert (score.pred_area, score.true_area) == (8, 10)
    assert score.per_annotation == (Overlap(4, 10), Overlap(0, 12))


def test_pixels_of_two_annotations_count_once():
    score = score_expression(box(0, 2, 0, 4), [rle(box(0, 2, 0, 3)), rle(box(0, 2, 1, 4))])
    assert score.overlap == Overlap(8, 8)
    assert score.true_area == 8


@pytest.mark.parametrize('seed', range(5))
def test_agrees_with_dense_counting_and_with_pycocotools(seed):
    rng = np.random.default_rng(seed)
    pred, *truths = rng.random((4, 23, 31)) < rng.uniform(0.05, 0.9, (4, 1, 1))
    score = score_expression(pred, [rle(truth) for truth in truths])
    union = np.logical_or.reduce(truths)
    assert score.overlap == Overlap(int((pred & union).sum()), int((pred | union).sum()))
    assert score.per_annotation == tuple(Overlap(int((pred & t).sum()), int((pred | t).sum())) for t in truths)
    reference = coco_mask.iou([rle(pred)], [rle(truth) for truth in truths], [0] * 3)[0]
    np.testing.assert_allclose([each.iou for each in score.per_annotation], reference, rtol=1e-12)


def test_counts_are_plain_integers():
    score = score_expression(box(0, 1, 0, 1), [rle(box(0, 1, 0, 1))])
    counts = (score.overlap.inter, score.overlap.union, score.pred_area, score.true_area)
    assert {type(count) for count in counts} == {int}


@pytest.mark.parametrize(('pred', 'truth', 'expected'), [
    (box(0, 0, 0, 0), box(0, 0, 0, 0), 1.0),
    (box(0, 0, 0, 0), box(0, 1, 0, 1), 0.0),
    (box(0, 1, 0, 1), box(0, 0, 0, 0), 0.0),
])
def test_empty_masks(pred, truth, expected):
    score = score_expression(pred, [rle(truth)])
    assert score.overlap.iou == expected
    assert score.per_annotation[0].iou == expected


def test_without_annotations_only_an_empty_prediction_is_right():
    assert score_expression(box(0, 0, 0, 0), []).overlap.iou == 1
    score = score_expression(box(0, 2, 0, 2), [])
    assert (score.overlap, score.true_area, score.per_annotation) == (Overlap(0, 4), 0, ())


@pytest.mark.parametrize(('inter', 'union', 'threshold'), [(1, 2, '0.5'), (7, 10, '0.7'), (9, 10, '0.9'), (3, 5, '0.6'),
                                                           (0, 0, '1')])
def test_exactly_on_the_threshold(inter, union, threshold):
    overlap = Overlap(inter, union)
    assert not overlap.reaches(Fraction(threshold), strict=True)
    assert overlap.reaches(Fraction(threshold), strict=False)
    if union:
        more = Overlap(inter * 10**9 + 1, union * 10**9)
        assert more.reaches(Fraction(threshold), strict=True)


def test_another_size_is_rejected():
    with pytest.raises(ValueError, match=r'\[6, 8\].*\[8, 6\]'):
        score_expression(box(0, 1, 0, 1), [rle(box(0, 1, 0, 1, (8, 6)))])


@pytest.mark.parametrize('mask', [np.zeros((6, 8), np.uint8), np.zeros((1, 6, 8), bool)])
def test_only_a_boolean_mask_is_scored(mask):
    with pytest.raises(ValueError, match=r'\(h, w\) bool'):
        score_expression(mask, [rle(box(0, 1, 0, 1))])


def test_text_and_bytes_count_alike():
    pred, truth = encode_masks(np.stack([box(1, 3, 2, 6), box(1, 3, 1, 4)]))
    assert isinstance(pred['counts'], str)
    assert score_rles(pred, [truth]) == score_expression(box(1, 3, 2, 6), [rle(box(1, 3, 1, 4))])

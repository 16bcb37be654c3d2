from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmpartref.evaluation.diagnosis.failure_kinds import FAILURE_KINDS, failure_kind, is_collapsed, kind_of
from mmpartref.evaluation.diagnosis.pixel_breakdown import count_pixels
from mmpartref.evaluation.dumps.predictions import Prediction
from mmpartref.masks.iou import Overlap, encode_masks

# The image is one row of pixels: head 0 to 9, body 10 to 19, wing 20 to 39, background from 40 on.
HEAD, BODY, WING = (0, 10), (10, 20), (20, 40)


@pytest.fixture
def siblings(strip) -> list[Prediction]:
    return [strip('body', [BODY]), strip('wing', [WING])]


@pytest.mark.parametrize(('pred', 'expected'), [
    ([(0, 6)], 'good'),
    ([(0, 5)], 'imprecise'),  # IoU 1/2 exactly, as P@0.5 counts strictly
    ([], 'empty'),
    ([(0, 4)], 'under-segmented'),
    ([(0, 10), (40, 55)], 'over-segmented'),  # precision 10 / 25
    ([(0, 10), (40, 50)], 'imprecise'),  # precision 1/2, recall 1
    ([(0, 6), (40, 46)], 'imprecise'),
    ([(0, 40)], 'whole object'),
    ([(0, 5), (10, 30)], 'whole object'),  # half of the head, 20 of the siblings' 30
    ([(0, 5), (10, 24)], 'over-segmented'),  # half of the head, 14 of the siblings' 30
    ([(0, 14), (20, 31)], 'whole object'),  # 15 of the siblings' 30
    ([(0, 14), (20, 29)], 'over-segmented'),  # 13 of them
    ([(0, 4), (40, 44)], 'under-segmented'),  # precision 1/2
    ([(6, 40)], 'sibling part'),  # 4 of the head's 10
    ([(10, 20)], 'sibling part'),
    ([(10, 15), (40, 45)], 'mislocalised'),  # as much on the sibling as on background
    ([(10, 16), (40, 45)], 'sibling part'),
    ([(45, 55)], 'mislocalised'),
    ([(0, 4), (40, 50)], 'mislocalised'),
])
def test_kinds_of_masks_counted_by_hand(strip, siblings, pred, expected):
    assert expected in FAILURE_KINDS
    assert failure_kind(strip('head', [HEAD], pred), siblings) == expected
    assert failure_kind(strip('head', [HEAD], pred), siblings[::-1]) == expected


def test_an_object_with_one_annotated_part_cannot_collapse(strip):
    prediction = strip('head', [HEAD], [(0, 40)])
    assert failure_kind(prediction, []) == 'over-segmented'
    # A sibling without pixels outside the part shows no other part either.
    inside = strip('beak', [(2, 4)])
    assert not is_collapsed(count_pixels(prediction, [inside]))
    assert failure_kind(prediction, [inside, strip('body', [BODY])]) == 'whole object'


def test_a_mask_of_everything_is_not_the_object(strip):
    # The object is 20 pixels; of 40 predicted ones that is half, of 41 less.
    assert failure_kind(strip('head', [HEAD], [(0, 40)]), [strip('body', [BODY])]) == 'whole object'
    assert failure_kind(strip('head', [HEAD], [(0, 41)]), [strip('body', [BODY])]) == 'over-segmented'


def test_a_mask_that_fits_one_sibling_best_is_not_the_whole_object(strip):
    # Half of the head and the whole body, but no tail: IoU 29/36 with the object, 28/29 with the body.
    pixels = count_pixels(strip('head', [(0, 2)], [(1, 30)]), [strip('body', [(2, 30)]), strip('tail', [(30, 36)])])
    assert pixels.whole == Overlap(29, 36)
    assert pixels.parts['body'].overlap == Overlap(28, 29)
    assert (pixels.on_siblings, pixels.siblings_area) == (28, 34)
    assert not is_collapsed(pixels)
    assert kind_of(pixels) == 'over-segmented'


def test_a_part_that_is_most_of_its_object_may_collapse_and_be_good(strip):
    pixels = count_pixels(strip('body', [(0, 30)], [(0, 40)]), [strip('head', [(30, 40)])])
    assert is_collapsed(pixels)
    assert kind_of(pixels) == 'good'


def test_other_instances_of_the_same_part(strip):
    siblings = [strip('foot', [(50, 60)]), strip('body', [BODY])]
    assert failure_kind(strip('foot', [(0, 10)], [(50, 60)]), siblings) == 'other instance'
    assert failure_kind(strip('foot', [(0, 10)], [(0, 10), (49, 60)]), siblings) == 'other instance'
    # A precision of exactly 1/2 is enough.
    assert failure_kind(strip('foot', [(0, 10)], [(0, 10), (50, 60)]), siblings) == 'imprecise'
    # 10 of the 20 stray pixels are on the other foot: not more than half.
    assert failure_kind(strip('foot', [(0, 10)], [(0, 10), (40, 60)]), siblings) == 'over-segmented'
    # Both feet are not the whole object while there is a body.
    pixels = count_pixels(strip('foot', [(0, 10)], [(0, 10), (50, 60)]), siblings)
    assert (pixels.own, pixels.named, pixels.whole) == (Overlap(10, 20), Overlap(20, 20), Overlap(20, 30))
    assert not is_collapsed(pixels)
    # 10 of one foot and all of the body, against both feet and the body.
    pixels = count_pixels(strip('foot', [(0, 10)], [(0, 20)]), siblings)
    assert (pixels.on_instances, pixels.on_siblings, pixels.siblings_area) == (0, 10, 10)


def test_absent_parts(strip, siblings):
    assert failure_kind(strip('tail', [], [(0, 3)], absent='other'), siblings) == 'false positive'
    assert failure_kind(strip('tail', [], [], absent='other'), siblings) == 'good'
    # They are not siblings either.
    pixels = count_pixels(strip('head', [HEAD], [HEAD]), [strip('tail', [], absent='other')])
    assert (pixels.parts, pixels.siblings_area) == ({}, 0)


def test_a_pixel_counts_once_for_the_expressions_part_or_the_smallest(strip):
    siblings = [strip('skin', [(0, 30)]), strip('nose', [(12, 16)]), strip('brow', [(14, 16)]),
                strip('ear', [(40, 42)])]
    pixels = count_pixels(strip('eye', [(0, 10)], [(5, 20), (30, 33)]), siblings)
    assert pixels.own == Overlap(5, 23)
    counts = {name: part.pixels for name, part in pixels.parts.items()}
    assert counts == {'brow': 2, 'ear': 0, 'nose': 2, 'skin': 6}
    assert pixels.parts['skin'].overlap == Overlap(15, 33)
    assert (pixels.on_siblings, pixels.on_background) == (10, 3)
    assert (pixels.precision, pixels.recall) == (Fraction(5, 18), Fraction(5, 10))
    # Of two parts of one size, the first by name.
    twins = [strip('b', [(20, 24)]), strip('a', [(22, 26)])]
    pixels = count_pixels(strip('eye', [(0, 10)], [(20, 26)]), twins)
    assert {name: part.pixels for name, part in pixels.parts.items()} == {'a': 4, 'b': 2}


def test_several_annotations_are_one_part(strip):
    pixels = count_pixels(strip('foot', [(0, 4), (2, 6)], [(0, 8)]), [strip('body', [(6, 7), (10, 12)])])
    assert (pixels.true_area, pixels.own, pixels.object_area) == (6, Overlap(6, 8), 9)
    assert pixels.parts['body'].pixels == 1


@settings(max_examples=150, deadline=None)
@given(arrays(bool, (5, 3, 6)), st.permutations(['nose', 'eye', 'eye', 'skin']))
def test_pixel_counts_agree_with_counting_pixel_by_pixel(masks, names):
    pred, own, *others = masks

    def wrap(part: str, truth: np.ndarray, mask: np.ndarray) -> Prediction:
        rles = encode_masks(np.stack([mask, truth]))
        return Prediction(part, part, part, 'face', [0], 0.5, rles[0], [rles[1]])

    siblings = [wrap(name, mask, np.zeros_like(pred)) for name, mask in zip(names[1:], others, strict=True)]
    pixels = count_pixels(wrap(names[0], own, pred), siblings)
    united: dict[str, np.ndarray] = {names[0]: own}
    for name, mask in zip(names[1:], others, strict=True):
        united[name] = united.get(name, np.zeros_like(pred)) | mask
    order = sorted(set(united) - {names[0]}, key=lambda name: (united[name].sum(), name))
    counts = dict.fromkeys([names[0], *order, ''], 0)
    for place in zip(*np.nonzero(pred), strict=True):
        counts[next((name for name in [names[0], *order] if united[name][place]), '')] += 1
    assert pixels.named.inter == counts[names[0]]
    assert {name: part.pixels for name, part in pixels.parts.items()} == {name: counts[name] for name in order}
    assert pixels.on_background == counts['']
    whole = np.logical_or.reduce(list(united.values()))
    assert pixels.whole == Overlap(int((pred & whole).sum()), int((pred | whole).sum()))
    assert (pixels.object_area, pixels.true_area) == (whole.sum(), own.sum())
    assert pixels.on_instances + pixels.on_siblings + pixels.on_background == (pred & ~own).sum()
    assert kind_of(pixels) in FAILURE_KINDS

import pytest

from mmpartref.evaluation.diagnosis.left_right import (
    SideOverlap,
    format_left_right,
    left_right_metrics,
    mirrored,
    side_overlap,
)
from mmpartref.masks.iou import Overlap


@pytest.mark.parametrize(('expression', 'expected'), [
    ('car left mirror', 'car right mirror'),
    ('the Right-hand door', 'the left-hand door'),
    ('Car LEFT door', 'car right door'),
    ('left of the right door', 'right of the left door'),
    ('car mirror', None),
    ('copyright leftover', None),
])
def test_whole_words_change_sides(expression, expected):
    assert mirrored(expression) == expected


@pytest.fixture
def image(strip):
    """Left mirror 0 to 9, right mirror 20 to 29 in two annotations, a wheel of one side."""
    def make(left=(), right=()):
        return [strip('left mirror', [(0, 10)], left, owner='car', ref_id='l'),
                strip('right mirror', [(20, 25), (25, 30)], right, owner='car', ref_id='r'),
                strip('left wheel', [(40, 45)], [(40, 45)], owner='car'), strip('roof', [(50, 55)], owner='car')]
    return make


@pytest.mark.parametrize(('pred', 'own', 'mirror', 'both'), [
    ([(0, 10)], (10, 10), (0, 20), False),
    ([(20, 30)], (0, 20), (10, 10), False),
    ([(0, 5), (20, 25)], (5, 15), (5, 15), True),
    ([(0, 4), (20, 25)], (4, 15), (5, 14), False),
    ([], (0, 10), (0, 10), False),
])
def test_overlaps_with_both_sides(image, pred, own, mirror, both):
    expressions = image(left=pred)
    assert side_overlap(expressions[0], expressions) == SideOverlap(Overlap(*own), Overlap(*mirror), both)


def test_only_pairs_are_counted(image, strip):
    expressions = image()
    assert side_overlap(expressions[1], expressions).own == Overlap(0, 10)
    assert side_overlap(expressions[2], expressions) is None
    assert side_overlap(expressions[3], expressions) is None
    # A counterpart that the image does not show does not count.
    absent = strip('right wheel', [], [(1, 2)], owner='car', absent='unannotated')
    assert side_overlap(expressions[2], [*expressions, absent]) is None
    assert side_overlap(absent, [*expressions, absent]) is None


def test_shares(image):
    preds = [[(0, 10)], [(0, 10), (20, 22)], [(20, 30)], []]
    overlaps = [side_overlap(expressions[0], expressions) for expressions in map(image, preds)]
    metrics = left_right_metrics(7, overlaps)
    assert metrics == {'expressions': 7, 'pairs': 4, 'own': .5, 'mirror': .25, 'tie': .25, 'both': 0}
    text = format_left_right(metrics)
    assert text.startswith('7 expressions contain left or right; the counterpart of 4 is in the image\n')
    assert 'greater with the other side' in text
    assert '25.00' in text


def test_no_pairs():
    assert format_left_right(left_right_metrics(0, [])) == 'no expression contains left or right'
    assert format_left_right(left_right_metrics(2, [])).endswith('counterpart of 0 is in the image')

"""Classify each prediction by how it fails.

The kinds of ``FAILURE_KINDS``, tested in the order of this table; the first that applies is taken. Precision is the
share of the predicted pixels that are on the part, recall the share of the part that is predicted, stray pixels are
predicted pixels that are not on the part. ``pixel_breakdown`` defines siblings.

===================  ==================================================================================================
'false positive'     the part is not in the image but the mask is not empty (an empty mask is 'good')
'empty'              the part is in the image and the mask is empty
'good'               IoU > 1/2, strictly as in Precision@0.5: the share of 'good' is P@0.5
'whole object'       collapsed (see ``is_collapsed``): the mask fits the whole object better than any single part
'other instance'     precision < 1/2, and more than half of the stray pixels are on other instances of the same part
                     (with ``instances='separate'`` only)
'over-segmented'     recall >= 1/2, precision < 1/2: the part and much more
'under-segmented'    recall < 1/2, precision >= 1/2: a piece of the part
'imprecise'          recall and precision >= 1/2, but IoU <= 1/2
'sibling part'       recall and precision < 1/2, and more stray pixels are on sibling parts than on background
'mislocalised'       recall and precision < 1/2, all others
===================  ==================================================================================================

All comparisons are of integers, so that a mask exactly on a border is always on the same side of it.
"""
from collections.abc import Sequence
from fractions import Fraction

from mmpartref.evaluation.diagnosis.pixel_breakdown import PixelBreakdown, count_pixels
from mmpartref.evaluation.dumps.predictions import Prediction

FAILURE_KINDS = ('good', 'empty', 'whole object', 'sibling part', 'other instance', 'over-segmented',
                 'under-segmented', 'imprecise', 'mislocalised', 'false positive')
# A good mask has a greater IoU.
GOOD_IOU = Fraction(1, 2)
# The least recall of a part that counts as covered by the mask, and the least precision of a mask that counts as on it.
COVERED = Fraction(1, 2)


def failure_kind(prediction: Prediction, siblings: Sequence[Prediction]) -> str:
    """Return one of ``FAILURE_KINDS``.

    Args:
        prediction: of one expression.
        siblings: the image's other expressions of the same super-category, in any order.
    """
    return kind_of(count_pixels(prediction, siblings))


def kind_of(pixels: PixelBreakdown) -> str:
    """Return the failure kind of counted pixels."""
    precision, recall = pixels.precision, pixels.recall
    if recall is None:
        return 'good' if precision is None else 'false positive'
    if precision is None:
        return 'empty'
    if pixels.own.reaches(GOOD_IOU, strict=True):
        return 'good'
    if is_collapsed(pixels):
        return 'whole object'
    if precision < COVERED and 2 * pixels.on_instances > pixels.pred_area - pixels.own.inter:
        return 'other instance'
    if recall >= COVERED:
        return 'over-segmented' if precision < COVERED else 'imprecise'
    if precision >= COVERED:
        return 'under-segmented'
    return 'sibling part' if pixels.on_siblings > pixels.on_background else 'mislocalised'


def has_sibling_parts(pixels: PixelBreakdown) -> bool:
    """Return whether the object has pixels outside the part; otherwise part and object are the same mask."""
    return pixels.siblings_area > 0


def is_collapsed(pixels: PixelBreakdown) -> bool:
    """Return whether the mask is the object instead of the part.

    It covers at least half of the part and at least half of the siblings' pixels outside the part, at least half of it
    is on any of them (a mask of the whole image is not the object), and its IoU with the union of all is greater than
    with the part and with each sibling part. A mask of a part that is most of its object can be collapsed and 'good'.
    """
    if not has_sibling_parts(pixels) or pixels.recall is None or pixels.recall < COVERED:
        return False
    if Fraction(pixels.whole.inter, pixels.pred_area) < COVERED:
        return False
    if Fraction(pixels.on_siblings, pixels.siblings_area) < COVERED:
        return False
    singles = [pixels.own, pixels.named, *(each.overlap for each in pixels.parts.values())]
    return all(pixels.whole.exact > each.exact for each in singles)

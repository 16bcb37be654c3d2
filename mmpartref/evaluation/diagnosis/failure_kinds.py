"""Why a predicted part is wrong, in one word.

The kinds of ``FAILURE_KINDS`` in the order in which they are tried; the first that fits is taken. Precision is the
share of the predicted pixels that lie on the part, recall the share of the part that was predicted, stray pixels are
those predicted beside the part. What siblings are is said in ``landing``.

===================  ==================================================================================================
'invented'           the photo does not show the part, but a mask was predicted (an empty mask is 'good')
'empty'              the photo shows the part and nothing was predicted
'good'               IoU > 1/2, as Precision@0.5 counts strictly: the share of 'good' is P@0.5
'whole object'       collapsed (see ``is_collapsed``): the mask fits the whole object better than any single part
'other instance'     precision < 1/2, and more than half of the stray pixels lie on other instances of the same part
                     (only where instances are asked for one by one)
'over-segmented'     recall >= 1/2, precision < 1/2: the part and much more
'under-segmented'    recall < 1/2, precision >= 1/2: a piece of the part
'loose'              recall and precision >= 1/2, and still no more than half in common
'sibling part'       recall and precision < 1/2, and more stray pixels lie on sibling parts than on background
'elsewhere'          recall and precision < 1/2, all others
===================  ==================================================================================================

Everything is decided in whole numbers, so that a mask exactly on a border is always on the same side of it.
"""
from collections.abc import Sequence
from fractions import Fraction

from mmpartref.evaluation.diagnosis.pixel_breakdown import Landing, count_landing
from mmpartref.evaluation.dumps.predictions import Prediction

FAILURE_KINDS = ('good', 'empty', 'whole object', 'sibling part', 'other instance', 'over-segmented',
                 'under-segmented', 'loose', 'elsewhere', 'invented')
# The IoU that has to be exceeded.
GOOD_IOU = Fraction(1, 2)
# From this share on, a part counts as covered by the mask, and the mask as lying on the part.
COVERED = Fraction(1, 2)


def failure_kind(prediction: Prediction, siblings: Sequence[Prediction]) -> str:
    """Return one of ``FAILURE_KINDS``.

    Args:
        prediction: what was asked and answered.
        siblings: the photo's other expressions of the same super-category, in any order.
    """
    return kind_of(count_landing(prediction, siblings))


def kind_of(landing: Landing) -> str:
    """Return the kind of counted pixels."""
    precision, recall = landing.precision, landing.recall
    if recall is None:
        return 'good' if precision is None else 'invented'
    if precision is None:
        return 'empty'
    if landing.own.reaches(GOOD_IOU, strict=True):
        return 'good'
    if is_collapsed(landing):
        return 'whole object'
    if precision < COVERED and 2 * landing.on_instances > landing.pred_area - landing.own.inter:
        return 'other instance'
    if recall >= COVERED:
        return 'over-segmented' if precision < COVERED else 'loose'
    if precision >= COVERED:
        return 'under-segmented'
    return 'sibling part' if landing.on_siblings > landing.on_background else 'elsewhere'


def has_sibling_parts(landing: Landing) -> bool:
    """Say whether the object shows anything beside the part: without it, part and object cannot be told apart."""
    return landing.siblings_area > 0


def is_collapsed(landing: Landing) -> bool:
    """Say whether the mask is the object rather than the part.

    That is: it covers at least half of the part and at least half of what the siblings have beside it, at least half of
    it lies on any of them (a mask of the whole photo is not the object), and its IoU with the union of all is greater
    than with the part and with each sibling part. A mask of a part that is most of its object may be collapsed and
    'good' at once.
    """
    if not has_sibling_parts(landing) or landing.recall is None or landing.recall < COVERED:
        return False
    if Fraction(landing.whole.inter, landing.pred_area) < COVERED:
        return False
    if Fraction(landing.on_siblings, landing.siblings_area) < COVERED:
        return False
    singles = [landing.own, landing.named, *(each.overlap for each in landing.parts.values())]
    return all(landing.whole.exact > each.exact for each in singles)

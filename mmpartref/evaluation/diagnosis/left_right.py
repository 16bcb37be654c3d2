"""Left-right confusion: whether the mask of "left mirror" is on the right one.

The counterpart of an expression with the word *left* or *right* is an expression of the same image that equals it with
the two words swapped. A mask is on the correct side if its IoU with its own ground truth is greater than with the
counterpart's. PartImageNet's categories have no sides.
"""
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mmpartref.evaluation.diagnosis.failure_kinds import COVERED
from mmpartref.evaluation.diagnosis.pixel_breakdown import mask_area, overlap_of
from mmpartref.evaluation.dumps.predictions import Prediction
from mmpartref.masks.iou import Overlap
from mmpartref.masks.rle import union
from mmpartref.tables import Column, Table, to_text

SIDE = re.compile(r'\b(left|right)\b', re.IGNORECASE)
# Metrics and what they are shares of.
SIDE_SHARES = {'own': 'IoU is greater with the own side', 'mirror': 'IoU is greater with the other side',
               'tie': 'IoU is equal, or 0', 'both': 'at least half of both sides is covered'}


@dataclass(frozen=True)
class SideOverlap:
    """Overlaps of a prediction with its own part and with the counterpart.

    Attributes:
        own, mirror: overlaps with the two truths.
        covers_both: whether at least half of each truth is covered.
    """
    own: Overlap
    mirror: Overlap
    covers_both: bool


def mirrored(expression: str) -> str | None:
    """Return an expression, lower case, with left and right swapped; None where neither occurs as a whole word."""
    text = expression.lower()
    if not SIDE.search(text):
        return None
    return SIDE.sub(lambda found: 'right' if found[0] == 'left' else 'left', text)


def side_overlap(prediction: Prediction, image: Sequence[Prediction]) -> SideOverlap | None:
    """Return the overlaps of a prediction with its own truth and with its counterpart's.

    Args:
        prediction: of one expression.
        image: all expressions of the image; the truths of several counterparts are united.

    Returns:
        None where the expression has no side, or one of the two truths is missing.
    """
    words = mirrored(prediction.expression)
    rles = [rle for other in image if other.expression.lower() == words for rle in other.truth]
    if not rles or not prediction.truth:
        return None
    truths = [union(each, prediction.pred['size']) for each in (prediction.truth, rles)]
    own, mirror = (overlap_of(prediction.pred, truth) for truth in truths)
    covered = [each.inter >= COVERED * mask_area(truth) for each, truth in zip((own, mirror), truths, strict=True)]
    return SideOverlap(own, mirror, all(covered))


def left_right_metrics(with_side: int, overlaps: Sequence[SideOverlap]) -> dict[str, int | float]:
    """Return counts and shares.

    Args:
        with_side: number of expressions with the word left or right.
        overlaps: of those whose counterpart is in the image.

    Returns:
        ``expressions`` (``with_side``) and ``pairs`` (overlaps); of the pairs the shares whose IoU is greater with
        ``own`` or with ``mirror`` or equal (``tie``, mostly 0), and of those that cover at least half of ``both``; no
        shares where there is no pair.
    """
    metrics: dict[str, int | float] = {'expressions': with_side, 'pairs': len(overlaps)}
    if overlaps:
        own = sum(each.own.exact > each.mirror.exact for each in overlaps)
        mirror = sum(each.own.exact < each.mirror.exact for each in overlaps)
        both = sum(each.covers_both for each in overlaps)
        metrics |= {name: count / len(overlaps) for name, count in
                    (('own', own), ('mirror', mirror), ('tie', len(overlaps) - own - mirror), ('both', both))}
    return metrics


def format_left_right(metrics: dict[str, int | float]) -> str:
    """Return the metrics as text, in percent."""
    if not metrics['expressions']:
        return 'no expression contains left or right'
    title = (f"{metrics['expressions']} expressions contain left or right; the counterpart of {metrics['pairs']} is in "
             'the image')
    shares = [[text, metrics[name]] for name, text in SIDE_SHARES.items() if metrics['pairs']]
    return to_text(Table(title, [Column(''), Column('', percent=True)], shares)) if shares else title

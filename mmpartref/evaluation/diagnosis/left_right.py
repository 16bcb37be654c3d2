"""Left for right: does the mask of "left mirror" lie on the right one?

An expression with the word *left* or *right* has a counterpart in the same photo where another expression equals it
with the two words swapped. Which of the two truths the mask fits better says whether the side was understood.
PartImageNet's categories name no side.
"""
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mmpartref.evaluation.diagnosis.failure_kinds import COVERED
from mmpartref.evaluation.diagnosis.pixel_breakdown import area, overlap_of
from mmpartref.evaluation.dumps.predictions import Prediction
from mmpartref.evaluation.scoring.iou_metrics import align, percent
from mmpartref.masks.iou import Overlap
from mmpartref.masks.rle import union

SIDE = re.compile(r'\b(left|right)\b', re.IGNORECASE)


@dataclass(frozen=True)
class SideLanding:
    """A prediction on its own part and on the counterpart.

    Attributes:
        own, mirror: overlaps with both truths.
        covers_both: it holds at least half of each.
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


def side_landing(prediction: Prediction, photo: Sequence[Prediction]) -> SideLanding | None:
    """Count a prediction on its own truth and on that of its counterpart.

    Args:
        prediction: what was asked and answered.
        photo: all expressions of the photo; several with the counterpart's words are united.

    Returns:
        None where the expression names no side, or the photo does not show both.
    """
    words = mirrored(prediction.expression)
    rles = [rle for other in photo if other.expression.lower() == words for rle in other.truth]
    if not rles or not prediction.truth:
        return None
    truths = [union(each, prediction.pred['size']) for each in (prediction.truth, rles)]
    own, mirror = (overlap_of(prediction.pred, truth) for truth in truths)
    covered = [each.inter >= COVERED * area(truth) for each, truth in zip((own, mirror), truths, strict=True)]
    return SideLanding(own, mirror, all(covered))


def left_right_figures(named: int, landings: Sequence[SideLanding]) -> dict[str, int | float]:
    """Return counts and shares.

    Args:
        named: expressions that say left or right.
        landings: of those whose counterpart the photo shows.

    Returns:
        ``expressions`` (named) and ``pairs`` (landings); of the landings the shares that fit ``own`` or ``mirror``
        better or neither (``tie``, most often because they lie on none of the two), and ``both``, the share that covers
        at least half of each side; no shares where there is no landing.
    """
    figures: dict[str, int | float] = {'expressions': named, 'pairs': len(landings)}
    if landings:
        own = sum(each.own.exact > each.mirror.exact for each in landings)
        mirror = sum(each.own.exact < each.mirror.exact for each in landings)
        both = sum(each.covers_both for each in landings)
        figures |= {name: count / len(landings) for name, count in
                    (('own', own), ('mirror', mirror), ('tie', len(landings) - own - mirror), ('both', both))}
    return figures


def format_left_right(figures: dict[str, int | float]) -> str:
    """Return the figures to read, in percent."""
    if not figures['expressions']:
        return 'no expression says left or right'
    head = (f"{figures['expressions']} expressions say left or right; the photo shows the counterpart of "
            f"{figures['pairs']}")
    if not figures['pairs']:
        return head
    said = {'own': 'the mask fits its own side better', 'mirror': 'the mask fits the other side better',
            'tie': 'it fits both alike, or none', 'both': 'it covers at least half of either side'}
    return '\n'.join([head, align([[text, percent(figures[name])] for name, text in said.items()])])

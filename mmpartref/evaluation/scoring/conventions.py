"""The choices that move a figure without moving a mask, and the line that names them beside every figure."""
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

from mmpartref.errors import InputError
from mmpartref.masks.iou import ExpressionScore, Overlap

# What counts where prediction and truth are both empty: IoU 1, IoU 0, or nothing at all.
EmptyRule = Literal['one', 'zero', 'skip']
EMPTY_RULES: tuple[str, ...] = get_args(EmptyRule)


def check_empty_rule(empty: str) -> None:
    """Refuse a rule that does not exist.

    Raises:
        ValueError: it is none of ``EMPTY_RULES``.
    """
    if empty not in EMPTY_RULES:
        raise InputError(f'empty={empty!r} is unknown; where prediction and truth are both empty, choose one of '
                         f'{", ".join(map(repr, EMPTY_RULES))}: IoU 1, IoU 0, or left out of every mean')


def under_rule(score: ExpressionScore, empty: EmptyRule) -> ExpressionScore | None:
    """Return a score as the rule counts it, None where it leaves the expression out."""
    if empty == 'skip' and not score.overlap.union:
        return None
    return replace(score, overlap=_under_rule([score.overlap], empty)[0],
                   per_annotation=tuple(_under_rule(score.per_annotation, empty)))


def describe_conventions(strict: bool, empty: EmptyRule, both_empty: int) -> str:
    """Return what Precision@X counts, and what became of ``both_empty`` expressions, as one line."""
    became = {'one': 'IoU 1', 'zero': 'IoU 0', 'skip': 'left out'}[empty]
    return (f"Precision@X counts IoU {'>' if strict else '>='} X; prediction and truth both empty: {became} "
            f"({both_empty} expression{'' if both_empty == 1 else 's'}); figures in percent")


def _under_rule(overlaps: Sequence[Overlap], empty: EmptyRule) -> list[Overlap]:
    if empty == 'skip':
        return [each for each in overlaps if each.union]
    return [replace(each, if_empty=int(empty == 'one')) for each in overlaps]

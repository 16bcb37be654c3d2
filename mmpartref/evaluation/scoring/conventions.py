"""The conventions that change a metric without changing a mask, and the line that names them above every table."""
from dataclasses import replace
from typing import Literal, get_args

from mmpartref.argument_checks import check_choice
from mmpartref.masks.iou import ExpressionScore

# What counts where prediction and ground truth are both empty: IoU 1, IoU 0, or nothing.
EmptyRule = Literal['one', 'zero', 'skip']
EMPTY_RULES: tuple[str, ...] = get_args(EmptyRule)


def check_empty_rule(empty: str) -> None:
    """Raise ValueError unless ``empty`` is one of ``EMPTY_RULES``."""
    check_choice(empty, 'empty', EMPTY_RULES)


def score_under_rule(score: ExpressionScore, empty: EmptyRule) -> ExpressionScore | None:
    """Return a score with the rule applied, None where the rule drops the expression."""
    if empty == 'skip' and not score.overlap.union:
        return None
    if_empty = int(empty != 'zero')
    per_annotation = tuple(replace(each, if_empty=if_empty) for each in score.per_annotation
                           if each.union or empty != 'skip')
    return replace(score, overlap=replace(score.overlap, if_empty=if_empty), per_annotation=per_annotation)


def describe_conventions(strict: bool, empty: EmptyRule, both_empty: int) -> str:
    """Return one line on Precision@X and on the ``both_empty`` expressions whose two masks are empty."""
    treatment = {'one': 'IoU 1', 'zero': 'IoU 0', 'skip': 'skipped'}[empty]
    return (f"Precision@X counts IoU {'>' if strict else '>='} X; prediction and truth both empty: {treatment} "
            f"({both_empty} expression{'' if both_empty == 1 else 's'}); metrics in percent")

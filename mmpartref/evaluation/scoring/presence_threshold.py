"""Choose, on a validation split, the presence threshold below which masks are emptied."""
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmpartref.argument_checks import check_choice
from mmpartref.errors import InputError
from mmpartref.evaluation.scoring.iou_metrics import Row, check_rows
from mmpartref.evaluation.scoring.presence import certainly_absent, presence_scores

CRITERIA = ('balanced', 'gIoU')


@dataclass(frozen=True)
class PresenceThreshold:
    """A threshold and the criterion's value on the split that it was chosen on.

    Attributes:
        threshold: masks of a lower presence are emptied.
        criterion: one of ``CRITERIA``.
        value: of the criterion, a fraction.
    """
    threshold: float
    criterion: str
    value: float


def calibrate(rows: Sequence[Row], criterion: str = 'balanced') -> PresenceThreshold:
    """Return the threshold with the greatest criterion, the lowest of equal ones.

    Tried are 0, which empties no mask, and the middle between any two neighbouring presence scores. Noisy kinds are
    ignored. Report another split: on this one the criterion is biased upwards.

    Args:
        rows: of the validation split.
        criterion: ``'balanced'``, (N_acc + T_acc) / 2, or ``'gIoU'``.

    Raises:
        InputTypeError: ``rows`` are of another type.
        ValueError: the criterion is unknown, a row has no presence, or there are no absent parts (of a kind that is
            not noisy) or no present ones.
    """
    rows = check_rows(rows)
    check_choice(criterion, 'criterion', CRITERIA)
    present, absent = [row for row in rows if row.absent is None], certainly_absent(rows)
    if not present or not absent:
        raise InputError(f'a presence threshold needs expressions of present and of absent parts, but there are '
                         f'{len(present)} and {len(absent)}; write the dump with absent parts, e.g. tools/test.py ... '
                         '--cfg-options val_dataloader.dataset.entries.absent.number=2')
    scores = presence_scores([*present, *absent])
    unchanged, emptied = _contributions([*present, *absent], criterion)
    order = np.argsort(scores, kind='stable')
    # The criterion when the k rows of the lowest presence are emptied, k = 0, 1, ...
    total = np.concatenate([[0.0], np.cumsum((emptied - unchanged)[order])]) + math.fsum(unchanged)
    ordered = scores[order]
    cuts = [0, *(np.flatnonzero(np.diff(ordered)) + 1).tolist()]
    # Rounded, so that rounding errors of the sums do not decide a tie.
    best = max(cuts, key=lambda cut: (round(float(total[cut]), 12), -cut))
    return PresenceThreshold(_threshold_at(ordered, best), criterion, float(total[best]))


def _contributions(rows: Sequence[Row], criterion: str) -> tuple[np.ndarray, np.ndarray]:
    """Return what each row adds to the criterion with its mask as predicted and emptied, both (len(rows),)."""
    absent = sum(row.absent is not None for row in rows)
    unchanged, emptied = np.zeros(len(rows)), np.zeros(len(rows))
    for number, row in enumerate(rows):
        empty = not row.score.pred_area
        if criterion == 'gIoU':
            share = 1 / len(rows)
            found = 0.0 if empty else row.score.overlap.iou
        else:
            share = 0.5 / (absent if row.absent is not None else len(rows) - absent)
            found = float(not empty)
        unchanged[number] = share * (empty if row.absent is not None else found)
        emptied[number] = share * (row.absent is not None)
    return unchanged, emptied


def _threshold_at(ordered: np.ndarray, cut: int) -> float:
    """Return a threshold with the first ``cut`` of the sorted scores below it and the others not."""
    if cut == 0:
        return 0.0
    low, high = float(ordered[cut - 1]), float(ordered[cut])
    middle = (low + high) / 2
    return middle if low < middle <= high else high

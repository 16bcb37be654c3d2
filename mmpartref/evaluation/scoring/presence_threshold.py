"""Choosing, on a validation split, the presence below which a model says that a part is not there."""
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmpartref.errors import InputError
from mmpartref.evaluation.scoring.iou_metrics import Row
from mmpartref.evaluation.scoring.presence import presences, trusted

CRITERIA = ('balanced', 'gIoU')


@dataclass(frozen=True)
class PresenceThreshold:
    """A threshold and what it reaches on the split that it was chosen on.

    Attributes:
        threshold: masks of a lower presence are emptied.
        criterion: one of ``CRITERIA``.
        value: of the criterion, a fraction.
    """
    threshold: float
    criterion: str
    value: float


def calibrate(rows: Sequence[Row], criterion: str = 'balanced') -> PresenceThreshold:
    """Return the threshold at which a validation split's criterion is greatest, the lowest of equal ones.

    Tried are 0, which empties nothing, and the middle between any two neighbouring presence scores. Noisy kinds do not
    count. Report on another split: on this one the figure flatters.

    Args:
        rows: of the validation split.
        criterion: ``'balanced'``: (N_acc + T_acc) / 2. ``'gIoU'``.

    Raises:
        ValueError: the criterion is unknown, there are no absent parts (of a kind that is not noisy) or no others, or
            the model gave no presence.
    """
    if criterion not in CRITERIA:
        raise InputError(f'criterion={criterion!r} is unknown; choose one of {CRITERIA}')
    present, absent = [row for row in rows if row.absent is None], trusted(rows)
    if not present or not absent:
        raise InputError(f'a threshold takes expressions of parts that are there and of absent ones, but there are '
                         f'{len(present)} and {len(absent)}; write the dump with absent parts, e.g. tools/test.py ... '
                         '--cfg-options val_dataloader.dataset.absent.number=2')
    scores = presences([*present, *absent])
    kept, emptied = worth([*present, *absent], criterion)
    order = np.argsort(scores, kind='stable')
    # What all rows are worth when the first k, in order of presence, are emptied.
    total = np.concatenate([[0.0], np.cumsum((emptied - kept)[order])]) + math.fsum(kept)
    ordered = scores[order]
    cuts = [0, *(np.flatnonzero(np.diff(ordered)) + 1).tolist()]
    # Rounded: a tie must not be decided by how the sums were rounded.
    best = max(cuts, key=lambda cut: (round(float(total[cut]), 12), -cut))
    return PresenceThreshold(between(ordered, best), criterion, float(total[best]))


def worth(rows: Sequence[Row], criterion: str) -> tuple[np.ndarray, np.ndarray]:
    """Return what each row adds to the criterion with its mask as predicted, and with it emptied; both (len(rows),)."""
    absent = sum(row.absent is not None for row in rows)
    kept, emptied = np.zeros(len(rows)), np.zeros(len(rows))
    for number, row in enumerate(rows):
        empty = not row.score.pred_area
        if criterion == 'gIoU':
            share = 1 / len(rows)
            found = 0.0 if empty else row.score.overlap.iou
        else:
            share = 0.5 / (absent if row.absent is not None else len(rows) - absent)
            found = float(not empty)
        kept[number] = share * (empty if row.absent is not None else found)
        emptied[number] = share * (row.absent is not None)
    return kept, emptied


def between(ordered: np.ndarray, cut: int) -> float:
    """Return a threshold with the first ``cut`` of the sorted scores below it and the others not."""
    if cut == 0:
        return 0.0
    low, high = float(ordered[cut - 1]), float(ordered[cut])
    middle = (low + high) / 2
    return middle if low < middle <= high else high

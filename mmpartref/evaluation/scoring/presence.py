"""Does a model know that a part is not there?

Over A expressions of absent parts and P of parts that are there. A model says "no target" where its final mask is
empty: the mask it predicted or, with a presence threshold, that mask emptied where the model's presence score is lower.
Fractions from 0 to 1, after Liu, Ding and Jiang, "GRES: Generalized Referring Expression Segmentation", CVPR 2023::

    N_acc      absent expressions for which it says "no target" / A
    T_acc      other expressions for which it does not / P
    gIoU       sum of IoU / (A + P); of an absent expression 1 where it says "no target", otherwise 0
    cIoU_all   sum of intersections / sum of unions, both over A + P; a mask for an absent part adds to the unions

GRES's released code writes T_acc as TP / (TP + FP + 1) and adds 1 to N_acc's denominator; here they are the paper's.

Without a threshold there are also::

    presence_AUC   probability that the presence of a part that is there exceeds that of an absent one, ties one half
    presence_AP    average precision of presence in finding the parts that are there

Kinds whose absence is doubtful (``NOISY_KINDS``) count in none of these and have their own lines.
"""
from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import fsum

import numpy as np

from mmpartref.datasets.referring.steps.absent_parts import KINDS, NOISY_KINDS
from mmpartref.errors import InputError
from mmpartref.evaluation.dumps.predictions import PhotoPredictions
from mmpartref.evaluation.scoring.iou_metrics import Row, align, cumulative_iou, mean, percent, score_one
from mmpartref.masks.iou import Overlap


def score_absent(photo: PhotoPredictions) -> list[Row]:
    """Score a photo's expressions of parts that are not there."""
    return [score_one(photo, each) for each in photo.expressions if each.absent is not None]


def presences(rows: Sequence[Row]) -> np.ndarray:
    """Return the rows' presence scores, (len(rows),) float64.

    Raises:
        ValueError: the model gave none.
    """
    for row in rows:
        if row.presence is None:
            raise InputError(f'ref {row.ref_id} has no presence score; a model writes pred_presence beside pred_scores '
                             'and tools/test.py --dump keeps it')
    return np.array([row.presence for row in rows], dtype=float)


def says_no_target(row: Row, threshold: float | None) -> bool:
    """Say whether a model's final mask is empty; ``threshold`` None leaves the mask as predicted."""
    if not row.score.pred_area:
        return True
    return threshold is not None and bool(presences([row])[0] < threshold)


def final_overlap(row: Row, threshold: float | None) -> Overlap:
    """Return what the final mask shares with the truth; an empty one where there is nothing counts 1."""
    score = row.score
    if says_no_target(row, threshold):
        return Overlap(0, score.true_area)
    return Overlap(score.overlap.inter, score.overlap.union)


def target_figures(present: Sequence[Row], absent: Sequence[Row], threshold: float | None) -> dict[str, float]:
    """Return N_acc, T_acc, gIoU and cIoU_all of at least one row each."""
    overlaps = [final_overlap(row, threshold) for row in (*present, *absent)]
    return {
        'N_acc': mean([float(says_no_target(row, threshold)) for row in absent]),
        'T_acc': mean([float(not says_no_target(row, threshold)) for row in present]),
        'gIoU': mean([overlap.iou for overlap in overlaps]),
        'cIoU_all': cumulative_iou(overlaps),
    }


def roc_auc(present: np.ndarray, absent: np.ndarray) -> float:
    """Return the area under the ROC curve, as the share of (present, absent) pairs in the right order, ties one half.

    Counted in integers: the order of the scores does not change a digit.
    """
    ordered = np.sort(absent)
    below = np.searchsorted(ordered, present, side='left').sum()
    upto = np.searchsorted(ordered, present, side='right').sum()
    return float(Fraction(int(below) + int(upto), 2 * len(present) * len(absent)))


def average_precision(present: np.ndarray, absent: np.ndarray) -> float:
    """Return the sum over the scores, from the highest, of the gain in recall times the precision there.

    Equal scores are one step. No interpolation.
    """
    levels = np.unique(np.concatenate([present, absent]))[::-1]
    found = len(present) - np.searchsorted(np.sort(present), levels, side='left')
    wrong = len(absent) - np.searchsorted(np.sort(absent), levels, side='left')
    gained = np.diff(found, prepend=0)
    steps = zip(gained.tolist(), found.tolist(), (found + wrong).tolist(), strict=True)
    return fsum(gain / len(present) * (right / taken) for gain, right, taken in steps)


def by_kind(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Group absent rows by kind, in the order of ``KINDS``; kinds of one's own come last."""
    kinds: dict[str, list[Row]] = {kind: [] for kind in KINDS}
    for row in rows:
        if row.absent is not None:
            kinds.setdefault(row.absent, []).append(row)
    return {kind: group for kind, group in kinds.items() if group}


def trusted(rows: Sequence[Row]) -> list[Row]:
    """Return the absent rows whose part is certainly not there."""
    return [row for row in rows if row.absent is not None and row.absent not in NOISY_KINDS]


def summarise_presence(rows: Sequence[Row], threshold: float | None = None) -> dict[str, float]:
    """Return all figures; nothing where no row is of an absent part.

    With a threshold the first four are those of the emptied masks, and ``mask_N_acc``, ... those of the predicted ones.
    AUC and AP are there where every row has a presence. Per kind: ``N_acc_<kind>``, ``presence_AUC_<kind>`` and
    ``absent_<kind>``, the number of expressions.

    Args:
        rows: of a whole evaluation, of parts that are there and absent ones.
        threshold: of the presence score.

    Raises:
        ValueError: there is a threshold but no presence, or absent parts alone.
    """
    present = [row for row in rows if row.absent is None]
    kinds = by_kind(rows)
    if not kinds:
        return {}
    if not present:
        raise InputError('all expressions are of absent parts; T_acc, gIoU and AUC need some of parts that are there')
    absent = trusted(rows)
    figures: dict[str, float] = {}
    if absent:
        figures.update(target_figures(present, absent, threshold))
        if threshold is not None:
            masks = target_figures(present, absent, None)
            figures.update({f'mask_{name}': value for name, value in masks.items()})
    scored = all(row.presence is not None for row in rows)
    if absent and scored:
        figures['presence_AUC'] = roc_auc(presences(present), presences(absent))
        figures['presence_AP'] = average_precision(presences(present), presences(absent))
    for kind, group in kinds.items():
        figures[f'N_acc_{kind}'] = mean([float(says_no_target(row, threshold)) for row in group])
        if scored:
            figures[f'presence_AUC_{kind}'] = roc_auc(presences(present), presences(group))
        figures[f'absent_{kind}'] = len(group)
    return figures


def format_presence(rows: Sequence[Row], threshold: float | None = None) -> str:
    """Return a table to read, in percent; '' where no row is of an absent part. Raises as ``summarise_presence``."""
    figures = summarise_presence(rows, threshold)
    if not figures:
        return ''
    kinds = by_kind(rows)
    present = sum(row.absent is None for row in rows)
    counted = sum(len(group) for kind, group in kinds.items() if kind not in NOISY_KINDS)
    blocks = [f'absent parts: {counted} expressions beside {present} of parts that are there; figures in percent']
    if counted:
        names = ('N_acc', 'T_acc', 'gIoU', 'cIoU_all')
        lines = [['"no target" where', *names]]
        if threshold is not None:
            lines.append([f'presence < {threshold:.6g}', *(percent(figures[name]) for name in names)])
        prefix = '' if threshold is None else 'mask_'
        lines.append(['the mask is empty', *(percent(figures[prefix + name]) for name in names)])
        blocks.append(align(lines))
        if 'presence_AUC' in figures:
            share = percent(present / (present + counted))
            blocks.append(f"  presence: AUC {percent(figures['presence_AUC'])}, AP {percent(figures['presence_AP'])} "
                          f'(by chance {share})')
    blocks.append(align([['kind', 'n', 'N_acc', 'AUC'], *(_kind_cells(kind, figures) for kind in kinds)]))
    if any(kind in NOISY_KINDS for kind in kinds):
        blocks.append('  (noisy) may be there after all, and counts in no line above')
    return '\n'.join(blocks)


def _kind_cells(kind: str, figures: Mapping[str, float]) -> list[str]:
    auc = figures.get(f'presence_AUC_{kind}')
    return [f'{kind} (noisy)' if kind in NOISY_KINDS else kind, str(int(figures[f'absent_{kind}'])),
            percent(figures[f'N_acc_{kind}']), '' if auc is None else percent(auc)]

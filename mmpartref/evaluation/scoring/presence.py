"""Metrics of expressions whose part is not in the image ("no target").

With A expressions of absent parts and P of present ones. A model predicts "no target" where its final mask is empty:
the predicted mask or, with a presence threshold, that mask emptied where the predicted presence is lower. Fractions
from 0 to 1, after Liu, Ding and Jiang, "GRES: Generalized Referring Expression Segmentation", CVPR 2023::

    N_acc      absent expressions predicted as "no target" / A
    T_acc      present expressions not predicted as "no target" / P
    gIoU       sum of IoU / (A + P); the IoU of an absent expression is 1 for "no target", otherwise 0
    cIoU_all   sum of intersections / sum of unions, both over A + P; a mask for an absent part adds to the unions

GRES's released code computes T_acc as TP / (TP + FP + 1) and adds 1 to N_acc's denominator; these are the paper's.

Without a threshold::

    presence_AUC   probability that the presence of a present part exceeds that of an absent one, ties one half
    presence_AP    average precision of presence in retrieving the present parts

Kinds of absence that are not certain (``NOISY_KINDS``) count in none of these and have separate lines.
"""
from collections.abc import Sequence
from fractions import Fraction
from math import fsum

import numpy as np

from mmpartref.argument_checks import check_number
from mmpartref.datasets.referring.steps.absent_parts import ABSENT_KINDS, NOISY_KINDS
from mmpartref.errors import InputError
from mmpartref.evaluation.scoring.iou_metrics import Row, check_rows, cumulative_iou, mean
from mmpartref.masks.iou import Overlap
from mmpartref.tables import Cell, Column, Table, percent, percent_columns, to_text
from mmpartref.text import shown_name

NO_TARGET_METRICS = ('N_acc', 'T_acc', 'gIoU', 'cIoU_all')


def presence_scores(rows: Sequence[Row]) -> np.ndarray:
    """Return the rows' presence, (len(rows),) float64.

    Raises:
        ValueError: a row has none.
    """
    for row in rows:
        if row.presence is None:
            raise InputError(f'ref {shown_name(row.ref_id)} has no presence score; the model has to return '
                             'pred_presence, and tools/test.py --dump writes it')
    return np.array([row.presence for row in rows], dtype=float)


def predicts_no_target(row: Row, threshold: float | None) -> bool:
    """Return whether the model predicts that the part is absent.

    It does where the predicted mask is empty, or the presence score is below ``threshold`` (None: not compared).
    """
    if not row.score.pred_area:
        return True
    return threshold is not None and bool(presence_scores([row])[0] < threshold)


def no_target_metrics(present: Sequence[Row], absent: Sequence[Row], threshold: float | None) -> dict[str, float]:
    """Return ``NO_TARGET_METRICS`` of at least one row each."""
    overlaps = [_final_overlap(row, threshold) for row in (*present, *absent)]
    return {
        'N_acc': mean([float(predicts_no_target(row, threshold)) for row in absent]),
        'T_acc': mean([float(not predicts_no_target(row, threshold)) for row in present]),
        'gIoU': mean([overlap.iou for overlap in overlaps]),
        'cIoU_all': cumulative_iou(overlaps),
    }


def _final_overlap(row: Row, threshold: float | None) -> Overlap:
    """Return the overlap of the final mask with the truth; IoU 1 where both are empty, under every rule."""
    score = row.score
    if predicts_no_target(row, threshold):
        return Overlap(0, score.true_area)
    return Overlap(score.overlap.inter, score.overlap.union)


def roc_auc(present: np.ndarray, absent: np.ndarray) -> float:
    """Return the area under the ROC curve: the share of (present, absent) pairs in the right order, ties one half.

    Counted in integers, so that the order of the scores does not change a digit.

    Raises:
        ZeroDivisionError: there are no present or no absent scores.
    """
    ordered = np.sort(absent)
    below = np.searchsorted(ordered, present, side='left').sum()
    upto = np.searchsorted(ordered, present, side='right').sum()
    return float(Fraction(int(below) + int(upto), 2 * len(present) * len(absent)))


def average_precision(present: np.ndarray, absent: np.ndarray) -> float:
    """Return the sum over the scores, from the highest, of the gain in recall times the precision there.

    Equal scores are one step; nothing is interpolated.
    """
    levels = np.unique(np.concatenate([present, absent]))[::-1]
    true_positives = len(present) - np.searchsorted(np.sort(present), levels, side='left')
    false_positives = len(absent) - np.searchsorted(np.sort(absent), levels, side='left')
    gains = np.diff(true_positives, prepend=0)
    steps = zip(gains.tolist(), true_positives.tolist(), (true_positives + false_positives).tolist(), strict=True)
    return fsum(gain / len(present) * (right / retrieved) for gain, right, retrieved in steps)


def group_by_absence(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Group absent rows by kind, in the order of ``ABSENT_KINDS``; kinds not in there come last."""
    kinds: dict[str, list[Row]] = {kind: [] for kind in ABSENT_KINDS}
    for row in rows:
        if row.absent is not None:
            kinds.setdefault(row.absent, []).append(row)
    return {kind: group for kind, group in kinds.items() if group}


def certainly_absent(rows: Sequence[Row]) -> list[Row]:
    """Return the absent rows of kinds that are not noisy."""
    return [row for row in rows if row.absent is not None and row.absent not in NOISY_KINDS]


def summarise_presence(rows: Sequence[Row], threshold: float | None = None) -> dict[str, float]:
    """Return all metrics; an empty dict where no row is of an absent part.

    With a threshold ``NO_TARGET_METRICS`` are of the emptied masks, and ``mask_N_acc``, ... of the predicted ones.
    presence_AUC and presence_AP need a presence in every row. Per kind: ``N_acc_<kind>``, ``presence_AUC_<kind>`` and
    the number of expressions, ``absent_<kind>``.

    Args:
        rows: of a whole evaluation, present and absent parts.
        threshold: of the presence.

    Raises:
        InputTypeError: an argument is of another type.
        InputError: the threshold is not from 0 to 1, there is one but no presence, or all rows are of absent parts.
    """
    rows = check_rows(rows)
    if threshold is not None:
        threshold = check_number(threshold, 'threshold', 0, 1)
    present = [row for row in rows if row.absent is None]
    kinds = group_by_absence(rows)
    if not kinds:
        return {}
    if not present:
        raise InputError('all expressions are of absent parts; T_acc, gIoU and AUC need some of present parts')
    absent = certainly_absent(rows)
    metrics: dict[str, float] = {}
    if absent:
        metrics.update(no_target_metrics(present, absent, threshold))
        if threshold is not None:
            masks = no_target_metrics(present, absent, None)
            metrics.update({f'mask_{name}': value for name, value in masks.items()})
    scored = all(row.presence is not None for row in rows)
    if absent and scored:
        metrics['presence_AUC'] = roc_auc(presence_scores(present), presence_scores(absent))
        metrics['presence_AP'] = average_precision(presence_scores(present), presence_scores(absent))
    for kind, group in kinds.items():
        metrics[f'N_acc_{kind}'] = mean([float(predicts_no_target(row, threshold)) for row in group])
        if scored:
            metrics[f'presence_AUC_{kind}'] = roc_auc(presence_scores(present), presence_scores(group))
        metrics[f'absent_{kind}'] = len(group)
    return metrics


def format_presence(rows: Sequence[Row], threshold: float | None = None) -> str:
    """Return text tables in percent, '' where no row is of an absent part; raises as ``summarise_presence``."""
    rows = check_rows(rows)
    metrics = summarise_presence(rows, threshold)
    if not metrics:
        return ''
    kinds = group_by_absence(rows)
    present = sum(row.absent is None for row in rows)
    absent = len(certainly_absent(rows))
    blocks = [f'absent parts: {absent} expressions, present parts: {present}; metrics in percent']
    if absent:
        lines: list[list[Cell]] = [['the mask is empty', *(
            metrics[name if threshold is None else f'mask_{name}'] for name in NO_TARGET_METRICS)]]
        if threshold is not None:
            lines.insert(0, [f'presence < {threshold:.6g}', *(metrics[name] for name in NO_TARGET_METRICS)])
        blocks.append(to_text(Table('', [Column('"no target" where'), *percent_columns(*NO_TARGET_METRICS)], lines)))
        if 'presence_AUC' in metrics:
            blocks.append(f"  presence: AUC {percent(metrics['presence_AUC'])}, AP {percent(metrics['presence_AP'])} "
                          f'(by chance {percent(present / (present + absent))})')
    noisy = '(noisy) can be in the image after all, and is ignored by the lines above'
    blocks.append(to_text(Table('', [Column('kind'), Column('n'), *percent_columns('N_acc', 'AUC')], [
        [f'{kind} (noisy)' if kind in NOISY_KINDS else kind, metrics[f'absent_{kind}'], metrics[f'N_acc_{kind}'],
         metrics.get(f'presence_AUC_{kind}')] for kind in kinds
    ], [noisy] if kinds.keys() & set(NOISY_KINDS) else [])))
    return '\n'.join(blocks)

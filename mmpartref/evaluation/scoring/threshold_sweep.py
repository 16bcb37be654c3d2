"""Metrics at every mask threshold, from one dump with candidates."""
from collections.abc import Sequence
from dataclasses import replace

from mmpartref.argument_checks import check_choice, check_number, check_numbers
from mmpartref.errors import InputError
from mmpartref.evaluation.dumps.dump import PredictionDump, check_dump
from mmpartref.evaluation.dumps.predictions import RULES, Rule, prediction_at
from mmpartref.evaluation.scoring.conventions import EmptyRule
from mmpartref.evaluation.scoring.iou_metrics import summarise
from mmpartref.evaluation.scoring.score_dump import score_image
from mmpartref.tables import Cell, Column, Table, percent_columns, to_text

SWEEP_THRESHOLDS = tuple(step / 20 for step in range(1, 20))
SWEEP_METRICS = ('mIoU', 'cIoU', 'P@0.5', 'ann_mIoU')


def dump_at(dump: PredictionDump, threshold: float, rule: Rule = 'union') -> PredictionDump:
    """Return the dump that the model would have written at another threshold, which the header names.

    Raises:
        InputTypeError: an argument is of another type.
        InputError: the threshold is not from 0 to 1, the rule is unknown, or the dump has no candidates.
    """
    check_dump(dump)
    threshold = check_number(threshold, 'threshold', 0, 1)
    check_choice(rule, 'rule', RULES)
    images = [replace(image, expressions=[prediction_at(each, threshold, rule) for each in image.expressions])
              for image in dump.images]
    return PredictionDump({**dump.header, 'threshold': threshold, 'rule': rule}, images)


def sweep(dump: PredictionDump,
          thresholds: Sequence[float] = SWEEP_THRESHOLDS,
          *,
          rule: Rule = 'union',
          strict: bool = True,
          empty: EmptyRule = 'one') -> dict[float, dict[str, float]]:
    """Return all metrics at each threshold.

    Choose on a validation split and report another: the best of many thresholds is biased upwards on the split it was
    chosen on.

    Raises:
        InputTypeError: an argument is of another type.
        InputError: there is no threshold, or the dump has no candidates; see also ``dump_at`` and ``summarise``.
    """
    results = {}
    for threshold in check_numbers(thresholds, 'thresholds', 0, 1):
        rows = [row for image in dump_at(dump, threshold, rule).images for row in score_image(image)]
        results[threshold] = summarise(rows, strict=strict, empty=empty)
    if not results:
        raise InputError('thresholds is empty; give at least one')
    return results


def best_threshold(results: dict[float, dict[str, float]], metric: str = 'mIoU') -> float:
    """Return the threshold with the greatest metric, the lowest of equal ones.

    Raises:
        ValueError: the metric is unknown.
    """
    known = next(iter(results.values()))
    if metric not in known:
        raise InputError(f'there is no metric {metric!r}; choose one of {", ".join(known)}')
    return max(results, key=lambda threshold: (results[threshold][metric], -threshold))


def format_sweep(results: dict[float, dict[str, float]], best: float) -> str:
    """Return ``results`` (metrics by threshold) as a text table in percent, with a '*' at the threshold ``best``."""
    lines: list[list[Cell]] = [
        [f"{'*' if threshold == best else ' '} {threshold:.2f}", *(metrics[name] for name in SWEEP_METRICS)]
        for threshold, metrics in results.items()
    ]
    return to_text(Table('', [Column('threshold'), *percent_columns(*SWEEP_METRICS)], lines))

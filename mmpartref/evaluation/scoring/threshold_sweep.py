"""Every threshold from one dump: what a model would have reached, had it been cut elsewhere."""
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from mmpartref.errors import InputError
from mmpartref.evaluation.dumps.dump import PredictionDump
from mmpartref.evaluation.dumps.predictions import Prediction, as_text
from mmpartref.evaluation.scoring.conventions import EmptyRule
from mmpartref.evaluation.scoring.iou_metrics import score_photo, summarise
from mmpartref.masks.rle import union

THRESHOLDS = tuple(step / 20 for step in range(1, 20))


def cut(prediction: Prediction, threshold: float, rule: Literal['union', 'top1'] = 'union') -> Prediction:
    """Return the prediction at another threshold.

    Args:
        prediction: with its candidates.
        threshold: candidates whose score is at least this much count.
        rule: their union, or the best of them alone.

    Raises:
        ValueError: the dump was written without candidates.
    """
    if prediction.candidates is None:
        raise InputError(f'ref {prediction.ref_id} has no candidates; write the dump with tools/test.py --dump FILE '
                         '--candidates')
    chosen = [each for each in prediction.candidates if each.score >= threshold]
    if rule == 'top1':
        chosen = sorted(chosen, key=lambda each: -each.score)[:1]
    return replace(prediction, pred=as_text(union([each.mask for each in chosen], prediction.pred['size'])),
                   score=max((each.score for each in chosen), default=0.0))


def dump_at(dump: PredictionDump, threshold: float, rule: Literal['union', 'top1'] = 'union') -> PredictionDump:
    """Return the dump as the model would have written it at another threshold; the header says so."""
    photos = [
        replace(photo, expressions=[cut(each, threshold, rule) for each in photo.expressions]) for photo in dump.photos
    ]
    return PredictionDump({**dump.header, 'threshold': threshold, 'rule': rule}, photos)


def sweep(dump: PredictionDump,
          thresholds: Sequence[float] = THRESHOLDS,
          *,
          rule: Literal['union', 'top1'] = 'union',
          strict: bool = True,
          empty: EmptyRule = 'one') -> dict[float, dict[str, float]]:
    """Return all metrics at each threshold.

    Choose on a validation split and report on another: the best of many thresholds on the split at hand flatters.

    Raises:
        ValueError: the dump was written without candidates.
    """
    results = {}
    for threshold in thresholds:
        rows = [row for photo in dump_at(dump, threshold, rule).photos for row in score_photo(photo)]
        results[threshold] = summarise(rows, strict=strict, empty=empty)
    return results


def best_threshold(results: dict[float, dict[str, float]], metric: str = 'mIoU') -> float:
    """Return the threshold with the greatest metric, the lowest of equal ones.

    Raises:
        ValueError: there is no such metric.
    """
    known = next(iter(results.values()))
    if metric not in known:
        raise InputError(f'there is no metric {metric!r}; choose one of {", ".join(known)}')
    return max(results, key=lambda threshold: (results[threshold][metric], -threshold))


def format_sweep(results: dict[float, dict[str, float]], best: float) -> str:
    """Return a table in percent, the best threshold marked."""
    names = ('mIoU', 'cIoU', 'P@0.5', 'ann_mIoU')
    lines = ['  threshold' + ''.join(f'{name:>10}' for name in names)]
    for threshold, metrics in results.items():
        mark = ' *' if threshold == best else '  '
        lines.append(f'{mark}{threshold:9.2f}' + ''.join(f'{100 * metrics[name]:10.2f}' for name in names))
    return '\n'.join(lines)

"""Confidence intervals of metrics and paired differences of models, by the bootstrap.

The nonparametric bootstrap with percentile intervals (B. Efron and R. J. Tibshirani, *An Introduction to the
Bootstrap*, Chapman & Hall 1993, chapters 6 and 13). Images are drawn with replacement, not expressions: the expressions
of one image are not independent. All models are measured on the same draws, so that their differences are paired.

Every metric is a sum over images divided by another one, so that a draw costs two matrix products. The sums are of
integers or of multiples of ``IOU_STEP``, which double precision adds without rounding: neither the order of the images
nor the BLAS library changes a digit.
"""
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from math import fsum

import numpy as np

from mmpartref.argument_checks import (
    check_choice,
    check_instance,
    check_integer,
    check_numbers,
    check_sequence,
    check_switch,
)
from mmpartref.errors import InputError
from mmpartref.evaluation.scoring.iou_metrics import PRECISION_THRESHOLDS, Row, check_rows, exact_thresholds

PRECISIONS: dict[str, Fraction] = {f'P@{name}': value for name, value in exact_thresholds(PRECISION_THRESHOLDS).items()}
BOOTSTRAP_METRICS = ('mIoU', 'cIoU', *PRECISIONS)
RESAMPLES = 2000
MAX_RESAMPLES = 1_000_000
CONFIDENCE = 0.95
# An image's sum of IoU is rounded to a multiple of this; total sums are exact up to 2 ** 21 expressions.
IOU_STEP = 2.0**-32
# Draws in memory at a time, times images.
CHUNK = 4_000_000


@dataclass(frozen=True)
class Resamples:
    """Metrics of R draws of N images.

    Attributes:
        values: (R, models, metrics), fractions; metrics in the order of ``BOOTSTRAP_METRICS``.
        images: N, the number of images in the data and in each draw.
        seed: of the random generator.
    """
    values: np.ndarray
    images: int
    seed: int

    def of(self, model: int, metric: str) -> np.ndarray:
        """Return one model's metric in each draw, (R,).

        Raises:
            InputTypeError, InputError: there is no such model, or no such metric.
        """
        model = check_integer(model, 'model', 0, self.values.shape[1] - 1)
        check_choice(metric, 'metric', BOOTSTRAP_METRICS)
        return self.values[:, model, BOOTSTRAP_METRICS.index(metric)]

    def interval(self, model: int, metric: str) -> tuple[float, float]:
        """Return the ``CONFIDENCE`` percentile interval (low, high) of a model's metric, fractions."""
        return percentile_interval(self.of(model, metric))

    def method(self) -> str:
        """Return the method as a note below a table."""
        return (f'{CONFIDENCE:.0%} percentile intervals of a bootstrap over {self.images} images, {len(self.values)} '
                f'resamples, seed {self.seed} (Efron and Tibshirani 1993)')


@dataclass(frozen=True)
class PairedDifference:
    """Metric of the first model minus that of the second; models by their positions.

    Attributes:
        difference: of the metrics on all images, a fraction.
        low, high: its percentile interval.
        p: two-sided, at least 1 / (resamples + 1).
        p_holm: corrected for the number of pairs; None where there is only one.
    """
    metric: str
    first: int
    second: int
    difference: float
    low: float
    high: float
    p: float
    p_holm: float | None


def check_resamples(resamples: object, models: int) -> None:
    """Check that resamples are of this number of models.

    Raises:
        InputTypeError: they are something else.
        InputError: their number of models is another.
    """
    check_instance(resamples, 'resamples', Resamples, 'make them with resample')
    found = resamples.values.shape[1]  # type: ignore[attr-defined]
    if found != models:
        raise InputError(f'the resamples are of {found} models but {models} are compared; make them of the same models')


def image_sums(rows: Sequence[Row], strict: bool) -> tuple[list[int | str], np.ndarray, np.ndarray]:
    """Return the sorted image ids and each metric's numerators and denominators, both (N, metrics)."""
    images: dict[int | str, list[Row]] = {}
    for row in rows:
        images.setdefault(row.img_id, []).append(row)
    img_ids = sorted(images, key=lambda img_id: (isinstance(img_id, str), img_id))
    above, below = [], []
    for img_id in img_ids:
        overlaps = [row.score.overlap for row in images[img_id]]
        reached = [sum(each.reaches(value, strict=strict) for each in overlaps) for value in PRECISIONS.values()]
        iou = round(fsum(each.iou for each in overlaps) / IOU_STEP) * IOU_STEP
        above.append([iou, sum(each.inter for each in overlaps), *reached])
        below.append([len(overlaps), sum(each.union for each in overlaps), *[len(overlaps)] * len(reached)])
    return img_ids, np.array(above, dtype=float), np.array(below, dtype=float)


def resample(models: Sequence[Sequence[Row]], *, strict: bool = True, resamples: int = RESAMPLES,
             seed: int = 0) -> Resamples:
    """Draw images with replacement, the same ones for all models, and compute the metrics of each draw.

    Args:
        models: each one's scored expressions, all of the same images.
        strict: whether Precision@X counts IoU > X or IoU >= X.
        resamples: number of draws, at most ``MAX_RESAMPLES``.
        seed: of the random generator.

    Raises:
        InputTypeError: an argument is of another type.
        InputError: ``resamples`` or ``seed`` is out of range, there is no expression, or the models' images differ.
    """
    resamples, seed = check_integer(resamples, 'resamples', 1, MAX_RESAMPLES), check_integer(seed, 'seed', 0)
    strict = check_switch(strict, 'strict')
    models = [check_rows(rows, f'models[{number}]')
              for number, rows in enumerate(check_sequence(models, 'models', 'lists of Row objects'))]
    sums = [image_sums(rows, strict) for rows in models]
    img_ids = sums[0][0] if sums else []
    if not img_ids or any(each[0] != img_ids for each in sums):
        raise InputError('a paired bootstrap needs models that were scored on the same images, at least one')
    above = np.concatenate([each[1] for each in sums], axis=1)  # (N, models * metrics)
    below = np.concatenate([each[2] for each in sums], axis=1)
    rng = np.random.default_rng(seed)
    step = max(1, CHUNK // len(img_ids))
    values = []
    for start in range(0, resamples, step):
        weights = draw_weights(rng, min(step, resamples - start), len(img_ids))
        bottom = weights @ below
        # Only cIoU's denominator can be 0, where all masks are empty; cIoU is 1 then, as in Overlap.iou.
        values.append(np.divide(weights @ above, bottom, out=np.ones_like(bottom), where=bottom > 0))
    return Resamples(np.concatenate(values).reshape(resamples, len(models), len(BOOTSTRAP_METRICS)), len(img_ids), seed)


def draw_weights(rng: np.random.Generator, count: int, images: int) -> np.ndarray:
    """Return how often each draw contains each image, (count, images) float; every row sums to ``images``."""
    drawn = rng.integers(images, size=(count, images))
    drawn += images * np.arange(count)[:, None]
    return np.bincount(drawn.ravel(), minlength=count * images).reshape(count, images).astype(float)


def percentile_interval(values: np.ndarray) -> tuple[float, float]:
    """Return the two quantiles with ``CONFIDENCE`` of the values between them (Efron and Tibshirani, chapter 13)."""
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def two_sided_p(differences: np.ndarray) -> float:
    """Return twice the smaller share of draws on either side of 0, clipped to 1 / (R + 1) and 1.

    This inverts the percentile interval: the smallest level whose interval excludes 0 (Efron and Tibshirani 1993,
    chapter 15, section 4). R draws do not resolve smaller values than 1 / (R + 1).
    """
    share = min(float(np.mean(differences <= 0)), float(np.mean(differences >= 0)))
    return min(1.0, max(2 * share, 1 / (len(differences) + 1)))


def holm_correction(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, in the given order (S. Holm, Scand. J. Statistics 6, 1979).

    Raises:
        InputTypeError: ``p_values`` are not a list of numbers.
        InputError: one is not from 0 to 1.
    """
    p_values = check_numbers(p_values, 'p_values', 0, 1)
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected


def paired_differences(resamples: Resamples, values: Sequence[float], metric: str) -> list[PairedDifference]:
    """Compare each model with each later one.

    Args:
        resamples: of all models.
        values: each model's ``metric`` on all images, a fraction.
        metric: one of ``BOOTSTRAP_METRICS``.

    Raises:
        InputTypeError: an argument is of another type.
        InputError: there is no such metric, or the values are not one fraction per model.
    """
    check_choice(metric, 'metric', BOOTSTRAP_METRICS)
    values = check_numbers(values, 'values', 0, 1)
    check_resamples(resamples, len(values))
    pairs = list(combinations(range(len(values)), 2))
    drawn = [resamples.of(first, metric) - resamples.of(second, metric) for first, second in pairs]
    p_values = [two_sided_p(differences) for differences in drawn]
    corrected: list[float] | list[None] = holm_correction(p_values) if len(pairs) > 1 else [None] * len(pairs)
    return [
        PairedDifference(metric, first, second, values[first] - values[second], *percentile_interval(differences), p,
                         p_holm)
        for (first, second), differences, p, p_holm in zip(pairs, drawn, p_values, corrected, strict=True)
    ]

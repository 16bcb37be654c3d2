"""Confidence intervals of metrics and paired differences of models, by the bootstrap.

The nonparametric bootstrap with percentile intervals (B. Efron and R. J. Tibshirani, *An Introduction to the
Bootstrap*, Chapman & Hall 1993, chapters 6 and 13). Images are drawn with replacement, not expressions: the expressions
of one image are not independent. All models are measured on the same draws, so that their differences are paired. Of a
model that was trained several times, a draw also takes as many of its runs with replacement, whatever the images (the
pigeonhole bootstrap: A. B. Owen, Annals of Applied Statistics 1, 2007).

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
from mmpartref.evaluation.scoring.iou_metrics import (
    PRECISION_THRESHOLDS,
    SIZES,
    Row,
    check_rows,
    exact_thresholds,
    size_name,
)

PRECISIONS: dict[str, Fraction] = {f'P@{name}': value for name, value in exact_thresholds(PRECISION_THRESHOLDS).items()}
SIZE_METRICS = tuple(f'mIoU_{size}' for size in SIZES)
BOOTSTRAP_METRICS = ('mIoU', 'cIoU', *PRECISIONS, *SIZE_METRICS)
RESAMPLES = 2000
MAX_RESAMPLES = 1_000_000
CONFIDENCE = 0.95
# Standard errors of a difference that is found with a probability of 80 % at ``CONFIDENCE``: 1.960 + 0.842
# (H. S. Bloom, "Minimum detectable effects", Evaluation Review 19, 1995).
DETECTABLE = 2.802
# An image's sum of IoU is rounded to a multiple of this; total sums are exact up to 2 ** 21 expressions.
IOU_STEP = 2.0**-32
# Draws in memory at a time, times images.
CHUNK = 4_000_000


@dataclass(frozen=True)
class Resamples:
    """Metrics of R draws of N images.

    Attributes:
        values: (R, models, metrics), fractions; metrics in the order of ``BOOTSTRAP_METRICS``. NaN where a draw has no
            mask of the metric's size.
        images: N, the number of images in the data and in each draw.
        seed: of the random generator.
        runs: number of runs of each model.
    """
    values: np.ndarray
    images: int
    seed: int
    runs: tuple[int, ...]

    def of(self, model: int, metric: str) -> np.ndarray:
        """Return one model's metric in each draw, (R,).

        Raises:
            InputTypeError, InputError: there is no such model, or no such metric.
        """
        model = check_integer(model, 'model', 0, self.values.shape[1] - 1)
        check_choice(metric, 'metric', BOOTSTRAP_METRICS)
        return self.values[:, model, BOOTSTRAP_METRICS.index(metric)]

    def interval(self, model: int, metric: str) -> tuple[float, float]:
        """Return the ``CONFIDENCE`` percentile interval (low, high) of a model's metric, fractions.

        Both are NaN where no draw has a mask of the metric's size.
        """
        return percentile_interval(self.of(model, metric))

    def method(self) -> str:
        """Return the method as a note below a table."""
        several = f" and over each model's runs ({', '.join(map(str, self.runs))})" if max(self.runs) > 1 else ''
        return (f'{CONFIDENCE:.0%} percentile intervals of a bootstrap over {self.images} images{several}, '
                f'{len(self.values)} resamples, seed {self.seed} (Efron and Tibshirani 1993'
                f"{'; Owen 2007' if several else ''})")


@dataclass(frozen=True)
class PairedDifference:
    """Metric of the first model minus that of the second; models by their positions.

    Attributes:
        difference: of the metrics on all images, a fraction.
        low, high: its percentile interval.
        detectable: the smallest difference that is found with a probability of 80 %, ``DETECTABLE`` standard errors.
        p: two-sided, at least 1 / (resamples + 1).
        p_holm: corrected for the number of pairs; None where there is only one.
    """
    metric: str
    first: int
    second: int
    difference: float
    low: float
    high: float
    detectable: float
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
        by_size = [[row.score.overlap.iou for row in images[img_id] if size_name(row.score.true_area) == size]
                   for size in SIZES]
        above.append([exact_sum([each.iou for each in overlaps]), sum(each.inter for each in overlaps), *reached,
                      *map(exact_sum, by_size)])
        below.append([len(overlaps), sum(each.union for each in overlaps), *[len(overlaps)] * len(reached),
                      *map(len, by_size)])
    return img_ids, np.array(above, dtype=float), np.array(below, dtype=float)


def exact_sum(ious: Sequence[float]) -> float:
    """Return a sum that is a multiple of ``IOU_STEP``."""
    return round(fsum(ious) / IOU_STEP) * IOU_STEP


def resample(models: Sequence[Sequence[Row]], *, runs: Sequence[int] | None = None, strict: bool = True,
             resamples: int = RESAMPLES, seed: int = 0) -> Resamples:
    """Draw images with replacement, the same ones for all models, and compute the metrics of each draw.

    Args:
        models: scored expressions of each run, all of the same images.
        runs: number of runs of each model, which are next to each other in ``models``; None: one each. A model's metric
            is the mean of its runs'.
        strict: whether Precision@X counts IoU > X or IoU >= X.
        resamples: number of draws, at most ``MAX_RESAMPLES``.
        seed: of the random generator.

    Raises:
        InputTypeError: an argument is of another type.
        InputError: ``resamples`` or ``seed`` is out of range, there is no expression, the models' images differ, or
            ``runs`` do not sum to the number of runs.
    """
    resamples, seed = check_integer(resamples, 'resamples', 1, MAX_RESAMPLES), check_integer(seed, 'seed', 0)
    strict = check_switch(strict, 'strict')
    models = [check_rows(rows, f'models[{number}]')
              for number, rows in enumerate(check_sequence(models, 'models', 'lists of Row objects'))]
    runs = [1] * len(models) if runs is None else [
        check_integer(count, f'runs[{number}]', 1)
        for number, count in enumerate(check_sequence(runs, 'runs', 'numbers of runs'))]
    if sum(runs) != len(models):
        raise InputError(f'runs={runs} are {sum(runs)} runs but there are {len(models)} in models; give the number of '
                         'runs of each model, in order')
    sums = [image_sums(rows, strict) for rows in models]
    img_ids = sums[0][0] if sums else []
    if not img_ids or any(each[0] != img_ids for each in sums):
        raise InputError('a paired bootstrap needs models that were scored on the same images, at least one')
    above = np.concatenate([each[1] for each in sums], axis=1)  # (N, models * metrics)
    below = np.concatenate([each[2] for each in sums], axis=1)
    empty = [np.nan if metric in SIZE_METRICS else 1.0 for metric in BOOTSTRAP_METRICS]
    rng = np.random.default_rng(seed)
    step = max(1, CHUNK // len(img_ids))
    values = []
    for start in range(0, resamples, step):
        weights = draw_weights(rng, min(step, resamples - start), len(img_ids))
        bottom = weights @ below
        # cIoU is 1 where all masks are empty, as in Overlap.iou; a size may have no masks, and no mean.
        values.append(np.divide(weights @ above, bottom, out=np.tile(empty, (len(bottom), len(models))),
                                where=bottom > 0))
    drawn = np.concatenate(values).reshape(resamples, len(models), len(BOOTSTRAP_METRICS))
    return Resamples(draw_runs(drawn, runs, seed), len(img_ids), seed, tuple(runs))


def draw_runs(values: np.ndarray, runs: Sequence[int], seed: int) -> np.ndarray:
    """Return each model's mean over as many of its runs, drawn with replacement, (R, models, metrics).

    The deviations of the draws from the mean of all runs are scaled so that their variance is not too small.

    Args:
        values: (R, runs of all models, metrics).
        runs: number of runs of each model.
        seed: of the random generator, which is not the images'.
    """
    rng = np.random.default_rng([seed, 1])
    means, start = [], 0
    for count in runs:
        own = values[:, start:start + count]
        often = rng.multinomial(count, [1 / count] * count, size=len(values)) / count  # (R, count)
        # Drawn runs vary by (count - 1) / count of what the runs do.
        spread = (count / max(1, count - 1))**0.5
        means.append(own.mean(axis=1) + spread * (np.einsum('rs,rsm->rm', often, own) - own.mean(axis=1)))
        start += count
    return np.stack(means, axis=1)


def draw_weights(rng: np.random.Generator, count: int, images: int) -> np.ndarray:
    """Return how often each draw contains each image, (count, images) float; every row sums to ``images``."""
    drawn = rng.integers(images, size=(count, images))
    drawn += images * np.arange(count)[:, None]
    return np.bincount(drawn.ravel(), minlength=count * images).reshape(count, images).astype(float)


def percentile_interval(values: np.ndarray) -> tuple[float, float]:
    """Return the two quantiles with ``CONFIDENCE`` of the values between them (Efron and Tibshirani, chapter 13).

    NaN are ignored; both are NaN where there is nothing else.
    """
    values = values[~np.isnan(values)]
    if not len(values):
        return np.nan, np.nan
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
        InputError: there is no such metric, the values are not one fraction per model, or no draw has a mask of the
            metric's size.
    """
    check_choice(metric, 'metric', BOOTSTRAP_METRICS)
    values = check_numbers(values, 'values', 0, 1)
    check_resamples(resamples, len(values))
    if resamples.images < 2:
        raise InputError('a difference on one image has no significance; compare models on more images')
    pairs = list(combinations(range(len(values)), 2))
    drawn = [resamples.of(first, metric) - resamples.of(second, metric) for first, second in pairs]
    drawn = [differences[~np.isnan(differences)] for differences in drawn]
    if not all(map(len, drawn)):
        raise InputError(f'no draw of the images has a mask for {metric}; compare another metric')
    scale = (resamples.images / (resamples.images - 1))**0.5
    p_values = [two_sided_p(differences) for differences in drawn]
    corrected: list[float] | list[None] = holm_correction(p_values) if len(pairs) > 1 else [None] * len(pairs)
    return [
        PairedDifference(metric, first, second, values[first] - values[second], *percentile_interval(differences),
                         DETECTABLE * float(np.std(differences)) * scale, p, p_holm)
        for (first, second), differences, p, p_holm in zip(pairs, drawn, p_values, corrected, strict=True)
    ]

"""How far the figures would move with other photos of the same kind, and whether one model beats another.

Method: the nonparametric bootstrap with percentile intervals (B. Efron and R. J. Tibshirani, *An Introduction to the
Bootstrap*, Chapman & Hall 1993, chapters 6 and 13). What is drawn with replacement are photos, not expressions: the
expressions of one photo share its difficulties and are no independent observations. All models are measured on the same
draws, so that their differences are paired.

Every metric here is a sum over photos divided by another one, hence a draw costs two products of matrices. The sums are
integers, or are put on a grid on which double precision adds without rounding: neither the order of the photos nor the
library that multiplies the matrices changes a digit.
"""
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import fsum

import numpy as np

from mmpartref.errors import InputError
from mmpartref.evaluation.scoring.iou_metrics import PRECISION_THRESHOLDS, Row, exact_thresholds

THRESHOLDS: dict[str, Fraction] = {f'P@{name}': value for name, value in exact_thresholds(PRECISION_THRESHOLDS).items()}
METRICS = ('mIoU', 'cIoU', *THRESHOLDS)
RESAMPLES = 2000
CONFIDENCE = 0.95
# Sums of IoU are multiples of this; they stay exact up to 2 ** 21 expressions.
GRID = 2.0**-32
# Draws held in memory at a time, times photos.
CHUNK = 4_000_000


@dataclass(frozen=True)
class Resamples:
    """Metrics of R draws of P photos.

    Attributes:
        values: (R, models, metrics), fractions; metrics in the order of ``METRICS``.
        photos: P, the number of photos in the data and in each draw.
        seed: of the generator that drew.
    """
    values: np.ndarray
    photos: int
    seed: int

    def of(self, model: int, metric: str) -> np.ndarray:
        """Return one model's metric in each draw, (R,)."""
        return self.values[:, model, METRICS.index(metric)]

    def interval(self, model: int, metric: str) -> tuple[float, float]:
        """Return the percentile interval of a model's metric."""
        return percentile_interval(self.of(model, metric))

    def method(self) -> str:
        """Return the method as a sentence to stand below a table."""
        return (f'{CONFIDENCE:.0%} percentile intervals of a bootstrap over {self.photos} photos, {len(self.values)} '
                f'resamples, seed {self.seed} (Efron and Tibshirani 1993)')


@dataclass(frozen=True)
class PairedDifference:
    """First model minus second, by their positions.

    Attributes:
        difference: of the figures on all photos, a fraction.
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


def photo_sums(rows: Sequence[Row], strict: bool) -> tuple[list[int | str], np.ndarray, np.ndarray]:
    """Return the photos' ids in order, and each metric's numerators and denominators, both (P, metrics)."""
    photos: dict[int | str, list[Row]] = {}
    for row in rows:
        photos.setdefault(row.img_id, []).append(row)
    img_ids = sorted(photos, key=lambda img_id: (isinstance(img_id, str), img_id))
    above, below = [], []
    for img_id in img_ids:
        overlaps = [row.score.overlap for row in photos[img_id]]
        reached = [sum(each.reaches(value, strict=strict) for each in overlaps) for value in THRESHOLDS.values()]
        iou = round(fsum(each.iou for each in overlaps) / GRID) * GRID
        above.append([iou, sum(each.inter for each in overlaps), *reached])
        below.append([len(overlaps), sum(each.union for each in overlaps), *[len(overlaps)] * len(reached)])
    return img_ids, np.array(above, dtype=float), np.array(below, dtype=float)


def resample(models: Sequence[Sequence[Row]], *, strict: bool = True, resamples: int = RESAMPLES,
             seed: int = 0) -> Resamples:
    """Draw photos with replacement, the same ones for all models.

    Args:
        models: each one's scored expressions, all of the same photos.

    Raises:
        ValueError: fewer than one resample is asked for, there is no expression, or the photos differ.
    """
    if resamples < 1 or seed < 0:
        raise InputError(f'resamples is {resamples} and seed {seed}; give at least 1 resample and a seed from 0 up')
    sums = [photo_sums(rows, strict) for rows in models]
    img_ids = sums[0][0]
    if not img_ids or any(each[0] != img_ids for each in sums):
        raise InputError('a paired bootstrap needs models that were scored on the same photos, at least one')
    above = np.concatenate([each[1] for each in sums], axis=1)  # (P, models * metrics)
    below = np.concatenate([each[2] for each in sums], axis=1)
    rng = np.random.default_rng(seed)
    step = max(1, CHUNK // len(img_ids))
    values = []
    for start in range(0, resamples, step):
        weights = draw_weights(rng, min(step, resamples - start), len(img_ids))
        bottom = weights @ below
        # Only cIoU's unions can add up to nothing, where all masks are empty: Overlap.iou calls that 1.
        values.append(np.divide(weights @ above, bottom, out=np.ones_like(bottom), where=bottom > 0))
    return Resamples(np.concatenate(values).reshape(resamples, len(models), len(METRICS)), len(img_ids), seed)


def draw_weights(rng: np.random.Generator, count: int, photos: int) -> np.ndarray:
    """Return how often each draw holds each photo, (count, photos) float; every line adds up to ``photos``."""
    drawn = rng.integers(photos, size=(count, photos))
    drawn += photos * np.arange(count)[:, None]
    return np.bincount(drawn.ravel(), minlength=count * photos).reshape(count, photos).astype(float)


def percentile_interval(values: np.ndarray) -> tuple[float, float]:
    """Return the quantiles between which ``CONFIDENCE`` of the values lie (Efron and Tibshirani 1993, chapter 13)."""
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def two_sided_p(differences: np.ndarray) -> float:
    """Return twice the smaller share of draws on either side of no difference, between 1 / (R + 1) and 1.

    This inverts the percentile interval: the least level at which the interval of that level leaves 0 out (Efron and
    Tibshirani 1993, chapter 15, section 4). Fewer than one draw in R + 1 cannot be told from none.
    """
    share = min(float(np.mean(differences <= 0)), float(np.mean(differences >= 0)))
    return min(1.0, max(2 * share, 1 / (len(differences) + 1)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number, in the given order (S. Holm, Scandinavian Journal of Statistics 6, 1979)."""
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected


def paired_differences(resamples: Resamples, figures: Sequence[float], metric: str) -> list[PairedDifference]:
    """Compare each model with each later one.

    Args:
        figures: each model's ``metric`` on all photos, a fraction.
    """
    pairs = [(first, second) for first in range(len(figures)) for second in range(first + 1, len(figures))]
    drawn = [resamples.of(first, metric) - resamples.of(second, metric) for first, second in pairs]
    p_values = [two_sided_p(values) for values in drawn]
    corrected: list[float] | list[None] = holm(p_values) if len(pairs) > 1 else [None] * len(pairs)
    return [
        PairedDifference(metric, first, second, figures[first] - figures[second], *percentile_interval(values), p,
                         p_holm)
        for (first, second), values, p, p_holm in zip(pairs, drawn, p_values, corrected, strict=True)
    ]

"""The mean-mask baseline: each part's mean mask on the train split, the same for every image.

Means are computed on a grid of 64 x 64 cells over the whole image, whatever its size and aspect ratio. The train split
is read twice, for the means and for the thresholds, so that no mask has to be stored.
"""
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import isclose

import cv2
import numpy as np

from mmpartref.evaluation.scoring.threshold_sweep import SWEEP_THRESHOLDS
from mmpartref.masks.iou import encode_masks
from mmpartref.masks.rle import decode_refs

GRID_SIZE = 64
# Denser at the low end: a small part that occurs everywhere has a low mean.
MEAN_THRESHOLDS = (0.01, 0.02, 0.03, 0.04, *SWEEP_THRESHOLDS)
# (super-category, part).
CategoryKey = tuple[str, str]


@dataclass(frozen=True)
class MeanMask:
    """The mean mask of one category on the train split.

    Attributes:
        mean: (64, 64) float32, the mean share of each cell that the part covers.
        threshold: pixels with a greater mean belong to the mask.
        train_iou: mean IoU over the train images at that threshold, on the grid.
        images: number of train images with the part.
    """
    mean: np.ndarray
    threshold: float
    train_iou: float
    images: int

    @property
    def is_empty(self) -> bool:
        """Whether no cell is above the threshold, as for small parts that occur everywhere."""
        return not bool((self.mean > self.threshold).any())

    def predict(self, height: int, width: int) -> tuple[np.ndarray, float]:
        """Return the mask (height, width) bool and its score, the mean of the mean map inside it (0 if empty).

        The map is interpolated linearly, so that it stays between 0 and 1.
        """
        values = cv2.resize(self.mean, (width, height), interpolation=cv2.INTER_LINEAR)
        mask = values > self.threshold
        return mask, float(values[mask].mean()) if mask.any() else 0.0


@lru_cache(maxsize=4096)
def area_matrix(length: int) -> np.ndarray:
    """Return (64, length) float32, the weight of each pixel of a line in the mean of each cell; rows sum to 1."""
    edges = np.arange(GRID_SIZE + 1) * (length / GRID_SIZE)
    pixels = np.arange(length)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (covered.clip(min=0) * (GRID_SIZE / length)).astype(np.float32)


def coverage(masks: np.ndarray) -> np.ndarray:
    """Return (K, 64, 64) float32, the share of each cell that each mask of (K, h, w), 0 or 1, covers."""
    rows, columns = area_matrix(masks.shape[1]), area_matrix(masks.shape[2])
    return rows @ masks.astype(np.float32) @ columns.T


def category_of(ref: dict) -> CategoryKey:
    """Return the key of a ref's mean mask: a bird's head and a fish's head are two categories."""
    return ref['super_category'], ref['part']


def fit_mean_masks(read_images: Callable[[str], Iterable[dict]]) -> dict[CategoryKey, MeanMask]:
    """Average the masks of every category and choose the threshold with the greatest mean IoU on the same images.

    The thresholds are ``MEAN_THRESHOLDS``; the nearest to 0.5 of equal ones is taken. The IoU is computed on the grid
    with the share of each cell that the true mask covers, so that a part smaller than a cell counts with its area.

    Args:
        read_images: called twice, with the name of the pass; yields the train split's entries ``{'refs': ...}``, one
            per image, with one ref per category (``instances='merged'``).
    """
    sums: dict[CategoryKey, np.ndarray] = {}
    images: Counter[CategoryKey] = Counter()
    for entry in read_images('train, means'):
        for ref, share in zip(entry['refs'], coverage(decode_refs(entry['refs'])), strict=True):
            category = category_of(ref)
            sums.setdefault(category, np.zeros((GRID_SIZE, GRID_SIZE)))[:] += share
            images[category] += 1
    means = {category: (total / images[category]).astype(np.float32) for category, total in sums.items()}
    masks = {category: masks_at_thresholds(mean) for category, mean in means.items()}
    ious = {category: np.zeros(len(MEAN_THRESHOLDS)) for category in means}
    for entry in read_images('train, thresholds'):
        for ref, share in zip(entry['refs'], coverage(decode_refs(entry['refs'])), strict=True):
            category = category_of(ref)
            ious[category] += grid_ious(masks[category], share)
    return {category: MeanMask(mean, *best_mean_threshold(ious[category] / images[category]), images[category])
            for category, mean in means.items()}


def masks_at_thresholds(mean: np.ndarray) -> np.ndarray:
    """Return (23, 4096) float32, 0 or 1: the cells above each threshold."""
    return (mean.reshape(1, -1) > np.array(MEAN_THRESHOLDS, dtype=np.float32)[:, None]).astype(np.float32)


def grid_ious(masks: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return (23,), the IoU of ``masks`` (23, 4096) with a true mask that covers ``share`` (64, 64) of each cell."""
    inter = masks @ share.reshape(-1)
    union = masks.sum(axis=1) + share.sum() - inter
    return inter / union


def best_mean_threshold(ious: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Return the threshold of the greatest IoU, the nearest to 0.5 of equal ones, and that IoU."""
    best = float(max(ious))
    equal = (threshold for threshold, iou in zip(MEAN_THRESHOLDS, ious, strict=True)
             if isclose(iou, best, abs_tol=1e-6))
    return min(equal, key=lambda threshold: (abs(threshold - 0.5), threshold)), best


class MeanMaskPredictor:
    """Predicts its category's mean mask for every expression.

    Attributes:
        unseen: number of expressions with an empty mask because their category is not in the train split, by category.
    """

    def __init__(self, masks: dict[CategoryKey, MeanMask]) -> None:
        self.masks = masks
        self.unseen: Counter[CategoryKey] = Counter()

    def __call__(self, entry: dict) -> list[tuple[dict, float]]:
        """Return an RLE and a score per ref of an image."""
        predictions = []
        for ref in entry['refs']:
            mean_mask = self.masks.get(category_of(ref))
            if mean_mask is None:
                self.unseen[category_of(ref)] += 1
                mask, score = np.zeros((entry['height'], entry['width']), dtype=bool), 0.0
            else:
                mask, score = mean_mask.predict(entry['height'], entry['width'])
            predictions.append((encode_masks(mask[None])[0], score))
        return predictions

    def summary(self) -> str:
        """Return which categories have an empty mask, and why."""
        empty = sorted(category for category, each in self.masks.items() if each.is_empty)
        lines = [f'mean masks of {len(self.masks)} categories; {self.unseen.total()} expressions of '
                 f'{len(self.unseen)} categories that are not in train have an empty mask{_names(self.unseen)}']
        if empty:
            lines.append(f'{len(empty)} categories whose mean is nowhere above {MEAN_THRESHOLDS[0]} have an empty mask '
                         f'too{_names(empty)}')
        return '\n'.join(lines)


def _names(categories: Iterable[CategoryKey]) -> str:
    names = ', '.join(sorted(' '.join(filter(None, category)) for category in categories))
    return f': {names}' if names else ''

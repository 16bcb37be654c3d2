"""What the data alone gives away: each part's mean mask on the train split, the same for every photo.

Everything is learnt on a grid of 64 x 64 cells over the whole photo, whatever the photo's size and aspect. The train
split is read twice, for the means and for the thresholds, so that no mask has to be kept.
"""
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import isclose

import cv2
import numpy as np

from mmpartref.evaluation.scoring.threshold_sweep import THRESHOLDS
from mmpartref.masks.iou import encode_masks
from mmpartref.masks.rle import decode_refs

GRID = 64
# Finer below: a small part that lies everywhere has a faint mean.
LEVELS = (0.01, 0.02, 0.03, 0.04, *THRESHOLDS)
# (super-category, part).
Category = tuple[str, str]


@dataclass(frozen=True)
class MeanMask:
    """One category on the train split.

    Attributes:
        mean: (64, 64) float32, the mean share of each cell that the part covers.
        threshold: a pixel belongs to the mask when the mean there is greater.
        train_iou: mean IoU over the train photos at that threshold, on the grid.
        photos: train photos that show the part.
    """
    mean: np.ndarray
    threshold: float
    train_iou: float
    photos: int

    @property
    def is_empty(self) -> bool:
        """Whether the mean is nowhere above the threshold, as for small parts that lie everywhere."""
        return not bool((self.mean > self.threshold).any())

    def on_photo(self, height: int, width: int) -> tuple[np.ndarray, float]:
        """Return the mask (height, width) bool and its score, the mean of the mean map inside it (0 if empty).

        The map is interpolated linearly, which keeps it between 0 and 1.
        """
        values = cv2.resize(self.mean, (width, height), interpolation=cv2.INTER_LINEAR)
        mask = values > self.threshold
        return mask, float(values[mask].mean()) if mask.any() else 0.0


@lru_cache(maxsize=4096)
def area_matrix(length: int) -> np.ndarray:
    """Return (64, length) float32: the share of each pixel of a line in the mean of each cell; rows sum to 1."""
    edges = np.arange(GRID + 1) * (length / GRID)
    pixels = np.arange(length)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (covered.clip(min=0) * (GRID / length)).astype(np.float32)


def coverage(masks: np.ndarray) -> np.ndarray:
    """Return (K, 64, 64) float32: the share of each cell that each mask of (K, h, w), 0 or 1, covers."""
    rows, columns = area_matrix(masks.shape[1]), area_matrix(masks.shape[2])
    return rows @ masks.astype(np.float32) @ columns.T


def category_of(ref: dict) -> Category:
    """Return what has a mean mask of its own: a bird's head and a fish's head are two."""
    return ref['super_category'], ref['part']


def fit_mean_masks(read_photos: Callable[[str], Iterable[dict]]) -> dict[Category, MeanMask]:
    """Average the masks of every category and choose the threshold that suits the same photos best.

    The threshold is that of 0.01, 0.02, 0.03, 0.04, 0.05, 0.10, 0.15, ... 0.95 with the greatest mean IoU, of equal
    ones the nearest to 0.5. The IoU is computed on the grid, with the share of each cell that the true mask covers; a
    part smaller than a cell counts with its area and does not vanish.

    Args:
        read_photos: called twice, with the name of the pass; gives the train split's entries ``{'refs': ...}``, one
            per photo, with one ref per category (``instances='merged'``).
    """
    sums: dict[Category, np.ndarray] = {}
    photos: Counter[Category] = Counter()
    for entry in read_photos('train, means'):
        for ref, share in zip(entry['refs'], coverage(decode_refs(entry['refs'])), strict=True):
            category = category_of(ref)
            sums.setdefault(category, np.zeros((GRID, GRID)))[:] += share
            photos[category] += 1
    means = {category: (total / photos[category]).astype(np.float32) for category, total in sums.items()}
    cut = {category: cut_at_thresholds(mean) for category, mean in means.items()}
    ious = {category: np.zeros(len(LEVELS)) for category in means}
    for entry in read_photos('train, thresholds'):
        for ref, share in zip(entry['refs'], coverage(decode_refs(entry['refs'])), strict=True):
            category = category_of(ref)
            ious[category] += grid_ious(cut[category], share)
    fitted = {}
    for category, mean in means.items():
        threshold, iou = choose_threshold(ious[category] / photos[category])
        fitted[category] = MeanMask(mean, threshold, iou, photos[category])
    return fitted


def cut_at_thresholds(mean: np.ndarray) -> np.ndarray:
    """Return (23, 4096) float32, 0 or 1: the cells above each threshold."""
    return (mean.reshape(1, -1) > np.array(LEVELS, dtype=np.float32)[:, None]).astype(np.float32)


def grid_ious(masks: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return (23,): the IoU of ``masks`` (23, 4096) with a true mask that covers ``share`` (64, 64) of each cell."""
    inter = masks @ share.reshape(-1)
    union = masks.sum(axis=1) + share.sum() - inter
    return inter / union


def choose_threshold(ious: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Return the threshold of the greatest IoU, of equal ones the nearest to 0.5, and that IoU."""
    best = float(max(ious))
    equal = [threshold for threshold, iou in zip(LEVELS, ious, strict=True) if isclose(iou, best, abs_tol=1e-6)]
    return min(equal, key=lambda threshold: (abs(threshold - 0.5), threshold)), best


class MeanMaskAnswer:
    """Answers every expression with its category's mean mask.

    Attributes:
        unseen: expressions answered with an empty mask because the train split never shows their category, by category.
    """

    def __init__(self, masks: dict[Category, MeanMask]) -> None:
        self.masks = masks
        self.unseen: Counter[Category] = Counter()

    def __call__(self, entry: dict) -> list[tuple[dict, float]]:
        """Return an RLE and a score per ref of a photo."""
        answers = []
        for ref in entry['refs']:
            known = self.masks.get(category_of(ref))
            if known is None:
                self.unseen[category_of(ref)] += 1
                mask, score = np.zeros((entry['height'], entry['width']), dtype=bool), 0.0
            else:
                mask, score = known.on_photo(entry['height'], entry['width'])
            answers.append((encode_masks(mask[None])[0], score))
        return answers

    def summary(self) -> str:
        """Say which categories are answered with an empty mask, and why."""
        faint = sorted(category for category, each in self.masks.items() if each.is_empty)
        lines = [f'mean masks of {len(self.masks)} categories; {self.unseen.total()} expressions of '
                 f'{len(self.unseen)} categories that train never shows got an empty mask{listed(self.unseen)}']
        if faint:
            lines.append(f'{len(faint)} categories whose mean is nowhere above {LEVELS[0]} get an empty mask too'
                         f'{listed(faint)}')
        return '\n'.join(lines)


def listed(categories: Iterable[Category]) -> str:
    """Write names behind a sentence."""
    names = ', '.join(sorted(' '.join(filter(None, category)) for category in categories))
    return f': {names}' if names else ''

"""Intersection and union of masks, in pixels.

All counts are integers taken on run lengths: a prediction is encoded once, in one pass over the image, and each count
after that takes as many steps as the masks have runs. A mask that is read from a dump gives the same integers.
"""
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from pycocotools import mask as coco_mask

from mmpartref.errors import InputError
from mmpartref.masks.rle import union


@dataclass(frozen=True)
class Overlap:
    """Pixels in the intersection and in the union of two masks.

    ``if_empty`` is the IoU of two empty masks: 1, unless another rule is chosen (``evaluation.scoring.conventions``).
    """
    inter: int
    union: int
    if_empty: int = 1

    @property
    def iou(self) -> float:
        """Intersection over union, 0 to 1."""
        return self.inter / self.union if self.union else float(self.if_empty)

    @property
    def exact(self) -> Fraction:
        """Intersection over union as a fraction, without rounding."""
        return Fraction(self.inter, self.union) if self.union else Fraction(self.if_empty)

    def reaches(self, threshold: Fraction, *, strict: bool) -> bool:
        """Return whether the exact IoU is greater than ``threshold`` (``strict``) or at least as great."""
        inter, union = (self.inter, self.union) if self.union else (self.if_empty, 1)
        # Products of integers: a Fraction per overlap would take most of the time of the metrics.
        left, right = inter * threshold.denominator, threshold.numerator * union
        return left > right if strict else left >= right


@dataclass(frozen=True)
class ExpressionScore:
    """Overlaps of one predicted mask with its ground truth.

    Attributes:
        overlap: with the union of the expression's annotations.
        pred_area, true_area: pixels of the prediction and of that union.
        per_annotation: with each annotation alone, in the order of the annotations.
    """
    overlap: Overlap
    pred_area: int
    true_area: int
    per_annotation: tuple[Overlap, ...]


def encode_masks(masks: np.ndarray) -> list[dict]:
    """Return one compressed COCO RLE per mask of (K, h, w) bool; ``counts`` is an ASCII string, ready for JSON."""
    encoded = coco_mask.encode(np.asfortranarray(masks.transpose(1, 2, 0), dtype=np.uint8))
    return [{'size': list(rle['size']), 'counts': rle['counts'].decode('ascii')} for rle in encoded]


def score_rles(pred: dict, truths: Sequence[dict]) -> ExpressionScore:
    """Score a predicted RLE against the union of ``truths`` and against each of them.

    Raises:
        ValueError: a truth has another size than the prediction, where pycocotools would count no pixel.
    """
    for truth in truths:
        if list(truth['size']) != list(pred['size']):
            raise InputError(f'the prediction is {list(pred["size"])} pixels (height, width) but an annotation is '
                             f'{list(truth["size"])}; predict at the image\'s own size')
    merged = union(truths, pred['size'])
    pred_area, true_area = int(coco_mask.area(pred)), int(coco_mask.area(merged))

    def overlap(truth: dict) -> Overlap:
        inter = int(coco_mask.area(coco_mask.merge([pred, truth], intersect=True)))
        return Overlap(inter, pred_area + int(coco_mask.area(truth)) - inter)

    return ExpressionScore(overlap(merged), pred_area, true_area, tuple(overlap(truth) for truth in truths))


def score_expression(pred_mask: np.ndarray, rles: Sequence[dict]) -> ExpressionScore:
    """Score a mask (h, w) bool against compressed COCO RLEs of the same image, one per annotation.

    Raises:
        ValueError: a size differs, or the mask is not an array (h, w) bool.
    """
    if not isinstance(pred_mask, np.ndarray) or pred_mask.ndim != 2 or pred_mask.dtype != np.bool_:
        found = [getattr(pred_mask, name, '') for name in ('shape', 'dtype')]
        raise InputError(f'a predicted mask is an array (h, w) bool, got a {type(pred_mask).__name__} {found[0]} '
                         f'{found[1]}; threshold it first')
    return score_rles(encode_masks(pred_mask[None])[0], rles)

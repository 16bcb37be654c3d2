"""Counting the pixels that two masks share.

Everything is counted on run lengths, as integers: a prediction is encoded once, at a cost of one pass over the photo,
and each count after that takes as many steps as the masks have runs. A mask that was written to a dump and read again
gives the same integers.
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
    """Pixels two masks share (``inter``) and pixels that belong to either (``union``).

    ``if_empty`` is the IoU where both masks are empty: 1, since then nothing was missed or added, unless another rule
    was chosen (see ``conventions``).
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
        """The same without rounding."""
        return Fraction(self.inter, self.union) if self.union else Fraction(self.if_empty)

    def reaches(self, threshold: Fraction, *, strict: bool) -> bool:
        """Say whether the IoU is greater than ``threshold`` (``strict``) or at least as great, in exact arithmetic."""
        return self.exact > threshold if strict else self.exact >= threshold


@dataclass(frozen=True)
class ExpressionScore:
    """What one predicted mask is worth.

    Attributes:
        overlap: with the union of the expression's annotations.
        pred_area, true_area: pixels of the prediction and of that union.
        per_annotation: the same prediction with each annotation's own mask, in the order of the annotations.
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
        ValueError: a truth has another size than the prediction; pycocotools would count no pixel and say nothing.
    """
    for truth in truths:
        if list(truth['size']) != list(pred['size']):
            raise InputError(f'the prediction is {list(pred["size"])} pixels (height, width) but an annotation is '
                             f'{list(truth["size"])}; predict at the photo\'s own size')
    merged = union(truths, pred['size'])
    pred_area, true_area = int(coco_mask.area(pred)), int(coco_mask.area(merged))

    def overlap(truth: dict) -> Overlap:
        inter = int(coco_mask.area(coco_mask.merge([pred, truth], intersect=True)))
        return Overlap(inter, pred_area + int(coco_mask.area(truth)) - inter)

    return ExpressionScore(overlap(merged), pred_area, true_area, tuple(overlap(truth) for truth in truths))


def score_expression(pred_mask: np.ndarray, rles: Sequence[dict]) -> ExpressionScore:
    """Score a mask (h, w) bool against compressed COCO RLEs of the same photo, one per annotation.

    Raises:
        ValueError: a size differs, or the mask is not (h, w) bool.
    """
    if pred_mask.ndim != 2 or pred_mask.dtype != np.bool_:
        raise InputError(f'a predicted mask is (h, w) bool, got {pred_mask.shape} {pred_mask.dtype}; threshold '
                         'it first')
    return score_rles(encode_masks(pred_mask[None])[0], rles)

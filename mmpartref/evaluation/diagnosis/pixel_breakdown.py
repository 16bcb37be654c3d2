"""Count the pixels of a predicted mask on its part, on other parts of the same object and on background.

Datasets without object ids do not record which parts belong to one object. An expression's *siblings*, the image's
other expressions of the same super-category, stand in for them, so that two objects of one kind in an image count as
one. A sibling of another part name is a sibling part; one of the same name is another instance
(``instances='separate'`` has one expression per instance).

All counts are integers, taken on run lengths.
"""
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from pycocotools import mask as coco_mask

from mmpartref.evaluation.dumps.predictions import Prediction
from mmpartref.masks.iou import Overlap
from mmpartref.masks.rle import union


@dataclass(frozen=True)
class PartPixels:
    """A predicted mask and one sibling part.

    Attributes:
        pixels: predicted pixels assigned to this part; each pixel is assigned once, see ``count_pixels``.
        overlap: with the whole part, including pixels that it shares with other parts.
    """
    pixels: int
    overlap: Overlap


@dataclass(frozen=True)
class PixelBreakdown:
    """Pixel counts of one prediction.

    Attributes:
        pred_area, true_area: of the prediction and of the expression's annotations.
        own: overlap of the prediction with the expression's annotations.
        named_area, named: area of, and overlap with, all annotations of the expression's part name; more than ``own``
            only with ``instances='separate'``.
        object_area, whole: area of, and overlap with, the union of the part and all siblings.
        parts: the sibling parts by name, sorted.
    """
    pred_area: int
    true_area: int
    own: Overlap
    named_area: int
    named: Overlap
    object_area: int
    whole: Overlap
    parts: dict[str, PartPixels]

    @property
    def precision(self) -> Fraction | None:
        """Share of the predicted pixels that are on the part; None for an empty mask."""
        return Fraction(self.own.inter, self.pred_area) if self.pred_area else None

    @property
    def recall(self) -> Fraction | None:
        """Share of the part's pixels that are predicted; None for a part that is not in the image."""
        return Fraction(self.own.inter, self.true_area) if self.true_area else None

    @property
    def siblings_area(self) -> int:
        """Pixels of the object that are on sibling parts alone."""
        return self.object_area - self.named_area

    @property
    def on_siblings(self) -> int:
        """Predicted pixels on sibling parts alone."""
        return self.whole.inter - self.named.inter

    @property
    def on_instances(self) -> int:
        """Predicted pixels on other instances of the same part."""
        return self.named.inter - self.own.inter

    @property
    def on_background(self) -> int:
        """Predicted pixels on no annotation of the super-category."""
        return self.pred_area - self.whole.inter


def mask_area(rle: dict) -> int:
    """Return the number of pixels of an RLE."""
    return int(coco_mask.area(rle))


def overlap_of(first: dict, second: dict) -> Overlap:
    """Return the overlap of two RLEs of one image."""
    inter = _intersection(first, second)
    return Overlap(inter, mask_area(first) + mask_area(second) - inter)


def _intersection(first: dict, second: dict) -> int:
    return mask_area(coco_mask.merge([first, second], intersect=True))


def count_pixels(prediction: Prediction, siblings: Sequence[Prediction]) -> PixelBreakdown:
    """Count the pixels of a predicted mask.

    Where annotations overlap, a predicted pixel is assigned once: to the expression's part if it is on it, otherwise to
    the smallest sibling part there (smallest in this image; the first by name of equal ones), since the smaller one is
    more specific: a nose annotated on top of the skin is a nose.

    Args:
        prediction: of one expression.
        siblings: the image's other expressions of the same super-category; only ``part`` and ``truth`` are used.
    """
    size = prediction.pred['size']
    truth = union(prediction.truth, size)
    own = overlap_of(prediction.pred, truth)
    named, named_overlap = truth, own
    by_part: dict[str, list[dict]] = {}
    for sibling in siblings:
        by_part.setdefault(sibling.part, []).extend(sibling.truth)
    instances = by_part.pop(prediction.part, [])
    if instances:
        named = union([truth, *instances], size)
        named_overlap = overlap_of(prediction.pred, named)
    masks = {name: union(rles, size) for name, rles in by_part.items() if rles}
    overlaps = {name: overlap_of(prediction.pred, rle) for name, rle in masks.items()}
    pixels = dict.fromkeys(masks, 0)
    covered, assigned = named, named_overlap.inter
    for name in sorted(masks, key=lambda name: (mask_area(masks[name]), name)):
        if overlaps[name].inter:
            covered = union([covered, masks[name]], size)
            total = _intersection(prediction.pred, covered)
            pixels[name] = total - assigned
            assigned = total
    whole = union([named, *masks.values()], size)
    return PixelBreakdown(
        pred_area=mask_area(prediction.pred),
        true_area=mask_area(truth),
        own=own,
        named_area=mask_area(named),
        named=named_overlap,
        object_area=mask_area(whole),
        whole=overlap_of(prediction.pred, whole),
        parts={name: PartPixels(pixels[name], overlaps[name]) for name in sorted(masks)})

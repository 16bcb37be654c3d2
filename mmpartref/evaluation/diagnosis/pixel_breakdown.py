"""Where a predicted mask lies: on its part, on the other parts of the same object, or beside them.

The other parts of the object are the photo's other expressions of the same super-category, the *siblings*. The data
sets give no object masks and no object ids, so that two objects of one kind in a photo count as one. A sibling of
another name is a sibling part; one of the same name is another instance (``instances='separate'`` asks for each alone).

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
class PartLanding:
    """What a predicted mask has to do with one sibling part.

    Attributes:
        pixels: predicted pixels that count for this part; each pixel counts once, see ``count_landing``.
        overlap: with the whole part, pixels it shares with other parts included.
    """
    pixels: int
    overlap: Overlap


@dataclass(frozen=True)
class Landing:
    """Counted pixels of one prediction; areas in pixels of the photo.

    Attributes:
        pred_area, true_area: of the prediction, of the expression's own annotations.
        own: the prediction with the expression's own annotations.
        named_area, named: the same with all annotations of its part name; ``own`` unless the photo was asked for single
            instances.
        object_area, whole: the same with the union of all siblings and the part itself.
        parts: the sibling parts by name, sorted.
    """
    pred_area: int
    true_area: int
    own: Overlap
    named_area: int
    named: Overlap
    object_area: int
    whole: Overlap
    parts: dict[str, PartLanding]

    @property
    def precision(self) -> Fraction | None:
        """Share of the predicted pixels that lie on the part; None where nothing was predicted."""
        return Fraction(self.own.inter, self.pred_area) if self.pred_area else None

    @property
    def recall(self) -> Fraction | None:
        """Share of the part's pixels that were predicted; None where the photo does not show the part."""
        return Fraction(self.own.inter, self.true_area) if self.true_area else None

    @property
    def siblings_area(self) -> int:
        """Pixels of the object that belong to sibling parts alone."""
        return self.object_area - self.named_area

    @property
    def on_siblings(self) -> int:
        """Predicted pixels on them."""
        return self.whole.inter - self.named.inter

    @property
    def on_instances(self) -> int:
        """Predicted pixels on other instances of the same part."""
        return self.named.inter - self.own.inter

    @property
    def on_background(self) -> int:
        """Predicted pixels on no annotation of the super-category."""
        return self.pred_area - self.whole.inter


def area(rle: dict) -> int:
    """Return an RLE's pixels."""
    return int(coco_mask.area(rle))


def shared(first: dict, second: dict) -> int:
    """Return the pixels that two RLEs share."""
    return area(coco_mask.merge([first, second], intersect=True))


def overlap_of(first: dict, second: dict) -> Overlap:
    """Return the overlap of two RLEs of one photo."""
    inter = shared(first, second)
    return Overlap(inter, area(first) + area(second) - inter)


def count_landing(prediction: Prediction, siblings: Sequence[Prediction]) -> Landing:
    """Count where a prediction lies.

    Where annotations overlap, a predicted pixel counts once: for the part that was asked for if it is on it, otherwise
    for the smallest sibling part there (smallest in this photo; of equal ones the first by name), because the smaller
    one says more: a nose annotated on top of the skin is a nose.

    Args:
        prediction: what was asked and answered.
        siblings: the photo's other expressions of the same super-category; only their ``part`` and ``truth`` count.
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
    taken, counted = named, named_overlap.inter
    for name in sorted(masks, key=lambda name: (area(masks[name]), name)):
        if overlaps[name].inter:
            taken = union([taken, masks[name]], size)
            reached = shared(prediction.pred, taken)
            pixels[name] = reached - counted
            counted = reached
    whole = union([named, *masks.values()], size)
    return Landing(
        pred_area=area(prediction.pred),
        true_area=area(truth),
        own=own,
        named_area=area(named),
        named=named_overlap,
        object_area=area(whole),
        whole=overlap_of(prediction.pred, whole),
        parts={name: PartLanding(pixels[name], overlaps[name]) for name in sorted(masks)})

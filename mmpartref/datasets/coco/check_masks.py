"""Checks of masks that load, but may be wrong."""
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from mmpartref.datasets.coco.findings import SplitFindings
from mmpartref.datasets.coco.records import Annotation, Image, PartName
from mmpartref.masks.polygons import RING_NUMBERS
from mmpartref.masks.rle import is_number, rle_from_segmentation

# pixels: a polygon may leave the image this far, as rounding does.
OUTSIDE = 1.0
# pixels: tolerance of each number of a 'bbox', since outlines and pixels differ.
BBOX_OFF = 2.0


@dataclass(frozen=True)
class Limits:
    """Limits of a healthy dataset.

    Attributes:
        min_pixels: masks of fewer pixels are near-empty parts.
        max_overlap: pixels that two parts of one object share, relative to the smaller one.
        max_map_difference: share of an image's annotated pixels on which json and label map may differ.
    """
    min_pixels: int = 16
    max_overlap: float = 0.1
    max_map_difference: float = 0.05


def ring_fault(ring: Sequence[float], height: int, width: int) -> tuple[str, str] | None:
    """Return code and message of the first fault of a polygon ring (x, y, x, y, ... in pixels), or None.

    Checked in this order: it is unreadable, has fewer than three points, leaves the image, is on one line.
    """
    try:
        rle_from_segmentation([ring], height, width)
    except ValueError as error:
        return 'bad-segmentation', str(error)
    if len(ring) < RING_NUMBERS:
        return 'short-ring', f'a ring has {len(ring)} numbers'
    values = np.asarray(ring, dtype=float)
    x, y = values[0::2], values[1::2]
    outside = float(max(-x.min(), x.max() - width, -y.min(), y.max() - height))
    if outside > OUTSIDE:
        return 'outside-image', f'a ring leaves the image of {height} x {width} by {outside:.1f} pixels'
    # Cross products with the point that is farthest from the first one: all 0 on one line.
    x, y = x - x[0], y - y[0]
    farthest = (np.abs(x) + np.abs(y)).argmax()
    if np.abs(x * y[farthest] - y * x[farthest]).max() < 1e-6:
        return 'zero-area-ring', f'the {len(x)} points of a ring are on one line'
    return None


def measure_faults(record: Mapping[str, Any], rle: dict) -> Iterator[tuple[str, str, str, Any]]:
    """Yield code, key, message and right value where 'area' or 'bbox' is missing or not that of a mask with pixels.

    An outline that is shifted by half a pixel all around changes the area by half of its length, about the sum of the
    box's sides: the tolerance of the area.
    """
    pixels, box = int(coco_mask.area(rle)), coco_mask.toBbox(rle).tolist()
    area, found = record.get('area'), record.get('bbox')
    if area is None:
        yield 'missing-measure', 'area', "it has no 'area', which a detector needs", pixels
    elif not is_number(area) or not area or not abs(area - pixels) <= box[2] + box[3]:
        yield 'wrong-area', 'area', f"its 'area' is {area!r}; the mask covers {pixels:,} pixels", pixels
    if not found:
        yield 'missing-measure', 'bbox', "it has no 'bbox', which a detector needs", box
    elif not isinstance(found, list) or len(found) != 4 or not all(map(is_number, found)) or not all(
            abs(one - two) <= BBOX_OFF for one, two in zip(found, box, strict=True)):
        yield 'wrong-bbox', 'bbox', f"its 'bbox' is {found!r}; the mask's is {box}", box


def mask_faults(record: Mapping[str, Any], annotation: Annotation, image: Image,
                limits: Limits) -> Iterator[tuple[str, str]]:
    """Yield code and message of each fault of an annotation that loads.

    Args:
        record: the annotation as written in the json.
        annotation: the same, read.
        image, limits: see ``check_masks``.
    """
    if isinstance(record['segmentation'], list):
        faults = [ring_fault(ring, image.height, image.width) for ring in record['segmentation']]
        # Short rings are reported where they are dropped.
        yield from {fault[0]: fault for fault in faults if fault and fault[0] != 'short-ring'}.values()
    yield from ((code, message) for code, _, message, _ in measure_faults(record, annotation.rle))
    pixels = int(coco_mask.area(annotation.rle))
    if pixels < limits.min_pixels:
        yield 'near-empty-part', f'its mask covers {pixels} pixels'


def check_masks(image: Image, records: Mapping[int, Mapping[str, Any]], names: Mapping[int, PartName], limits: Limits,
                findings: SplitFindings) -> list[Annotation]:
    """Add findings on an image's masks.

    Returns the annotations without those that repeat category, object and mask of another; faulty ones are included.

    Args:
        image: with its annotations.
        records: the annotations as written in the json, by id.
        names: meanings of the categories, by id.
        limits: of a healthy dataset.
        findings: to add to.
    """
    first: dict[tuple, Annotation] = {}
    for annotation in image.annotations:
        for code, message in mask_faults(records[annotation.ann_id], annotation, image, limits):
            findings.add(code, f'annotation {annotation.ann_id}', message)
        other = first.setdefault((annotation.category_id, annotation.object_id, annotation.rle['counts']), annotation)
        if other is not annotation:
            findings.add('duplicate-annotation', f'annotation {annotation.ann_id}',
                         f'it has category and mask of annotation {other.ann_id}')
    masks = list(first.values())
    check_overlaps(masks, image, names, limits, findings)
    return masks


def check_overlaps(masks: Sequence[Annotation], image: Image, names: Mapping[int, PartName], limits: Limits,
                   findings: SplitFindings) -> None:
    """Report parts of one object that share too many pixels.

    Parts of one super-category and ``object_id`` in an image are taken as parts of one object.
    """
    objects: dict[tuple[str, Any], list[Annotation]] = {}
    for mask in masks:
        objects.setdefault((names[mask.category_id].super_category, mask.object_id), []).append(mask)
    for (owner, _), members in objects.items():
        rles = [member.rle for member in members]
        # For a crowd the "IoU" is the intersection over the other mask's area; the smaller mask gives the larger one.
        table = coco_mask.iou(rles, rles, [1] * len(rles))
        shares = np.triu(np.maximum(table, table.T), 1)
        count = int((shares > limits.max_overlap).sum())
        if count:
            one, two = np.unravel_index(shares.argmax(), shares.shape)
            more = f'; {count - 1} more pairs' if count > 1 else ''
            findings.add('overlapping-parts', f'image {image.img_id}', f'{image.file_name}, parts of the '
                         f'{owner or "object"}: annotation {members[one].ann_id} and annotation {members[two].ann_id} '
                         f'share {shares[one, two]:.0%} of the smaller{more}')

"""Polygons, run lengths, and what they cover."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from mmpartref.datasets.coco.finding_codes import CODES, ERROR
from mmpartref.datasets.coco.findings import Notebook
from mmpartref.datasets.coco.records import PartName
from mmpartref.masks.rle import FARTHEST, RING_NUMBERS, rle_from_polygon, rle_from_rle

# pixels: a polygon may leave the photo this far, as rounding does, before it is told.
OUTSIDE = 1.0
# pixels: each number of a 'bbox' may be off this far, as the outline and its pixels are.
BBOX_OFF = 2.0


@dataclass(frozen=True)
class Limits:
    """What is still healthy.

    Attributes:
        min_pixels: a mask of fewer is a near-empty part.
        max_overlap: pixels that two parts of one object share, as share of the smaller one.
        max_map_difference: share of a photo's annotated pixels on which json and label map may differ.
    """
    min_pixels: int = 16
    max_overlap: float = 0.1
    max_map_difference: float = 0.05


@dataclass(frozen=True)
class PhotoRecord:
    """An image of the json, '/' between its folders, with the records of its annotations."""
    record: str
    file_name: str
    height: int
    width: int
    annotations: list[dict]


class Fault(NamedTuple):
    """A key of ``CODES`` and what is wrong."""
    code: str
    message: str


class Mask(NamedTuple):
    """An annotation that has a mask; ``rle`` is compressed, at the photo's size."""
    record: str
    category_id: int
    rle: dict


def ring_fault(ring: object, height: int, width: int) -> Fault | None:
    """Return the worst fault of a polygon ring (x, y, x, y, ... in pixels), if any."""
    try:
        values = np.asarray(ring)
    except ValueError:
        values = np.asarray(None)
    if not isinstance(ring, (list, tuple)) or values.ndim != 1:
        return Fault('bad-segmentation', 'a ring is not a flat list of numbers')
    if values.dtype.kind not in 'iuf' or not np.isfinite(values).all():
        return Fault('bad-coordinate', f'a ring holds {first_odd_one(ring)!r}')
    if len(values) < RING_NUMBERS:
        return Fault('short-ring', f'a ring has {len(values)} numbers')
    if len(values) % 2:
        return Fault('odd-coordinates', f'a ring has {len(values)} numbers')
    if np.abs(values).max() > FARTHEST * max(height, width):
        return Fault('far-outside-photo', f'a ring goes to {np.abs(values).max():g} in a photo of {height} x {width}')
    outside = pixels_outside(values, height, width)
    if outside > OUTSIDE:
        return Fault('outside-photo', f'a ring leaves the photo of {height} x {width} by {outside:.1f} pixels')
    if on_one_line(values):
        return Fault('zero-area-ring', f'the {len(values) // 2} points of a ring lie on one line')
    return None


def first_odd_one(ring: Sequence) -> object:
    """Return the first value that is no finite number."""
    infinity = float('inf')
    return next((value for value in ring if isinstance(value, bool) or not isinstance(value, (int, float))
                 or not -infinity < value < infinity), ring[0])


def pixels_outside(values: np.ndarray, height: int, width: int) -> float:
    """Return how far the farthest point lies outside the photo; negative inside."""
    x, y = values[0::2], values[1::2]
    return float(max(-x.min(), x.max() - width, -y.min(), y.max() - height))


def on_one_line(values: np.ndarray) -> bool:
    """Whether all points lie on one line, so that they enclose nothing."""
    points = values.reshape(-1, 2).astype(float)
    points = points - points[0]
    farthest = points[np.abs(points).sum(1).argmax()]
    return bool(np.abs(points[:, 0] * farthest[1] - points[:, 1] * farthest[0]).max() < 1e-6)


def read_mask(segmentation: object, height: int, width: int) -> tuple[dict | None, list[Fault]]:
    """Return the compressed RLE that a data set would read (None: no mask) and the faults, one per code."""
    if isinstance(segmentation, dict):
        return read_rle(segmentation, height, width)
    if not isinstance(segmentation, list):
        return None, [Fault('bad-segmentation', f'it is a {type(segmentation).__name__}')]
    if not segmentation:
        return None, [Fault('no-ring', 'its list of rings is empty')]
    faults: dict[str, Fault] = {}
    usable = []
    for ring in segmentation:
        fault = ring_fault(ring, height, width)
        if fault:
            faults.setdefault(fault.code, fault)
        if fault is None or fault.code in ('outside-photo', 'zero-area-ring'):
            usable.append(ring)
    refused = faults.keys() - {'short-ring', 'outside-photo', 'zero-area-ring'}
    rle = None
    if usable and not refused:
        rle, _ = rle_from_polygon(usable, height, width)
    elif 'short-ring' in faults and not usable and not refused:
        faults['short-ring'] = Fault('short-ring', f"{faults['short-ring'].message}; no ring remains, so the "
                                     'annotation is left out')
    return rle, list(faults.values())


def read_rle(segmentation: dict, height: int, width: int) -> tuple[dict | None, list[Fault]]:
    """Return as ``read_mask``."""
    if not {'size', 'counts'} <= segmentation.keys():
        return None, [Fault('bad-segmentation', "its RLE lacks 'size' or 'counts'")]
    if segmentation['size'] != [height, width]:
        return None, [Fault('rle-size', f"its RLE has size {segmentation['size']}, the photo is [{height}, {width}] "
                            '(height, width)')]
    try:
        return rle_from_rle(segmentation, height, width), []
    except (TypeError, ValueError) as error:
        return None, [Fault('rle-counts', str(error))]


def measure_faults(annotation: Mapping[str, Any], rle: dict) -> list[Fault]:
    """Compare 'area' and 'bbox' with the mask, which covers at least one pixel.

    An outline that is shifted by half a pixel all around changes the area by half its length, about the sum of the
    box's sides: so much the area may be off.
    """
    pixels = int(coco_mask.area(rle))
    box = coco_mask.toBbox(rle).tolist()
    faults = []
    area = annotation.get('area')
    if not isinstance(area, (int, float)) or not abs(area - pixels) <= box[2] + box[3] or not area:
        left_out = ', so the data set leaves it out' if area == 0 else ''
        faults.append(Fault('wrong-area', f"its 'area' is {area!r}{left_out}; the mask covers {pixels:,} pixels"))
    found = annotation.get('bbox')
    try:
        off = np.abs(np.asarray(found, float) - box).max() if len(found or ()) == 4 else np.inf
    except (OverflowError, TypeError, ValueError):
        off = np.inf
    if not off <= BBOX_OFF:
        faults.append(Fault('wrong-bbox', f"its 'bbox' is {found!r}; the mask's is {box}"))
    return faults


def check_masks(photo: PhotoRecord, meanings: Mapping[int, PartName], limits: Limits,
                notebook: Notebook) -> tuple[list[Mask], bool]:
    """Examine all masks of a photo.

    Returns:
        The masks that cover at least one pixel, without those of crowds and repeated ones, and whether every
        annotation could be read: only then can they be held against a label map.
    """
    masks: dict[tuple[int, bytes], Mask] = {}
    complete = True
    for annotation in photo.annotations:
        record = f"annotation {annotation['id']}"
        if annotation.get('iscrowd'):
            notebook.add('crowd-annotation', record)
            complete = False
            continue
        rle, faults = read_mask(annotation['segmentation'], photo.height, photo.width)
        pixels = int(coco_mask.area(rle)) if rle else 0
        if rle and not pixels:
            if not any(fault.code in ('zero-area-ring', 'outside-photo') for fault in faults):
                faults.append(Fault('empty-mask', 'its mask covers no pixel'))
        elif rle:
            faults += measure_faults(annotation, rle)
            if pixels < limits.min_pixels:
                faults.append(Fault('near-empty-part', f'its mask covers {pixels} pixels'))
        for fault in faults:
            notebook.add(fault.code, record, fault.message)
        complete &= not any(CODES[fault.code].severity == ERROR for fault in faults)
        if pixels and rle:
            mask = Mask(record, annotation['category_id'], rle)
            first = masks.setdefault((mask.category_id, rle['counts']), mask)
            if first is not mask:
                notebook.add('duplicate-annotation', record, f'it has category and mask of {first.record}')
    check_overlaps(list(masks.values()), photo, meanings, limits, notebook)
    return list(masks.values()), complete


def check_overlaps(masks: list[Mask], photo: PhotoRecord, meanings: Mapping[int, PartName], limits: Limits,
                   notebook: Notebook) -> None:
    """Look for parts of one object that share too many pixels.

    Parts of one super-category in a photo are taken for those of one object: a json does not say more.
    """
    objects: dict[str, list[Mask]] = {}
    for mask in masks:
        if mask.category_id in meanings:
            objects.setdefault(meanings[mask.category_id].super_category, []).append(mask)
    for owner, members in objects.items():
        rles = [member.rle for member in members]
        # For a crowd the "IoU" is the intersection over the other mask's area; the smaller mask gives the larger one.
        table = coco_mask.iou(rles, rles, [1] * len(rles))
        shares = np.triu(np.maximum(table, table.T), 1)
        count = int((shares > limits.max_overlap).sum())
        if count:
            one, two = np.unravel_index(shares.argmax(), shares.shape)
            more = f'; {count - 1} more pairs' if count > 1 else ''
            notebook.add('overlapping-parts', photo.record, f'{photo.file_name}, parts of the {owner or "object"}: '
                         f'{members[one].record} and {members[two].record} share {shares[one, two]:.0%} of the '
                         f'smaller{more}')

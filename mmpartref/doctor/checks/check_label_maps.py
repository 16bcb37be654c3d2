"""Comparison of a json with PartImageNet's PNG label maps."""
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
from pycocotools import mask as coco_mask

from mmpartref.datasets.coco.check_masks import Limits
from mmpartref.datasets.coco.findings import SplitFindings
from mmpartref.datasets.coco.records import Annotation, Image, PartName
from mmpartref.datasets.partimagenet.partimagenet_names import CATEGORY_NAMES, PART_MAP_BACKGROUND
from mmpartref.doctor.category_names import MAP_LABELS
from mmpartref.files.plain_file import open_plain_file
from mmpartref.masks.rle import union
from mmpartref.tables import percent

# pixels: narrower strips come from different ways to rasterise an outline.
STRIP = 3


def read_map(path: Path, height: int, width: int) -> tuple[np.ndarray | None, tuple[str, str] | None]:
    """Return a label map, uint8 (h, w), and code and message of its fault; either may be None."""
    try:
        # Pillow leaves the labels of a palette image alone; OpenCV would turn them into colours.
        with open_plain_file(path, 'it') as file, PIL.Image.open(file) as image:
            if image.mode not in ('L', 'P'):
                return None, ('unreadable-map', f'it is stored as {image.mode}; a label map has one 8-bit channel')
            labels = np.asarray(image)
    except PIL.UnidentifiedImageError:
        return None, ('unreadable-map', 'it is not an image that Pillow reads')
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        return None, ('unreadable-map', str(error))
    if labels.shape != (height, width):
        return None, ('wrong-map-size', f'it is {labels.shape[0]} x {labels.shape[1]} (height x width); the json '
                           f'has {height} x {width}')
    if labels.max() > PART_MAP_BACKGROUND:
        return None, ('bad-map-value', f'it holds {labels.max()}; labels are 0 to {PART_MAP_BACKGROUND}')
    return labels, None


def describe_map_difference(labels: np.ndarray, rles: Mapping[int, list[dict]], limits: Limits) -> str:
    """Describe where a label map (h, w) and ``rles`` of each label differ by more than ``limits``; '' if nowhere.

    For example "5% of the annotated pixels; Car Tire only in the map; IoU of Car Body 81.00" (percent). A pixel that
    several parts cover may have the label of any. Strips narrower than ``STRIP`` pixels do not count, unless they are
    all there is of a part.
    """
    # Masks are in column order; with everything else in the same order no array has to be copied.
    labels = np.asfortranarray(labels)
    masks = {label: coco_mask.decode(union(members, labels.shape)) for label, members in rles.items()}
    # Bit k of a pixel: the mask of the k-th label covers it.
    bits = np.zeros(labels.shape, np.min_scalar_type(1 << len(masks)), order='F')
    bit_of = np.zeros(256, bits.dtype)
    for place, (label, mask) in enumerate(masks.items()):
        bit_of[label] = 1 << place
        bits |= mask.astype(bits.dtype, copy=False) << place
    empty = bits == 0
    agree = np.where(empty, labels == PART_MAP_BACKGROUND, (bits & bit_of[labels]) > 0)
    differing = cv2.morphologyEx((~agree).T.astype(np.uint8), cv2.MORPH_OPEN, np.ones((STRIP, STRIP), np.uint8))
    counts = np.bincount(labels.ravel(order='K'), minlength=PART_MAP_BACKGROUND + 1)[:PART_MAP_BACKGROUND]
    share = differing.sum() / max(1, np.count_nonzero(~empty | (labels != PART_MAP_BACKGROUND)))
    found = [f'{share:.0%} of the annotated pixels'] if share > limits.max_map_difference else []
    found += [f'{CATEGORY_NAMES[label]} only in the json' for label in masks
             if not counts[label] and np.count_nonzero(bits == bit_of[label]) >= limits.min_pixels]
    found += [f'{CATEGORY_NAMES[label]} only in the map' for label, count in enumerate(counts)
             if label not in masks and count >= limits.min_pixels]
    if found:
        found += [f'IoU of {CATEGORY_NAMES[label]} {percent(overlap(mask > 0, labels == label))}'
                 for label, mask in masks.items() if counts[label]]
    return '; '.join(found)


def overlap(one: np.ndarray, two: np.ndarray) -> float:
    """Return the IoU of two masks, one of which is not empty."""
    return np.count_nonzero(one & two) / np.count_nonzero(one | two)


def check_map(image: Image, masks: list[Annotation], complete: bool, names: Mapping[int, PartName], path: Path,
              limits: Limits, findings: SplitFindings) -> None:
    """Compare an image's masks with its label map.

    Args:
        image: of the json.
        masks: its annotations.
        complete: whether all annotations could be read. If not, the map is read but not compared: what is missing from
            the json has been reported already.
        names: meanings of the categories, by id.
        path: of the map.
        limits: of a healthy dataset.
        findings: to add to.
    """
    record = f'image {image.img_id}'
    labels, fault = read_map(path, image.height, image.width)
    if fault:
        findings.add(fault[0], record, fault[1], path)
    if labels is None or not complete:
        return
    rles: dict[int, list[dict]] = {}
    for mask in masks:
        if names[mask.category_id] not in MAP_LABELS:
            return
        rles.setdefault(MAP_LABELS[names[mask.category_id]], []).append(mask.rle)
    differences = describe_map_difference(labels, rles, limits)
    if differences:
        findings.add('map-disagrees', record, differences, path)

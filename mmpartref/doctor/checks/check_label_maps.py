"""The json against PartImageNet's PNG label maps."""
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError
from pycocotools import mask as coco_mask

from mmpartref.datasets.coco.check_masks import Fault, Limits, Mask, PhotoRecord
from mmpartref.datasets.coco.findings import Notebook
from mmpartref.datasets.coco.records import PartName
from mmpartref.datasets.partimagenet.partimagenet_names import CATEGORY_NAMES, PART_MAP_BACKGROUND
from mmpartref.doctor.category_names import MAP_LABELS
from mmpartref.files.plain_file import open_plain_file
from mmpartref.masks.rle import union

# pixels: a strip narrower than this is what two ways to draw an outline leave between them.
STRIP = 3


def read_map(path: Path, height: int, width: int) -> tuple[np.ndarray | None, Fault | None]:
    """Read a label map, uint8 (h, w), or say what is wrong with it."""
    try:
        # Pillow leaves the labels of a palette image alone; OpenCV would turn them into colours.
        with open_plain_file(path, 'it') as file, Image.open(file) as image:
            if image.mode not in ('L', 'P'):
                return None, Fault('unreadable-map', f'it is stored as {image.mode}; a label map has one 8-bit channel')
            labels = np.asarray(image)
    except UnidentifiedImageError:
        return None, Fault('unreadable-map', 'it is not an image that Pillow reads')
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return None, Fault('unreadable-map', str(error))
    if labels.shape != (height, width):
        return None, Fault('wrong-map-size', f'it is {labels.shape[0]} x {labels.shape[1]} (height x width); the json '
                           f'says {height} x {width}')
    if labels.max() > PART_MAP_BACKGROUND:
        return None, Fault('bad-map-value', f'it holds {labels.max()}; labels are 0 to {PART_MAP_BACKGROUND}')
    return labels, None


def difference(labels: np.ndarray, rles: Mapping[int, list[dict]], limits: Limits) -> str:
    """Say where a label map (h, w) and the masks of each label differ by more than ``limits``, or ''.

    A pixel that several parts cover may have the label of any. Strips narrower than ``STRIP`` pixels do not count,
    unless they are all there is of a part.
    """
    # Masks come column by column; everything else is laid out so, too, and the order of rows and columns is no matter.
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
    told = [f'{share:.0%} of the annotated pixels'] if share > limits.max_map_difference else []
    told += [f'{CATEGORY_NAMES[label]} only in the json' for label in masks
             if not counts[label] and np.count_nonzero(bits == bit_of[label]) >= limits.min_pixels]
    told += [f'{CATEGORY_NAMES[label]} only in the map' for label, count in enumerate(counts)
             if label not in masks and count >= limits.min_pixels]
    if told:
        told += [f'IoU of {CATEGORY_NAMES[label]} {overlap(mask > 0, labels == label):.2f}'
                 for label, mask in masks.items() if counts[label]]
    return '; '.join(told)


def overlap(one: np.ndarray, two: np.ndarray) -> float:
    """Return the IoU of two masks of which one covers something."""
    return np.count_nonzero(one & two) / np.count_nonzero(one | two)


def check_map(photo: PhotoRecord, masks: list[Mask], complete: bool, meanings: Mapping[int, PartName], path: Path,
              limits: Limits, notebook: Notebook) -> None:
    """Hold a photo's masks against its label map.

    Args:
        complete: whether all annotations could be read. If not, the map is read but not compared: what is missing from
            the json was told already.
    """
    labels, fault = read_map(path, photo.height, photo.width)
    if fault:
        notebook.add(fault.code, photo.record, fault.message, path)
    if labels is None or not complete:
        return
    rles: dict[int, list[dict]] = {}
    for mask in masks:
        meaning = meanings.get(mask.category_id)
        if meaning not in MAP_LABELS:
            return
        rles.setdefault(MAP_LABELS[meaning], []).append(mask.rle)
    told = difference(labels, rles, limits)
    if told:
        notebook.add('map-disagrees', photo.record, told, path)

"""Boundary IoU: the IoU of the outlines of two masks.

B. Cheng, R. Girshick, P. Dollar, A. C. Berg, A. Kirillov, "Boundary IoU: Improving Object-Centric Image Segmentation
Evaluation", CVPR 2021. Of both masks only the band inside the outline counts::

    Boundary IoU(G, P) = |(G_d & G) & (P_d & P)| / |(G_d & G) | (P_d & P)|

where X_d are the pixels within d of the outline of X. As in the authors' code (bowenc0221/boundary-iou-api) the
distance is Chebyshev's, pixels outside the image are background, so that a mask at the image's border has a band there
too, and d is 2 % of the image's diagonal, rounded, at least 1 pixel.

A mask nowhere wider than 2 d pixels is all band: if both masks are, Boundary IoU is IoU. For an image of 375 x 500
pixels d is 12, so that this holds for most small parts. The min(IoU, Boundary IoU) of the same paper, which is for
matching instances, is not computed here.
"""
import math

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from mmpartref.masks.iou import Overlap

# Of the image's diagonal.
BAND_RATIO = 0.02
# Top, bottom, left, right of a mask's bounding box in pixels; bottom and right are exclusive.
Box = tuple[int, int, int, int]


def band_width(height: int, width: int) -> int:
    """Return d in pixels for an image of this size."""
    return max(1, round(BAND_RATIO * math.hypot(height, width)))


def inner_band(mask: np.ndarray, distance: int) -> np.ndarray:
    """Return (h, w) bool: the pixels of a mask (h, w) bool with background within a Chebyshev ``distance``.

    Pixels outside the array are background.
    """
    pixels = mask.astype(np.uint8)
    kernel = np.ones((2 * distance + 1, 2 * distance + 1), np.uint8)
    inside = cv2.erode(pixels, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return pixels > inside


def boundary_overlap(pred: dict, truth: dict) -> Overlap:
    """Return the overlap of the inner bands of two RLEs of one image.

    Only the bounding box of each is decoded, which has the same band: outside of it the mask is background.
    """
    distance = band_width(*pred['size'])
    boxes = [bounding_box(rle) for rle in (pred, truth)]
    bands = [inner_band(coco_mask.decode(rle)[top:bottom, left:right] > 0, distance) if bottom > top else None
             for rle, (top, bottom, left, right) in zip((pred, truth), boxes, strict=True)]
    areas = [0 if band is None else int(np.count_nonzero(band)) for band in bands]
    inter = _shared(bands, boxes)
    return Overlap(inter, sum(areas) - inter)


def bounding_box(rle: dict) -> Box:
    """Return the bounding box of a mask; (0, 0, 0, 0) of an empty one."""
    left, top, width, height = (int(side) for side in coco_mask.toBbox(rle))
    return top, top + height, left, left + width


def _shared(bands: list[np.ndarray | None], boxes: list[Box]) -> int:
    """Return the number of pixels set in both bands, each of which covers its box of the image."""
    first, second = bands
    top, left = (max(box[side] for box in boxes) for side in (0, 2))
    bottom, right = (min(box[side] for box in boxes) for side in (1, 3))
    if first is None or second is None or top >= bottom or left >= right:
        return 0
    windows = [band[top - box[0]:bottom - box[0], left - box[2]:right - box[2]]
               for band, box in zip((first, second), boxes, strict=True)]
    return int(np.count_nonzero(windows[0] & windows[1]))

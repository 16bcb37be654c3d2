"""Boundary IoU: how well the outlines agree.

B. Cheng, R. Girshick, P. Dollar, A. C. Berg, A. Kirillov, "Boundary IoU: Improving Object-Centric Image Segmentation
Evaluation", CVPR 2021. Of both masks only the band inside the outline counts::

    Boundary IoU(G, P) = |(G_d & G) & (P_d & P)| / |(G_d & G) | (P_d & P)|

where X_d are the pixels within d of the outline of X. As in the authors' code (bowenc0221/boundary-iou-api) distance is
the chessboard's, what lies outside the photo is background, so that a mask cut off by the photo's border has a band
there too, and d is 2 % of the photo's diagonal, rounded, at least 1 pixel.

A mask nowhere thicker than 2 d pixels is all band: where both masks are, Boundary IoU is IoU. For a photo of 375 x 500
pixels d is 12, so that this concerns most small parts. The min(IoU, Boundary IoU) of the same paper, meant for matching
instances, is another figure and not computed here.
"""
import math

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from mmpartref.masks.iou import Overlap

# Of the photo's diagonal.
BAND_RATIO = 0.02
# Top, bottom, left, right: pixels rows and columns of a mask that can be set at all, ends exclusive.
Box = tuple[int, int, int, int]


def band_width(height: int, width: int) -> int:
    """Return d in pixels for a photo of this size."""
    return max(1, round(BAND_RATIO * math.hypot(height, width)))


def inner_band(mask: np.ndarray, distance: int) -> np.ndarray:
    """Return (h, w) bool: the pixels of a mask (h, w) bool that have background within ``distance`` pixels.

    Distance is the chessboard's; everything outside the array is background.
    """
    pixels = mask.astype(np.uint8)
    kernel = np.ones((2 * distance + 1, 2 * distance + 1), np.uint8)
    inside = cv2.erode(pixels, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return (pixels > inside)


def boundary_overlap(pred: dict, truth: dict) -> Overlap:
    """Count the pixels that the inner bands of two RLEs of one photo share and those that belong to either.

    Both are decoded only where they have pixels: beyond its bounding box a mask is background, as beyond the photo.
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
    """Count the pixels that are set in both bands, each of which covers its box of the photo."""
    first, second = bands
    top, left = (max(box[side] for box in boxes) for side in (0, 2))
    bottom, right = (min(box[side] for box in boxes) for side in (1, 3))
    if first is None or second is None or top >= bottom or left >= right:
        return 0
    windows = [band[top - box[0]:bottom - box[0], left - box[2]:right - box[2]]
               for band, box in zip((first, second), boxes, strict=True)]
    return int(np.count_nonzero(windows[0] & windows[1]))

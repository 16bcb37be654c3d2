"""From an instance map to COCO annotations that decode to exactly its pixels."""
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as mask_api

from mmpartref.masks.rle import union

MIN_AREA = 12  # px; a part of which less is visible is left out of json and label map alike


def drop_small_instances(instance_map: NDArray[np.uint8], count: int) -> list[int]:
    """Erase instances under ``MIN_AREA`` px from the map in place; return the numbers (from 1) that remain."""
    areas = np.bincount(instance_map.ravel(), minlength=count + 1)
    kept = [number for number in range(1, count + 1) if areas[number] >= MIN_AREA]
    lookup = np.zeros(256, np.uint8)
    lookup[kept] = kept
    instance_map[:] = lookup[instance_map]
    return kept


def to_segmentation(mask: NDArray[np.uint8]) -> list[list[float]] | dict[str, Any]:
    """Encode a mask (h, w) as polygons if they decode to it exactly, otherwise (a hole) as a compressed RLE."""
    height, width = mask.shape
    code = mask_api.encode(np.asfortranarray(mask))
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    left, top = int(xs[0]), int(ys[0])
    crop = mask[top:ys[-1] + 1, left:xs[-1] + 1]
    # Contours of the mask enlarged twice run a quarter of a pixel inside the pixel edges, so no pixel centre lies on
    # one, and the few samples that the simplification drops rarely matter. Contours of the mask itself would run
    # through the pixel centres and lose a border of pixels.
    enlarged = np.pad(crop.repeat(2, 0).repeat(2, 1), 1)
    contours, hierarchy = cv2.findContours(enlarged, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if (hierarchy[0, :, 3] < 0).all():
        for tolerance in (0.9, 0.6, 0.0):
            outlines = [cv2.approxPolyDP(contour, tolerance, True)[:, 0] for contour in contours]
            if min(len(outline) for outline in outlines) < 3:
                continue
            polygons = [(((outline - 0.5) / 2) + (left, top)).ravel().tolist() for outline in outlines]
            decoded = union(mask_api.frPyObjects(polygons, height, width), mask.shape)
            if decoded['counts'] == code['counts']:
                return polygons
    return {'size': [height, width], 'counts': code['counts'].decode('ascii')}


def annotate(instance_map: NDArray[np.uint8], category_ids: Sequence[int]) -> list[dict[str, Any]]:
    """One annotation (without ids) per instance in the map; instance ``i`` has ``category_ids[i - 1]``."""
    annotations = []
    for number in np.unique(instance_map[instance_map > 0]).tolist():
        mask = (instance_map == number).astype(np.uint8)
        x, y, width, height = cv2.boundingRect(mask)
        annotations.append({'category_id': category_ids[number - 1], 'segmentation': to_segmentation(mask),
                            'area': int(mask.sum()), 'bbox': [x, y, width, height], 'iscrowd': 0})
    return annotations

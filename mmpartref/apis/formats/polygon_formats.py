"""Masks of an image as polygons: COCO's rings, YOLO's lines and LabelMe's json."""
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmpartref.apis.formats.labelled_masks import LabelledMask
from mmpartref.masks.outlines import Ring, outline

# Version of LabelMe's files; also in its ``labelme.__version__``.
LABELME_VERSION = '5.5.0'
# Digits of coordinates relative to the image.
DIGITS = 6


def coco_polygons(mask: np.ndarray, tolerance: float) -> list[list[float]]:
    """Return ``[[x, y, x, y, ...], ...]``, a ring per piece of a mask (h, w) bool."""
    return [ring.reshape(-1).astype(float).tolist() for ring in outline(mask, tolerance)]


def yolo_lines(masks: Sequence[LabelledMask], size: tuple[int, int], names: Sequence[str],
               tolerance: float) -> list[str]:
    """Return a line ``<class> <x> <y> <x> <y> ...`` per piece of each mask, as a line has one ring.

    Source: Ultralytics' segmentation datasets. Coordinates are 0 to 1, relative to the image's size (h, w).
    """
    scale = np.array(size[::-1], dtype=float)
    lines = []
    for each in masks:
        for ring in outline(each.mask, tolerance, drawn_by='opencv'):
            # Of a pixel's centre, so that rounding down gives the pixel.
            numbers = (f'{value:.{DIGITS}f}' for value in ((at_least_triangle(ring) + 0.5) / scale).reshape(-1))
            lines.append(' '.join([str(names.index(each.label)), *numbers]))
    return lines


def at_least_triangle(ring: Ring) -> Ring:
    """Return a ring of at least three points: a line's or a single pixel's last point is repeated."""
    return np.concatenate([ring, np.repeat(ring[-1:], max(0, 3 - len(ring)), axis=0)])


def labelme_document(masks: Sequence[LabelledMask], size: tuple[int, int], image_path: str,
                     tolerance: float) -> dict[str, Any]:
    """Return the content of LabelMe's json: a polygon per piece, pieces of a mask with the same ``group_id``."""
    shapes = []
    for each in masks:
        rings = outline(each.mask, tolerance, drawn_by='pillow')
        shapes += [{'label': each.label, 'points': at_least_triangle(ring).astype(float).tolist(),
                    'group_id': each.group if len(rings) > 1 else None, 'shape_type': 'polygon', 'flags': {},
                    'description': '' if each.score is None else f'score {each.score:.3f}'} for ring in rings]
    return {'version': LABELME_VERSION, 'flags': {}, 'shapes': shapes, 'imagePath': image_path, 'imageData': None,
            'imageHeight': size[0], 'imageWidth': size[1]}

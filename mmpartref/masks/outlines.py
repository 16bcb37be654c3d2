"""Outlines of masks as polygons, and their connected pieces.

Programs disagree on where a polygon's point is. COCO's and Label Studio's are on the edges of the pixels: a mask of the
first pixel reaches from 0 to 1, as pycocotools draws it. YOLO's and LabelMe's are the pixels of the border themselves,
which OpenCV and Pillow draw as well: that mask is the point 0, 0.
"""
from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask

DrawnBy = Literal['pycocotools', 'opencv', 'pillow']
# Points (n, 2) of a closed ring, x and y in pixels.
Ring = np.ndarray
# Of a ring with its mask.
MIN_IOU = 0.98
# Pixels; less than this is nothing between points on whole pixels.
MIN_TOLERANCE = 0.25


def split_components(mask: np.ndarray, min_area: int = 1) -> list[np.ndarray]:
    """Return the connected pieces of a mask (h, w) bool, pixels that touch at a corner included, largest first.

    Args:
        mask: to split.
        min_area: smaller pieces, in pixels, are dropped.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = {label: int(stats[label, cv2.CC_STAT_AREA]) for label in range(1, count)}
    return [labels == label for label in sorted(areas, key=lambda label: -areas[label]) if areas[label] >= min_area]


def nearest_component(mask: np.ndarray, point: tuple[float, float], min_area: int = 1) -> np.ndarray:
    """Return the connected piece (h, w) bool of a mask with the pixel nearest to a point (x, y) in pixels.

    Pieces below ``min_area`` are ignored; the result is empty where there are no others.
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= min_area
    large[0] = False  # outside of the mask
    rows, columns = np.nonzero(large[labels])
    if not len(rows):
        return np.zeros_like(mask)
    nearest = np.argmin((columns + 0.5 - point[0])**2 + (rows + 0.5 - point[1])**2)
    return labels == labels[rows[nearest], columns[nearest]]


def outline(mask: np.ndarray, tolerance: float = 1.0, *, drawn_by: DrawnBy = 'pycocotools') -> list[Ring]:
    """Return one ring per connected piece of a mask (h, w) bool, largest first; holes are joined to it by a slit.

    A slit is a pair of edges there and back, which encloses nothing: programs that know no holes fill the ring right.

    Args:
        mask: to outline.
        tolerance: greatest distance of the simplified ring from the exact one, in pixels; halved for a piece as long
            as its ring, drawn again, has an IoU below ``MIN_IOU`` with it. 0 for the exact one.
        drawn_by: what draws the ring again: along the edges of the pixels (``'pycocotools'``), or along the pixels of
            the border (``'opencv'``, ``'pillow'``).
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    rings = []
    for label in sorted(range(1, count), key=lambda label: -stats[label, cv2.CC_STAT_AREA]):
        left, top, width, height = stats[label, :cv2.CC_STAT_AREA].tolist()
        piece = labels[top:top + height, left:left + width] == label
        rings.append(_outline_piece(piece, tolerance, drawn_by) + np.array([left, top]))
    return rings


def _outline_piece(piece: np.ndarray, tolerance: float, drawn_by: DrawnBy) -> Ring:
    """Return the ring of a connected mask."""
    contours = _edge_contours(piece) if drawn_by == 'pycocotools' else _border_contours(piece)
    draw = {'pycocotools': draw_edges, 'opencv': draw_by_opencv, 'pillow': draw_by_pillow}[drawn_by]
    while tolerance >= MIN_TOLERANCE:
        ring = _simplified(contours, tolerance)
        drawn = draw(ring, piece.shape)
        if (drawn & piece).sum() >= MIN_IOU * (drawn | piece).sum():
            return ring
        tolerance /= 2
    return _simplified(contours, 0)


def _border_contours(piece: np.ndarray) -> list[Ring]:
    """Return the contours of a connected mask, along its pixels; the first one is the outer one."""
    contours, hierarchy = cv2.findContours(piece.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    order = sorted(range(len(contours)), key=lambda number: hierarchy[0][number][3] >= 0)
    return [contours[number] for number in order]


def _edge_contours(piece: np.ndarray) -> list[Ring]:
    """Return the contours of a connected mask, along the edges of its pixels; the first one is the outer one."""
    # On a grid of twice the size each contour point is in the half of its pixel that touches the edge.
    doubled = cv2.copyMakeBorder(piece.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT).repeat(2, 0).repeat(2, 1)
    return [(contour + 1) // 2 - 1 for contour in _border_contours(doubled)]


def _simplified(contours: Sequence[Ring], tolerance: float) -> Ring:
    """Return one ring of contours with fewer points (Douglas and Peucker, by OpenCV)."""
    return join_rings([cv2.approxPolyDP(contour, tolerance, closed=True)[:, 0] for contour in contours])


def join_rings(rings: Sequence[Ring]) -> Ring:
    """Return one ring of several: each next ring is joined by a slit to the nearest point of those before it."""
    joined = rings[0]
    for ring in rings[1:]:
        distances = ((joined[:, None] - ring[None])**2).sum(axis=2)
        at, begin = np.unravel_index(distances.argmin(), distances.shape)
        around = np.concatenate([ring[begin:], ring[:begin + 1]])
        joined = np.concatenate([joined[:at + 1], around, joined[at:]])
    return joined


def draw_edges(ring: Ring, size: tuple[int, ...]) -> np.ndarray:
    """Return the mask (h, w) bool that a ring along edges encloses, as pycocotools draws it."""
    if len(ring) < 3:
        return np.zeros(size, dtype=bool)
    return coco_mask.decode(coco_mask.frPyObjects([ring.reshape(-1).astype(float).tolist()], *size)[0]).astype(bool)


def draw_by_opencv(ring: Ring, size: tuple[int, ...]) -> np.ndarray:
    """Return the mask (h, w) bool of a ring of border pixels, as OpenCV draws it."""
    return cv2.fillPoly(np.zeros(size, np.uint8), [ring.astype(np.int32)], 1).astype(bool)


def draw_by_pillow(ring: Ring, size: tuple[int, ...]) -> np.ndarray:
    """Return the mask (h, w) bool of a ring of border pixels, as Pillow draws it."""
    canvas = Image.new('L', (size[1], size[0]))
    points = [(float(x), float(y)) for x, y in ring]
    # Pillow draws no polygon of a single point.
    ImageDraw.Draw(canvas).polygon(points if len(points) > 1 else points * 2, outline=1, fill=1)
    return np.asarray(canvas, dtype=bool)

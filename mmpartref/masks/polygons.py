"""COCO polygons: validation, rasterising and clipping."""
import math
from collections.abc import Callable, Sequence

from pycocotools import mask as coco_mask

from mmpartref.errors import InputError

Point = tuple[float, float]
# x, y of three points, the smallest polygon ring.
RING_NUMBERS = 6
# A coordinate this many image sides away is an error, not a part at the border; pycocotools would trace the ring there
# pixel by pixel.
MAX_SIDES = 10
NUMBERS = {int, float}


def check_ring(ring: Sequence[float], height: int, width: int, short: bool = False) -> None:
    """Check that a ring (x, y, x, y, ... in pixels) consists of points near the image.

    Args:
        ring: to check.
        height, width: of the image.
        short: it will be dropped, so that numbers are all it has to consist of.

    Raises:
        ValueError: an odd count, or a coordinate that is not a number or far outside.
    """
    if not set(map(type, ring)) <= NUMBERS:
        raise InputError('a polygon ring contains something that is not a number; a ring is x, y, x, y, ...')
    if short:
        return
    if len(ring) % 2:
        raise InputError(f'a polygon ring has {len(ring)} numbers; a ring is pairs of x and y')
    try:
        finite = math.isfinite(sum(ring))
    except OverflowError:  # an integer beyond the range of a float
        finite = False
    if not finite or max(max(ring), -min(ring)) > MAX_SIDES * max(height, width):
        raise InputError(f'a polygon ring has a coordinate far outside the image of {height} x {width} pixels; '
                         'coordinates are x, y in pixels')


def rasterise_polygon(rings: Sequence[Sequence[float]], height: int, width: int) -> tuple[list[dict], int]:
    """Rasterise the rings of a polygon; parts outside the image are cut off.

    Returns:
        One compressed RLE per ring, ``counts`` as bytes, and the number of dropped rings of fewer than three points,
        which pycocotools would read as boxes.

    Raises:
        ValueError: see ``check_ring``.
    """
    if any(isinstance(ring, dict) for ring in rings):
        raise InputError('its segmentation is a list of RLEs; write one RLE, their union, or an annotation for each')
    if not all(isinstance(ring, (list, tuple)) for ring in rings):
        raise InputError('its polygon is not a list of rings; write [[x, y, x, y, ...], ...]')
    valid = [ring for ring in rings if len(ring) >= RING_NUMBERS]
    # Rings of two numbers are the points of one ring; a single one may be what is left of a ring.
    points = len(rings) > 1 and all(len(ring) == 2 for ring in rings)
    if points or any(isinstance(ring[0], (list, tuple)) for ring in rings if ring):
        raise InputError('its polygon is a list of points; write each ring as one flat list, [[x, y, x, y, ...], ...]')
    for ring in rings:
        check_ring(ring, height, width, short=len(ring) < RING_NUMBERS)
    return coco_mask.frPyObjects(valid, height, width) if valid else [], len(rings) - len(valid)


def clip_ring(ring: Sequence[float], height: int, width: int) -> list[float]:
    """Return the part of a ring (x, y, x, y, ... in pixels) inside [0, width] x [0, height]; empty if there is none.

    I. Sutherland and G. Hodgman, "Reentrant polygon clipping" (1974): clip at one border after the other. A ring that
    falls apart stays connected along the border by edges that enclose no area.
    """
    points: list[Point] = list(zip(ring[0::2], ring[1::2], strict=True))
    for axis, border, inward in ((0, 0, 1), (0, width, -1), (1, 0, 1), (1, height, -1)):
        points = _clip_at(points, axis, border, _inside(axis, border, inward))
    return [number for point in points for number in point]


def _inside(axis: int, border: float, inward: int) -> Callable[[Point], bool]:
    return lambda point: inward * (point[axis] - border) >= 0


def _clip_at(points: list[Point], axis: int, border: float, inside: Callable[[Point], bool]) -> list[Point]:
    clipped: list[Point] = []
    for before, point in zip([*points[-1:], *points[:-1]], points, strict=True):
        if inside(before) != inside(point):
            share = (border - before[axis]) / (point[axis] - before[axis])
            other = before[1 - axis] + share * (point[1 - axis] - before[1 - axis])
            clipped.append((border, other) if axis == 0 else (other, border))
        if inside(point):
            clipped.append(point)
    return clipped

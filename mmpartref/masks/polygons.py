"""Cutting a polygon off at the border of a photo."""
from collections.abc import Callable, Sequence

Point = tuple[float, float]


def clip_ring(ring: Sequence[float], height: int, width: int) -> list[float]:
    """Return the part of a ring (x, y, x, y, ... in pixels) that lies in [0, width] x [0, height].

    I. Sutherland and G. Hodgman, "Reentrant polygon clipping" (1974): one border after the other. Where the ring falls
    apart, its pieces stay joined along the border, which encloses nothing. Empty where nothing lies inside.
    """
    points: list[Point] = list(zip(ring[0::2], ring[1::2], strict=True))
    for axis, border, inward in ((0, 0, 1), (0, width, -1), (1, 0, 1), (1, height, -1)):
        points = _clip_at(points, axis, border, _inside(axis, border, inward))
    return [number for point in points for number in point]


def _inside(axis: int, border: float, inward: int) -> Callable[[Point], bool]:
    return lambda point: inward * (point[axis] - border) >= 0


def _clip_at(points: list[Point], axis: int, border: float, inside: Callable[[Point], bool]) -> list[Point]:
    kept: list[Point] = []
    for before, point in zip([*points[-1:], *points[:-1]], points, strict=True):
        if inside(before) != inside(point):
            share = (border - before[axis]) / (point[axis] - before[axis])
            other = before[1 - axis] + share * (point[1 - axis] - before[1 - axis])
            kept.append((border, other) if axis == 0 else (other, border))
        if inside(point):
            kept.append(point)
    return kept

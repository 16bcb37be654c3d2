"""Outlines of the ToyParts objects' parts.

An outline is a closed polygon (P, 2) of x, y in object coordinates: x to the right, y down; the object faces right and
is about one unit large. ``toy_painter`` maps them to pixels.
"""
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
XY = tuple[float, float]

FAR = 0.72  # shade of limbs on the far side


@dataclass(frozen=True)
class Shape:
    """One painted outline of an object.

    ``part`` is a name of ``PARTS``; all shapes with the same ``part`` and ``instance`` are one annotation. A ``detail``
    (an eye, a window, a spoke) is painted only on visible pixels of its instance and does not change the labels.
    ``colour`` is a role of the palette, ``pattern`` one of ``toy_patterns``. ``stroke`` > 0 draws the outline as a
    closed line of that width instead of filling it. ``shade`` multiplies the brightness.
    """
    part: str
    outline: Points
    colour: str = 'main'
    instance: int = 0
    detail: bool = False
    pattern: str = 'plain'
    shade: float = 1.0
    alpha: float = 1.0
    stroke: float = 0.0


@dataclass(frozen=True)
class Drawing:
    """Shapes of an object from back to front, and whether it stands on the ground and has a shadow."""
    shapes: list[Shape]
    grounded: bool = True


def curve(points: Sequence[XY], steps: int = 8, closed: bool = False) -> Points:
    """Sample a Catmull-Rom spline through ``points``, ``steps`` samples per span."""
    knots = np.asarray(points, dtype=np.float64)
    padded = np.vstack([knots[-1:], knots, knots[:2]]) if closed else np.vstack([knots[:1], knots, knots[-1:]])
    p0, p1, p2, p3 = (padded[i:len(padded) - 3 + i, None] for i in range(4))
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    spans = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t ** 2
                   + (3 * p1 - p0 - 3 * p2 + p3) * t ** 3)
    samples = spans.reshape(-1, 2)
    return samples if closed else np.vstack([samples, knots[-1:]])


def blob(*points: XY) -> Points:
    """Return a smooth closed outline through ``points``."""
    return curve(points, closed=True)


def corners(*points: XY) -> Points:
    """Return a polygon with sharp corners."""
    return np.asarray(points, dtype=np.float64)


def rounded(radius: float, *points: XY) -> Points:
    """Return a polygon with corners rounded by quadratic Bezier arcs that begin at most ``radius`` before a corner."""
    knots = np.asarray(points, dtype=np.float64)
    t = np.linspace(0, 1, 6)[:, None]
    arcs = []
    for before, corner, after in zip(np.roll(knots, 1, 0), knots, np.roll(knots, -1, 0), strict=True):
        ends = []
        for other in (before, after):
            length = float(np.hypot(*(other - corner)))
            ends.append(corner + (other - corner) * min(radius / max(length, 1e-9), 0.5))
        arcs.append((1 - t) ** 2 * ends[0] + 2 * t * (1 - t) * corner + t ** 2 * ends[1])
    return np.vstack(arcs)


def ellipse(x: float, y: float, rx: float, ry: float, degrees: float = 0.0) -> Points:
    """Return an ellipse around (x, y), rotated clockwise by ``degrees``."""
    angle = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    turn = np.deg2rad(degrees)
    a, b = rx * np.cos(angle), ry * np.sin(angle)
    return np.stack([x + a * np.cos(turn) - b * np.sin(turn), y + a * np.sin(turn) + b * np.cos(turn)], axis=1)


def limb(points: Sequence[XY], widths: Sequence[float]) -> Points:
    """Return a band along the spline through ``points`` with round ends and ``widths`` at equal distances."""
    line = curve(points)
    tangent = np.gradient(line, axis=0)
    tangent /= np.maximum(np.hypot(tangent[:, 0], tangent[:, 1]), 1e-9)[:, None]
    normal = np.stack([tangent[:, 1], -tangent[:, 0]], axis=1)
    half = np.interp(np.linspace(0, 1, len(line)), np.linspace(0, 1, len(widths)), widths)[:, None] / 2
    angle = np.linspace(0, np.pi, 9)[1:-1, None]
    tip = line[-1] + half[-1] * (np.cos(angle) * normal[-1] + np.sin(angle) * tangent[-1])
    root = line[0] + half[0] * (-np.cos(angle) * normal[0] - np.sin(angle) * tangent[0])
    return np.vstack([line + half * normal, tip, (line - half * normal)[::-1], root])


def uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw one number from [low, high)."""
    return float(rng.uniform(low, high))


def pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    """Draw one of ``options``."""
    return options[int(rng.integers(len(options)))]


def eye(part: str, x: float, y: float, radius: float) -> list[Shape]:
    """Return a white eye with a dark pupil and a highlight."""
    return [Shape(part, ellipse(x, y, radius, radius), 'white', detail=True),
            Shape(part, ellipse(x + 0.2 * radius, y, 0.62 * radius, 0.68 * radius), 'black', detail=True),
            Shape(part, ellipse(x + 0.4 * radius, y - 0.3 * radius, 0.2 * radius, 0.2 * radius), 'white', detail=True)]

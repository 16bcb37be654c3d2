"""Painter of ToyParts objects: colours on a canvas, instance numbers on a map of the same size."""
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from mmpartref.datasets.toyparts.toy_colours import Palette, blend
from mmpartref.datasets.toyparts.toy_geometry import Drawing, Points, Shape
from mmpartref.datasets.toyparts.toy_patterns import Field, pattern

_SUBPIXEL = 4  # fractional bits of the coordinates that OpenCV's drawing functions take


@dataclass(frozen=True)
class Pose:
    """Affine map (2, 3) from object coordinates to canvas pixels, and its scale in pixels per unit."""
    matrix: NDArray[np.float64]
    scale: float

    def apply(self, points: Points) -> Points:
        """Map (P, 2) object coordinates to canvas pixels."""
        return points @ self.matrix[:, :2].T + self.matrix[:, 2]


@dataclass
class Painting:
    """A canvas (H, W, 3) float32 BGR, its instance map (H, W) uint8 (0: none), and the instances.

    ``instances[i - 1]`` is the (object number, part name) of instance ``i``.
    """
    canvas: Field
    instance_map: NDArray[np.uint8]
    instances: list[tuple[int, str]] = field(default_factory=list)


def _fixed_point(points: Points) -> NDArray[np.int32]:
    return np.round(points * (1 << _SUBPIXEL)).astype(np.int32)


def paint_object(painting: Painting, drawing: Drawing, pose: Pose, palette: Palette, number: int,
                 rng: np.random.Generator) -> None:
    """Paint all shapes of an object, back to front, over the painting."""
    known: dict[tuple[str, int], int] = {}
    for shape in drawing.shapes:
        key = (shape.part, shape.instance)
        if key not in known:
            painting.instances.append((number, shape.part))
            known[key] = len(painting.instances)
        _paint_shape(painting, shape, pose, palette, known[key], rng)


def _paint_shape(painting: Painting, shape: Shape, pose: Pose, palette: Palette, label: int,
                 rng: np.random.Generator) -> None:
    points = pose.apply(shape.outline)
    thickness = max(1, round(shape.stroke * pose.scale))
    margin = 3 + (thickness if shape.stroke else 0)
    rows, columns = painting.instance_map.shape
    left, top = np.maximum(np.floor(points.min(0)).astype(int) - margin, 0)
    right, bottom = np.minimum(np.ceil(points.max(0)).astype(int) + margin, (columns, rows))
    if right <= left or bottom <= top:
        return
    window = (slice(top, bottom), slice(left, right))
    outline = [_fixed_point(points - (left, top))]
    cover = np.zeros((bottom - top, right - left), np.uint8)
    if shape.stroke:
        cv2.polylines(cover, outline, True, 255, thickness, cv2.LINE_AA, _SUBPIXEL)
    else:
        cv2.fillPoly(cover, outline, 255, cv2.LINE_AA, _SUBPIXEL)
    labels, canvas = painting.instance_map[window], painting.canvas[window]
    if shape.detail:
        cover[labels != label] = 0
    else:
        cv2.fillPoly(labels, outline, label, cv2.LINE_8, _SUBPIXEL)
    colour = _coloured(cover, shape, pose, palette, (int(left), int(top)), rng)
    blend(canvas, colour, cover.astype(np.float32) * np.float32(shape.alpha / 255))
    if not shape.detail:
        rim = np.zeros_like(cover)
        cv2.polylines(rim, outline, True, 255, 2, cv2.LINE_AA, _SUBPIXEL)
        rim_colour = palette[shape.colour] * np.float32(0.38 * shape.shade)
        blend(canvas, rim_colour, rim.astype(np.float32) * np.float32(0.9 / 255))


def _coloured(cover: NDArray[np.uint8], shape: Shape, pose: Pose, palette: Palette, corner: tuple[int, int],
              rng: np.random.Generator) -> Field:
    """Return the colour, with pattern and shading, of a shape in its window: (h, w, 3)."""
    height, width = cover.shape
    base = palette[shape.colour]
    if shape.detail and shape.pattern == 'plain':
        return np.broadcast_to(base * shape.shade, (height, width, 3))
    inverse = cv2.invertAffineTransform(pose.matrix)
    x = np.arange(width, dtype=np.float32) + corner[0]
    y = (np.arange(height, dtype=np.float32) + corner[1])[:, None]
    u, v = (np.float32(a) * x + np.float32(b) * y + np.float32(c) for a, b, c in inverse)
    light, mix = pattern(shape.pattern, u, v, rng)
    # Light from above, and a darker rim as of a round body: the blurred cover decreases towards the outline.
    reach = max(3, min(height, width) // 3) | 1
    roundness = cv2.blur(cover, (reach, reach)).astype(np.float32) * (0.3 / 255)
    fall = np.linspace(0.94, 0.72, height, dtype=np.float32)[:, None]
    brightness = (light * (fall + roundness) * shape.shade)[..., None]
    if isinstance(mix, float):
        return brightness * base
    return brightness * (base + (palette['second'] - base) * mix[..., None])

"""ToyParts backgrounds: (h, w, 3) float32 BGR canvases, 0-255, drawn from the scene's generator."""
from collections.abc import Callable

import cv2
import numpy as np

from mmpartref.datasets.toyparts.toy_colours import Colour, blend, draw_hex, from_hex, vary
from mmpartref.datasets.toyparts.toy_patterns import Field, noise

Canvas = Field

# Usual backgrounds of a super-category; a scene has one of those of its two objects.
HABITATS = {
    'Quadruped': ('meadow', 'desert', 'room', 'forest'), 'Biped': ('forest', 'meadow', 'room'),
    'Fish': ('underwater', 'underwater', 'studio'), 'Bird': ('sky', 'meadow', 'sea', 'forest'),
    'Snake': ('desert', 'forest', 'studio'), 'Reptile': ('desert', 'forest', 'meadow'),
    'Car': ('street', 'meadow', 'studio'), 'Bicycle': ('street', 'meadow', 'room'),
    'Boat': ('sea', 'sea', 'underwater'), 'Aeroplane': ('sky', 'sky', 'sea'), 'Bottle': ('room', 'studio')}
_SKIES = (('4f9bd9', 'd3ecf7'), ('3f6fb5', 'f6d9b8'), ('7fb2d6', 'f1f1ea'), ('6a7fc1', 'f7c9c0'))  # top, horizon
FLOORLESS = ('sky', 'underwater')


def _ramp(height: int, width: int, top: Colour, bottom: Colour) -> Canvas:
    """Return a vertical gradient."""
    t = np.linspace(0, 1, max(height, 1), dtype=np.float32)[:, None, None]
    return np.repeat((1 - t) * top + t * bottom, width, axis=1).astype(np.float32)


def sky(height: int, width: int, rng: np.random.Generator) -> Canvas:
    """Clouds."""
    top, bottom = _SKIES[rng.integers(len(_SKIES))]
    canvas = _ramp(height, width, vary(from_hex(top), float(rng.uniform(-0.02, 0.02))), from_hex(bottom))
    clouds = noise('clouds', height, width, rng)
    blend(canvas, from_hex('ffffff'), np.clip((clouds - float(rng.uniform(0.2, 0.9))) * 0.42, 0, 0.75))
    return canvas


def _ground(canvas: Canvas, start: int, near: Colour, far: Colour, texture: Field) -> None:
    """Paint a textured ground below row ``start``, with more contrast towards the viewer."""
    height, width = canvas.shape[0] - start, canvas.shape[1]
    depth = np.linspace(0.4, 1, height, dtype=np.float32)[:, None]
    canvas[start:] = _ramp(height, width, far, near) * (1 + texture[-height:] * depth)[..., None]


def _hills(canvas: Canvas, base: int, colour: Colour, rng: np.random.Generator) -> None:
    """Paint a silhouette of hills above row ``base``."""
    height, width = canvas.shape[:2]
    x = np.linspace(0, 2 * np.pi, width, dtype=np.float32)
    phase = rng.uniform(0, 6.3, 2)
    top = base - height * (0.07 + 0.04 * np.sin(x * 1.3 + phase[0]) + 0.02 * np.sin(x * 3.1 + phase[1]))
    peak = max(0, int(top.min()))
    rows = np.arange(peak, base, dtype=np.float32)[:, None]
    blend(canvas[peak:base], colour, np.clip(rows - top[None], 0, 1))


def meadow(height: int, width: int, rng: np.random.Generator) -> Canvas:
    """Grass below hills and sky."""
    canvas, start = sky(height, width, rng), int(height * rng.uniform(0.38, 0.55))
    green = vary(from_hex('6fa03c'), float(rng.uniform(-0.05, 0.05)), float(rng.uniform(0.7, 1.1)))
    _hills(canvas, start, vary(green, 0.06, 0.6, 0.9), rng)
    _ground(canvas, start, green, vary(green, -0.02, 0.7, 1.25), 0.13 * noise('strands', height, width, rng))
    return canvas


def desert(height: int, width: int, rng: np.random.Generator) -> Canvas:
    """Sand with ripples below dunes."""
    canvas, start = sky(height, width, rng), int(height * rng.uniform(0.35, 0.5))
    sand = vary(draw_hex(rng, 'dcb277 e6c594 cf9a63'), float(rng.uniform(-0.02, 0.02)))
    _hills(canvas, start, vary(sand, -0.02, 1.2, 0.85), rng)
    _ground(canvas, start, sand, vary(sand, 0.01, 0.6, 1.1), 0.07 * noise('waves', height, width, rng))
    return canvas


def sea(height: int, width: int, rng: np.random.Generator) -> Canvas:
    """Waves below the sky."""
    canvas, start = sky(height, width, rng), int(height * rng.uniform(0.38, 0.55))
    blue = vary(draw_hex(rng, '2b7a9b 3a8fb7 2f9c95 416a9e'), float(rng.uniform(-0.02, 0.02)))
    _ground(canvas, start, blue, vary(blue, 0.0, 0.55, 1.35), 0.12 * noise('waves', height, width, rng))
    return canvas


def underwater(height: int, width: int, rng: np.random.Generator) -> Canvas:
    """Deep water with rays of light, bubbles and a sandy bottom."""
    canvas = _ramp(height, width, draw_hex(rng, '6fd0dd 5ab4e0 7ddcc0'), draw_hex(rng, '0d4f78 134074 0b6b6f'))
    x, y = np.meshgrid(np.arange(width, dtype=np.float32) / width, np.arange(height, dtype=np.float32) / height)
    rays = np.sin((x + 0.5 * y) * float(rng.uniform(14, 24)) + float(rng.uniform(0, 6)))
    blend(canvas, from_hex('ffffff'), np.clip(rays, 0, 1) * 0.22 * (1 - y))
    canvas *= (1 + 0.04 * noise('clouds', height, width, rng))[..., None]
    floor = np.clip((y - 0.88 - 0.03 * np.sin(x * 9 + float(rng.uniform(0, 6)))) * 40, 0, 1)
    blend(canvas, from_hex('c9b37e'), floor * (0.8 + 0.1 * noise('grain', height, width, rng)))
    for _ in range(int(rng.integers(6, 14))):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(canvas, centre, int(rng.integers(3, 9)), (250.0, 245.0, 225.0), 1, cv2.LINE_AA)
    return canvas


def forest(height: int, width: int, rng: np.random.Generator) -> Canvas:
    """Trunks in front of dark leaves, above moss."""
    leaf = vary(draw_hex(rng, '5d8a57 7f9c5a 4c7d6a'), float(rng.uniform(-0.03, 0.03)), 0.9)
    canvas = _ramp(height, width, vary(leaf, 0.0, 0.7, 1.35), leaf)
    canvas *= (1 + 0.1 * noise('clouds', height, width, rng))[..., None]
    start = int(height * rng.uniform(0.5, 0.65))
    x = np.arange(width, dtype=np.float32)
    for _ in range(int(rng.integers(4, 8))):
        centre, half = float(rng.uniform(0, width)), width * float(rng.uniform(0.012, 0.04))
        near = slice(max(0, int(centre - half) - 1), int(centre + half) + 2)
        trunk = np.clip(half - np.abs(x[near] - centre), 0, 1)[None]
        blend(canvas[:start, near], vary(from_hex('6b4f3a'), 0.0, 0.8, float(rng.uniform(0.8, 1.3))), trunk * 0.65)
    moss = vary(leaf, -0.04, 1.1, 0.85)
    _ground(canvas, start, moss, vary(moss, 0.0, 0.8, 1.25), 0.14 * noise('strands', height, width, rng))
    return canvas


def room(height: int, width: int, rng: np.random.Generator) -> Canvas:
    """A papered wall, a skirting board and a floor of planks."""
    wall = draw_hex(rng, 'e9d8c3 cfe0d8 d8d3e8 f0d4c4 c6d7e6 e8e3b8')
    canvas = _ramp(height, width, wall, vary(wall, 0.0, 1.2, 0.88))
    stripe = (np.sin(np.arange(width, dtype=np.float32) * 2 * np.pi / (width / float(rng.integers(8, 20)))) > 0)
    canvas *= (1 - 0.05 * stripe)[None, :, None]
    start = int(height * rng.uniform(0.6, 0.74))
    wood = vary(draw_hex(rng, '9c6b45 b98a5e 7b5a45 8d8579'), 0.0, 0.9)
    y = np.arange(height, dtype=np.float32)[:, None]
    boards = -0.25 * (np.mod(np.maximum(y - start, 0) / height * 16, 1.0) < 0.1)
    _ground(canvas, start, wood, vary(wood, 0.0, 0.9, 1.1), 0.06 * noise('waves', height, width, rng) + boards)
    canvas[max(0, start - height // 40):start] = from_hex('f5efe6')
    return canvas


def street(height: int, width: int, rng: np.random.Generator) -> Canvas:
    """House fronts with windows behind a road."""
    canvas, start = sky(height, width, rng), int(height * rng.uniform(0.5, 0.62))
    x = 0
    while x < width:
        wide, top = int(width * rng.uniform(0.14, 0.26)), int(height * rng.uniform(0.05, 0.3))
        wall = vary(draw_hex(rng, 'c98f78 d9c3a5 a9b4b8 b7a08e 8fa3a0 d8b4a0'), float(rng.uniform(-0.02, 0.02)), 0.85)
        canvas[top:start, x:x + wide] = wall
        pane = vary(wall, 0.0, 0.8, 0.72)
        step_x, step_y = max(8, wide // 4), max(10, height // 11)
        for py in range(top + step_y // 2, start - step_y, step_y):
            for px in range(x + step_x // 2, x + wide - step_x // 2, step_x):
                canvas[py:py + step_y // 2, px:px + step_x // 2] = pane
        x += wide
    canvas *= (1 + 0.02 * noise('grain', height, width, rng))[..., None]
    road = draw_hex(rng, '7d7f85 8c8a86 6c7078')
    _ground(canvas, start, road, vary(road, 0.0, 1.0, 1.2), 0.05 * noise('grain', height, width, rng))
    canvas[start:start + height // 24] = from_hex('c4c1b8')
    return canvas


def studio(height: int, width: int, rng: np.random.Generator) -> Canvas:
    """A soft backdrop with out-of-focus lights."""
    base = vary(draw_hex(rng, 'c7b8d8 b8d0d8 d8c8b0 d2b7b7 a8b8a8 8894b0'), float(rng.uniform(-0.05, 0.05)))
    canvas = _ramp(height, width, vary(base, 0.03, 1.0, 1.1), vary(base, -0.03, 1.2, 0.7))
    for _ in range(int(rng.integers(6, 12))):
        (x, y), radius = rng.uniform(0, (width, height)), height * float(rng.uniform(0.04, 0.12))
        left, top = max(0, int(x - radius)), max(0, int(y - radius))
        window = canvas[top:int(y + radius) + 2, left:int(x + radius) + 2]
        rows, columns = np.ogrid[top:top + window.shape[0], left:left + window.shape[1]]
        disc = np.clip(radius - np.hypot(columns - x, rows - y), 0, 1)
        blend(window, vary(base, float(rng.uniform(-0.1, 0.1)), 0.8, 1.4), disc * float(rng.uniform(0.15, 0.4)))
    canvas *= (1 + 0.03 * noise('clouds', height, width, rng) + 0.02 * noise('grain', height, width, rng))[..., None]
    return canvas


SCENERY: dict[str, Callable[[int, int, np.random.Generator], Canvas]] = {
    'meadow': meadow, 'desert': desert, 'sea': sea, 'underwater': underwater, 'sky': sky, 'forest': forest,
    'room': room, 'street': street, 'studio': studio}

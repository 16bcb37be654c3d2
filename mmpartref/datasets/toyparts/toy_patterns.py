"""ToyParts textures: noise fields and the patterns of coats, scales, planks and paint."""
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating[Any]]

_SIZE = 1024
# Seed, and (sigma x, sigma y, weight) of the blurred layers that are added, by kind.
_NOISE = {'clouds': (1, [(60.0, 28.0, 1.0), (26.0, 13.0, 0.5), (9.0, 6.0, 0.15)]), 'grain': (2, [(1.0, 1.0, 1.0)]),
          'strands': (3, [(1.0, 5.0, 1.0), (2.0, 10.0, 0.7)]), 'waves': (4, [(26.0, 1.8, 1.0), (9.0, 1.0, 0.6)])}
# Kinds of noise of patterns; 'grain' for all others.
_GRAINS = {'fur': 'strands', 'spots': 'strands', 'patches': 'strands', 'feathers': 'waves', 'planks': 'waves'}


@lru_cache(maxsize=4)
def _tile(kind: str) -> Field:
    """Return a fixed (1024, 1024) noise field of mean 0 and about unit deviation, of a kind in ``_NOISE``."""
    seed, layers = _NOISE[kind]
    rng = np.random.default_rng(seed)
    field = np.zeros((_SIZE, _SIZE), np.float32)
    for sigma_x, sigma_y, weight in layers:
        white = rng.standard_normal((_SIZE, _SIZE), np.float32)
        layer = cv2.GaussianBlur(white, (0, 0), sigmaX=sigma_x, sigmaY=sigma_y)
        field += weight * layer / layer.std()
    return field / field.std()


def noise(kind: str, height: int, width: int, rng: np.random.Generator) -> Field:
    """Return a random (height, width) window of a noise field, which is enlarged where the window is larger."""
    tile = _tile(kind)
    if height > _SIZE or width > _SIZE:
        factor = max(height, width) / _SIZE
        tile = cv2.resize(tile, None, fx=factor + 0.01, fy=factor + 0.01)
    y = int(rng.integers(tile.shape[0] - height + 1))
    x = int(rng.integers(tile.shape[1] - width + 1))
    return tile[y:y + height, x:x + width]


def pattern(name: str, u: Field, v: Field, rng: np.random.Generator) -> tuple[Field | float, Field | float]:
    """Return (brightness factor, share of the second colour) of a pattern at object coordinates u, v (h, w).

    Each is an (h, w) field or one number.
    """
    height, width = u.shape
    if name in ('gloss', 'rays', 'ribs', 'scales'):
        return _RELIEFS[name](u, v), 0.0
    kind = _GRAINS.get(name, 'grain')
    relief = 1 + (0.085 if name == 'fur' else 0.04) * noise(kind, height, width, rng)
    if name in ('plain', 'fur'):
        return relief, 0.0
    if name in ('stripes', 'bands'):
        wobble = 0.35 * noise('clouds', height, width, rng) if name == 'stripes' else 0.0
        wave = np.sin(u * (52 if name == 'stripes' else 34) + 0.4 * np.sin(v * 20) + wobble)
        return relief, 0.75 * _step(wave, 0.25, 0.25)
    if name == 'spots':
        wave = np.sin(u * 62 + 1.5 * np.sin(v * 17)) * np.sin(v * 58 + 1.5 * np.sin(u * 19))
        return relief, 0.7 * _step(wave, 0.3, 0.15)
    if name == 'patches':
        return relief, 0.85 * _step(noise('clouds', height, width, rng), 0.5, 0.12)
    if name == 'diamonds':
        return relief, 0.8 * _step(np.cos(u * 36) + np.cos(v * 40), 0.7, 0.2)
    if name in ('feathers', 'planks'):
        row = np.mod(v * 16 + (0.18 * np.sin(u * 50) if name == 'feathers' else 0.0), 1.0)
        return 1.06 * relief - 0.28 * _step(row, 0.8, 0.12), 0.0
    raise KeyError(f'no pattern named "{name}"')


def _scales(u: Field, v: Field) -> Field:
    grid = np.cos((u + v) * 90) * np.cos((u - v) * 90)
    return 1.0 + 0.12 * np.sign(grid) * np.abs(grid) ** 0.5


# Patterns of brightness only, without noise.
_RELIEFS: dict[str, Callable[[Field, Field], Field]] = {
    'gloss': lambda u, v: 1.0 + 0.16 * np.exp(-((v - 0.35 * u + 0.12) / 0.035) ** 2),
    'rays': lambda u, v: 1.0 + 0.12 * np.sin(v * 75 + 10 * u * v),
    'ribs': lambda u, v: 1.0 + 0.14 * np.sin(u * 150),
    'scales': _scales}


def _step(field: Field, threshold: float, softness: float) -> Field:
    """Return a soft step from 0 to 1 around ``threshold``."""
    return np.clip((field - threshold) / softness + 0.5, 0, 1).astype(np.float32)

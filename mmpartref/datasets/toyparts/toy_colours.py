"""ToyParts palettes: one colour per role, distinct from the background. Colours are BGR, 0-255, float32."""
import colorsys

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = NDArray[np.float32]
Palette = dict[str, Colour]

# Main colours by super-category: natural coats for animals, paint for the rest.
_MAIN = {
    'Quadruped': '9a6a3f c98d4e d9b382 6b4a35 8a8580 4b4744 e2d6c3 b5562b',
    'Biped': '6b4630 8c6239 3f3a3a a67c52 c7773a 7d7468',
    'Fish': 'f28c28 e4572e f2c14e 2a9d8f 4f86c6 9b5de5 e56b9f 5fa8d3',
    'Bird': '3d7ea6 d1495b edae49 00798c 66a182 7d5ba6 c8553d 4a4e69',
    'Snake': '6a994e a7c957 bc6c25 d4a373 386641 c1121f 8d99ae b08968',
    'Reptile': '588157 7cb518 3a7d44 a3b18a 2a9d8f 8a9a5b b08d57',
    'Car': 'd62828 f77f00 fcbf49 1d6fb8 2a9d8f e9ecef 6a4c93 ef476f',
    'Bicycle': 'e63946 ff9f1c 2ec4b6 3a86ff 8338ec ffbe0b 118ab2 d81159',
    'Boat': '9c6644 b5523b 1d4e89 c1121f 2f6690 e9ecef 7f5539',
    'Aeroplane': 'e9eef2 f4f1de cad2c5 a9bcd0 ffd166 f2f2f2',
    'Bottle': '2d6a4f 40916c 9c4a1a 3d5a80 6f1d1b b7e4c7 74c0fc 7b2d26',
}
_COATED = ('Quadruped', 'Biped')
_FIXED = {'white': 'f8f8f4', 'black': '241f1f', 'rubber': '33343a', 'metal': 'b4bcc6', 'glass': '9fd3e6',
          'red': 'd83a34', 'lamp': 'ffe9a3', 'wood': '7a5233', 'leather': '5b3a29'}
_BEAKS = 'f4a261 f6bd3b e76f51 6d5a4a'
_SAILS = 'faf3e3 f7ede2 ffe8a1 f6bdc0 d6eadf'


def from_hex(code: str) -> Colour:
    """Return 'rrggbb' as a colour."""
    return np.array([int(code[i:i + 2], 16) for i in (4, 2, 0)], dtype=np.float32)


def draw_hex(rng: np.random.Generator, codes: str) -> Colour:
    """Draw one of the space-separated hex codes."""
    options = codes.split()
    return from_hex(options[int(rng.integers(len(options)))])


def vary(colour: Colour, hue: float = 0.0, saturation: float = 1.0, value: float = 1.0) -> Colour:
    """Rotate the hue by a fraction of the circle, and scale saturation and value."""
    blue, green, red = (float(channel) / 255 for channel in colour)
    h, s, v = colorsys.rgb_to_hsv(red, green, blue)
    red, green, blue = colorsys.hsv_to_rgb((h + hue) % 1.0, min(1.0, s * saturation), min(1.0, v * value))
    return np.array([blue, green, red], dtype=np.float32) * 255


def blend(canvas: NDArray, colour: NDArray, share: NDArray) -> None:
    """Mix ``colour`` into the canvas (h, w, 3) in place, by ``share`` (h, w) in 0-1."""
    canvas += (colour - canvas) * share[..., None].astype(np.float32)


def colour_distance(a: Colour, b: Colour) -> float:
    """Return the Euclidean distance in CIE Lab (L 0-100)."""
    pair = np.stack([a, b]).astype(np.float32)[None] / 255
    lab = cv2.cvtColor(pair, cv2.COLOR_BGR2Lab)[0]
    return float(np.linalg.norm(lab[0] - lab[1]))


def draw_palette(rng: np.random.Generator, super_category: str, background: Colour) -> Palette:
    """Draw the colours of an object; the main one, if possible, more than 30 Lab units from the mean ``background``."""
    candidates = [vary(draw_hex(rng, _MAIN[super_category]), float(rng.uniform(-0.025, 0.025)),
                       float(rng.uniform(0.8, 1.15)), float(rng.uniform(0.85, 1.1))) for _ in range(8)]
    distances = [colour_distance(candidate, background) for candidate in candidates]
    main = next((c for c, d in zip(candidates, distances, strict=True) if d > 30),
                candidates[int(np.argmax(distances))])
    if super_category in _COATED:
        second = vary(main, float(rng.uniform(-0.02, 0.02)), 1.1, 0.55 if float(main.max()) > 110 else 1.8)
    else:
        turn = float(rng.choice([-0.12, 0.1, 0.42, 0.5, 0.58])) + float(rng.uniform(-0.03, 0.03))
        second = vary(main, turn, 0.9, 1.0 if float(main.max()) > 110 else 1.6)
        if float(main.max() - main.min()) < 40:
            second = vary(from_hex('2f7fc1'), float(rng.uniform(0, 1)))
    palette = {role: from_hex(code) for role, code in _FIXED.items()}
    return {**palette, 'main': main, 'second': second, 'light': main * 0.3 + from_hex('fff3e0') * 0.7,
            'beak': draw_hex(rng, _BEAKS), 'sail': draw_hex(rng, _SAILS)}

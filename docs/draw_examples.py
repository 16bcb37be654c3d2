"""Draw the pictures of the README and of the first page of the docs: ``python docs/draw_examples.py``.

The masks are predictions of the packaged weights of ``cris_tiny_toyparts`` on a scene of ToyParts' test split.
"""
import argparse
from pathlib import Path

import cv2
import numpy as np
from draw_figures import Scene, cut_out, find, load_scenes

from mmpartref.apis import PartReferInferencer
from mmpartref.apis.results import ImageResults

# Names of the pictures and their expressions; the README and docs/index.md show them in this order.
EXPRESSIONS = {
    'example_tire': 'the tire of the car',
    'example_head': 'the head of the bird',
    'example_wing': 'bird wing',
}


def load_scene() -> Scene:
    """Return the drawn image of a bird and a car."""
    return find(load_scenes(), 'car tire', 'bird wing')[0]


def predict(scene: Scene) -> ImageResults:
    """Return the masks of the packaged model for the scene as its JPEG file has it."""
    image = cv2.imdecode(encode(scene.image), cv2.IMREAD_COLOR_RGB)
    return PartReferInferencer('cris_tiny_toyparts')(image, list(EXPRESSIONS.values()))


def encode(picture: np.ndarray) -> np.ndarray:
    """Return the bytes of a picture's JPEG file."""
    return cv2.imencode('.jpg', cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92])[1]


def draw_all() -> dict[str, np.ndarray]:
    """Return every picture (h, w, 3) RGB by its name."""
    scene = load_scene()
    parts = predict(scene)
    return {
        'example_image': scene.image,
        **{name: cut_out(scene.image, part.mask) for name, part in zip(EXPRESSIONS, parts, strict=True)},
        'example_overlay': np.asarray(parts.overlay().convert('RGB')),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', type=Path, default=Path(__file__).parent / 'images', help='folder of the pictures')
    out = parser.parse_args().out
    for name, picture in draw_all().items():
        (out / f'{name}.jpg').write_bytes(encode(picture).tobytes())


if __name__ == '__main__':
    main()

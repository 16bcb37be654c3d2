"""Dumps and images to make galleries of."""
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmpartref.evaluation.dumps.dump import PredictionDump
from mmpartref.evaluation.dumps.predictions import Candidate, ImagePredictions, Prediction, as_text

HEIGHT, WIDTH = 60, 80
# Everything that could break out of a script, an attribute or a line.
HOSTILE = '</script><script>window.hacked=1</script><img src=x onerror="window.hacked=2"> & \u2028 “tür”'
Box = tuple[int, int, int, int]


def box_mask(box: Box, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """``box``: left, top, width, height."""
    x, y, w, h = box
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[y:y + h, x:x + w] = 1
    return mask


def box_rle(box: Box, height: int = HEIGHT, width: int = WIDTH) -> dict:
    return as_text(coco_mask.encode(np.asfortranarray(box_mask(box, height, width))))


def predict(ref_id: str, part: str, truth: Sequence[Box], pred: Box, *, expression: str | None = None,
            super_category: str = 'car', candidates: Sequence[tuple[float, Box]] | None = None) -> Prediction:
    return Prediction(
        ref_id, f'{super_category} {part}' if expression is None else expression, part, super_category,
        list(range(len(truth))), 0.75, box_rle(pred), [box_rle(box) for box in truth],
        None if candidates is None else [Candidate(score, box_rle(box)) for score, box in candidates])


def write_image(path: Path, colour: int = 120, height: int = HEIGHT, width: int = WIDTH) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((height, width, 3), colour, dtype=np.uint8))


class World:
    """A folder with images and dumps."""

    predict = staticmethod(predict)
    hostile = HOSTILE

    def __init__(self, root: Path) -> None:
        self.root = root
        self.images = root / 'images'

    def dump(self, images: Sequence[Sequence[Prediction]], name: str = 'dump.json', **header: object) -> str:
        """Write a dump, and the images it names as far as they do not exist."""
        entries = []
        for number, expressions in enumerate(images):
            path = self.images / 'val' / f'{number}.jpg'
            if not path.exists():
                write_image(path, 90 + 30 * (number % 3))
            entries.append(ImagePredictions(number, str(path), (HEIGHT, WIDTH), list(expressions)))
        PredictionDump({'config': f'{Path(name).stem}.py', **header}, entries).write(self.root / name)
        return str(self.root / name)


@pytest.fixture(scope='session')
def dump_tools() -> type[World]:
    return World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def small_dump(world: World) -> Callable[..., str]:
    """Three expressions in two images: a good prediction, a misplaced one, an empty one of two annotations."""
    def make(name: str = 'dump.json', **header: object) -> str:
        first = [predict('0:1', 'body', [(10, 10, 40, 40)], (10, 10, 40, 30)),
                 predict('0:2', 'tire', [(0, 50, 8, 8)], (60, 50, 8, 8), expression=HOSTILE)]
        second = [predict('1:3', 'head', [(5, 5, 10, 10), (30, 30, 10, 10)], (0, 0, 0, 0), super_category='bird')]
        return world.dump([first, second], name, **header)

    return make

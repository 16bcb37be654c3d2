"""Dumps and images to make galleries of."""
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmpartref.evaluation.dumps.dump import PredictionDump
from mmpartref.evaluation.dumps.predictions import Candidate, ImagePredictions, Prediction, as_text
from mmpartref.gallery import build_gallery

HEIGHT, WIDTH = 60, 80
# Per image; three images make more than one page of 60 cards.
EXPRESSIONS = 25
LEVELS = (0.9, 0.5, 0.1)
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


@pytest.fixture(scope='session')
def inputs(tmp_path_factory) -> World:
    """Images and dumps of ``folder``."""
    return World(tmp_path_factory.mktemp('world'))


@pytest.fixture(scope='session')
def folder(inputs, tmp_path_factory) -> Path:
    """A gallery of 75 expressions with heat maps, and the page of a comparison."""
    images = []
    for image in range(3):
        expressions = []
        for number in range(EXPRESSIONS):
            truth, wide = (10, 10, 40, 40), 40 - number
            expressions.append(inputs.predict(
                f'{image}:{number}', ('body', 'head')[number % 2], [truth], (10, 10, max(0, wide), 40),
                expression=inputs.hostile if (image, number) == (0, 1) else f'thing {image} {number}',
                super_category=('car', 'bird', 'fish')[image],
                candidates=[(level, (10, 10, 10 * (step + 1), 40)) for step, level in enumerate(LEVELS)]))
        images.append(expressions)
    other = [[inputs.predict(each.ref_id, each.part, [(10, 10, 40, 40)], (10, 10, 40, 2 * (7 + number % 20)),
                             expression=each.expression, super_category=each.super_category)
              for number, each in enumerate(image)] for image in images]
    out = tmp_path_factory.mktemp('gallery') / 'out'
    build_gallery(inputs.dump(images, 'a.json'), out, against=[inputs.dump(other, 'b.json')])
    return out


@pytest.fixture
def show(browser, folder, wait_for) -> Callable[..., Any]:
    """Open a page of the gallery and return the driver."""
    def open_page(address: str = 'index.html', root: Path = folder) -> Any:
        browser.get('about:blank')
        browser.get(f'{root.as_uri()}/{address}')
        wait_for("document.querySelector('#status').textContent !== ''")
        return browser

    return open_page


@pytest.fixture
def detail(show, wait_for, folder) -> Callable[..., list[Any]]:
    """Open a page with one card enlarged and return its canvases."""
    def open_detail(address: str, root: Path = folder) -> list[Any]:
        driver = show(address, root)
        wait_for("document.querySelectorAll('#panels:not(.loading) figure').length === 4")
        return driver.find_elements('css selector', '#panels canvas')

    return open_detail

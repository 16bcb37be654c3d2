"""A COCO part json small enough to know by heart, and the converters' tool with the configs of what it writes."""
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmpartref.registry import DATASETS

ROOT = Path(__file__).parents[2]
HEIGHT, WIDTH = 20, 30


def box(x: int, y: int, width: int, height: int) -> list[list[float]]:
    """A rectangle as a polygon; covers exactly width * height pixels."""
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]


@pytest.fixture
def polygon() -> Callable[[int, int, int, int], list[list[float]]]:
    return box


@pytest.fixture
def coco() -> dict[str, Any]:
    """Two images, four annotations: a car with two wheels and a hood, and a bird's head."""
    annotations = [(11, 1, 5, box(2, 10, 4, 5)), (12, 1, 6, box(5, 5, 6, 3)), (13, 1, 5, box(20, 10, 4, 5)),
                   (14, 2, 9, box(0, 0, 3, 3))]
    return {
        'images': [{'id': i, 'file_name': f'image{i}.png', 'height': HEIGHT, 'width': WIDTH} for i in (1, 2)],
        'annotations': [{'id': ann_id, 'image_id': img_id, 'category_id': category_id, 'segmentation': rings,
                         'area': 15, 'iscrowd': 0} for ann_id, img_id, category_id, rings in annotations],
        'categories': [{'id': 5, 'name': 'Car Wheel', 'supercategory': 'Car'},
                       {'id': 6, 'name': 'Car Hood', 'supercategory': 'Car'},
                       {'id': 9, 'name': 'Bird Head', 'supercategory': 'Bird'}],
    }


@pytest.fixture
def write(tmp_path: Path) -> Callable[[dict], str]:
    """Write a json; returns its path."""
    def write_json(document: dict) -> str:
        path = tmp_path / 'parts.json'
        path.write_text(json.dumps(document), encoding='utf-8')
        return str(path)
    return write_json


@pytest.fixture
def write_image(tmp_path: Path) -> Callable[..., str]:
    """Write a photo of noise, or of the given RGB pixels; returns its path."""
    def write_image(name: str, pixels: np.ndarray | None = None) -> str:
        if pixels is None:
            pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), pixels[..., ::-1])
        return str(path)
    return write_image


@pytest.fixture
def convert_tool(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, list[str]]]:
    """Run tools/convert_dataset.py here; returns the exit status and the lines that it printed."""
    spec = importlib.util.spec_from_file_location('convert_dataset', ROOT / 'tools/convert_dataset.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(*arguments: object) -> tuple[int, list[str]]:
        status = 0
        capsys.readouterr()  # what the test itself printed before
        try:
            module.main([str(each) for each in arguments])
        except SystemExit as done:
            status = done.code
        captured = capsys.readouterr()
        return status, (captured.err if status else captured.out).splitlines()
    return run


@pytest.fixture
def build_config() -> Callable[[str, Path], dict[str, Any]]:
    """Build the datasets of configs/_base_/datasets/<name>.py whose json is below a folder, by ``ann_file``."""
    def build(name: str, data_root: Path) -> dict[str, Any]:
        cfg = Config.fromfile(ROOT / 'configs/_base_/datasets' / f'{name}.py')
        built = {}
        with DefaultScope.overwrite_default_scope('mmpartref'):
            for split in ('train', 'val', 'test'):
                dataset = {**cfg[f'{split}_dataloader'].dataset, 'data_root': str(data_root)}
                if (data_root / dataset['ann_file']).is_file():
                    built[dataset['ann_file']] = DATASETS.build(dataset)
        return built
    return build

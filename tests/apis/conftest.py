"""The two kinds of models with random weights, and an image whose masks are neither empty nor full."""
import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmpartref.apis import PartReferInferencer
from mmpartref.engine.launch.detector_config import set_categories
from mmpartref.models.segmentors.mask_decode import get_decode

CONFIGS = Path(__file__).parents[2] / 'configs'
CATEGORIES = [{'name': f'Car {part}', 'super_category': 'car', 'part': part}
              for part in ('body', 'tire', 'side mirror')]
EXPRESSIONS = ['car body', 'car side mirror']


def make_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Draw RGB uint8 (h, w, 3) whose colours change from corner to corner, noise on top."""
    y, x = np.mgrid[:height, :width]
    ramps = np.stack([255 * x / width, 255 * y / height, 255 * (x + y) / (width + height)], axis=2)
    noise = np.random.default_rng(seed).integers(-40, 40, ramps.shape)
    return np.clip(ramps + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope='session')
def image() -> np.ndarray:
    """An image of 50 x 70 pixels (height x width)."""
    return make_image(50, 70)


@pytest.fixture(scope='session')
def _cris_config() -> Config:
    config = Config.fromfile(CONFIGS / 'cris_tiny_toyparts.py')
    config.test_dataloader.dataset.pipeline[1].size = 64
    return config


@pytest.fixture
def cris_config(_cris_config) -> Config:
    """ToyParts' CRIS at a smaller input, to change at will."""
    return copy.deepcopy(_cris_config)


@pytest.fixture(scope='session')
def detector_config() -> Config:
    """ToyParts' Mask R-CNN, three categories, few proposals, everything it finds taken."""
    config = Config.fromfile(CONFIGS / 'toyparts/mask_rcnn_tiny_toyparts.py')
    config.test_dataloader.dataset.pipeline[1].scale = (96, 96)
    config.model.score_threshold = 0.25
    config.model.detector.test_cfg.rpn.max_per_img = 20
    config.model.detector.test_cfg.rcnn.update(score_thr=0.0, max_per_img=20)
    set_categories(config, CATEGORIES, 'the test')
    return config


@pytest.fixture(scope='session')
def cris(_cris_config, image) -> PartReferInferencer:
    """A CRIS whose threshold is between the probabilities of the tests' expressions."""
    torch.manual_seed(3)
    inferencer = PartReferInferencer(_cris_config, device='cpu')
    middle = float(np.mean([np.median(each.heat_map) for each in inferencer(image, EXPRESSIONS, heat_map=True)]))
    inferencer.model.decode = get_decode('aligned', middle)
    return inferencer


@pytest.fixture(scope='session')
def detector(detector_config) -> PartReferInferencer:
    """A Mask R-CNN that finds something."""
    torch.manual_seed(0)
    return PartReferInferencer(detector_config, device='cpu')


@pytest.fixture(params=['cris', pytest.param('detector', marks=pytest.mark.full_mmcv)])
def inferencer(request) -> PartReferInferencer:
    """Both in turn."""
    return request.getfixturevalue(request.param)

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmpartref.apis.model_building import build_pipeline, letterbox_of, read_config
from mmpartref.datasets.transforms import Letterbox
from mmpartref.datasets.transforms.letterbox import FILL
from mmpartref.engine.launch.build_runner import build_runner, load_config
from mmpartref.engine.launch.fill_letterbox import fill_letterbox
from mmpartref.models.data_preprocessor import ReferringDataPreprocessor
from mmpartref.registry import SCOPE, TRANSFORMS

CONFIGS = Path(__file__).parents[3] / 'configs'
MEAN = (123.675, 116.28, 103.53)
CHANGED = {'model.data_preprocessor.mean': MEAN}


def cris(**options) -> Config:
    return load_config(next(CONFIGS.rglob('cris_tiny_toyparts.py')), options)


def letterboxes(cfg: Config) -> list[dict]:
    return [step for split in ('train', 'val', 'test') for step in cfg[f'{split}_dataloader'].dataset.pipeline
            if step['type'] == 'Letterbox']


def test_the_fill_follows_a_changed_mean():
    cfg = cris(**CHANGED)
    for _ in range(2):
        fill_letterbox(cfg)
        assert [step.fill for step in letterboxes(cfg)] == [MEAN] * 3
    with DefaultScope.overwrite_default_scope(SCOPE):
        built = [TRANSFORMS.build(step) for step in letterboxes(cfg)]
    image = built[0]({'img': np.zeros((10, 40, 3), np.uint8)})['img']
    np.testing.assert_array_equal(image[0, 0], np.round(MEAN))


def test_a_given_fill_and_the_default_mean_change_nothing():
    cfg = cris()
    before = cfg.to_dict()
    fill_letterbox(cfg)
    assert cfg.to_dict() == before
    with DefaultScope.overwrite_default_scope(SCOPE):
        assert {TRANSFORMS.build(step).fill for step in letterboxes(cfg)} == {FILL}
    cfg = cris(**CHANGED)
    for step in letterboxes(cfg):
        step.fill = (0, 0, 0)
    fill_letterbox(cfg)
    assert [step.fill for step in letterboxes(cfg)] == [(0, 0, 0)] * 3


def test_types_are_resolved_and_nested_steps_found():
    steps = [{'type': 'LoadImage'},
             {'type': 'RandomChoice', 'transforms': [[{'type': 'mmpartref.Letterbox', 'size': 32}],
                                                     [{'type': Letterbox, 'size': 64}]]}]
    mixture = {'type': 'MixedReferDataset', 'datasets': [{'type': 'PartReferDataset', 'pipeline': steps}]}
    model = {'type': 'ReferringSegmentor',
             'data_preprocessor': {'type': 'mmpartref.ReferringDataPreprocessor', 'mean': [1, 2, 3]}}
    cfg = Config({'model': model, 'test_dataloader': {'dataset': mixture}})
    fill_letterbox(cfg)
    first, second = cfg.test_dataloader.dataset.datasets[0].pipeline[1].transforms
    assert first[0].fill == second[0].fill == (1., 2., 3.)


def test_the_mean_of_a_class_is_followed_and_other_preprocessors_are_not(monkeypatch):
    cfg = cris()
    monkeypatch.setitem(ReferringDataPreprocessor.__init__.__kwdefaults__, 'mean', MEAN)
    fill_letterbox(cfg)
    assert letterboxes(cfg)[0].fill == MEAN
    cfg = cris()
    cfg.model.data_preprocessor = {'type': 'ImgDataPreprocessor', 'mean': MEAN, 'std': MEAN}
    fill_letterbox(cfg)
    assert all('fill' not in step for step in letterboxes(cfg))


def test_the_runner_the_inferencer_and_the_export_follow(monkeypatch):
    cfg = cris(**CHANGED)
    monkeypatch.setattr(Runner, 'from_cfg', lambda cfg: cfg)
    monkeypatch.setattr('mmpartref.engine.launch.build_runner.check_work_dir', lambda folder: None)
    monkeypatch.setattr('mmpartref.engine.launch.build_runner.check_custom_keys', lambda *_: None)
    cfg.model.auxiliary_head = None
    assert [step.fill for step in letterboxes(build_runner(cfg))] == [MEAN] * 3

    pipeline = Compose(build_pipeline(read_config(cris(**CHANGED))))
    assert [step.fill for step in pipeline.transforms if isinstance(step, Letterbox)] == [MEAN]

    assert letterbox_of(cris(**CHANGED)).fill == pytest.approx(MEAN)

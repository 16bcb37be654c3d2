import json

import pytest
from mmengine.config import Config

from mmpartref.engine.launch import detector_config
from mmpartref.engine.launch.build_runner import load_config
from mmpartref.engine.launch.detector_config import fill_categories, require_operations
from mmpartref.errors import ConfigError

CATEGORIES = [{'id': 7, 'name': 'Car Tier', 'supercategory': 'Car'}, {'id': 2, 'name': 'Sail', 'supercategory': 'Boat'}]


@pytest.fixture
def cfg(tmp_path) -> Config:
    (tmp_path / 'train.json').write_text(json.dumps({'images': [], 'annotations': [], 'categories': CATEGORIES}))
    heads = {'bbox_head': [{'type': 'BBoxHead', 'num_classes': 80}], 'mask_head': {'type': 'FCNMaskHead',
                                                                                 'num_classes': 80}}
    dataset = {'type': 'PartImageNetReferringDataset', 'data_root': str(tmp_path), 'ann_file': 'val.json'}
    return Config({
        'model': {'type': 'ReferringDetector', 'detector': {'type': 'MaskRCNN', 'roi_head': heads,
                                                            'rpn_head': {'type': 'RPNHead', 'num_classes': 1}}},
        'train_dataloader': {'dataset': {'type': 'mmdet.CocoDataset', 'data_root': str(tmp_path),
                                         'ann_file': 'train.json'}},
        'val_dataloader': {'dataset': dataset},
    })


def test_categories_come_from_the_json_in_its_order_with_the_datasets_meanings(cfg):
    fill_categories(cfg)
    assert cfg.model.categories == [{'name': 'Car Tier', 'super_category': 'car', 'part': 'tire'},
                                    {'name': 'Sail', 'super_category': 'boat', 'part': 'sail'}]
    assert cfg.train_dataloader.dataset.metainfo == {'classes': ('Car Tier', 'Sail')}
    assert cfg.model.detector.roi_head.bbox_head[0].num_classes == 2
    assert cfg.model.detector.roi_head.mask_head.num_classes == 2
    assert cfg.model.detector.rpn_head.num_classes == 1


def test_cocos_detector_has_cocos_classes_and_given_categories_stay(cfg):
    cfg.model.targets = 'coco_objects'
    fill_categories(cfg)
    assert cfg.model.detector.roi_head.mask_head.num_classes == 80
    assert len(cfg.model.categories) == 2
    cfg.model.categories = [{'name': 'x', 'super_category': '', 'part': 'x'}]
    fill_categories(cfg)
    assert len(cfg.model.categories) == 1


def test_without_any_json_the_files_are_named(cfg, tmp_path):
    (tmp_path / 'train.json').unlink()
    with pytest.raises(ConfigError, match=r'are read from .*train\.json, .*val\.json, none of which exists'):
        fill_categories(cfg)
    (tmp_path / 'train.json').write_text(json.dumps({'images': [], 'annotations': [], 'categories': CATEGORIES}))
    cfg.pop('val_dataloader')
    with pytest.raises(ConfigError, match='to interpret their names'):
        fill_categories(cfg)


def test_only_configs_of_mmdet_need_compiled_operations(cfg, monkeypatch):
    def missing(name: str) -> None:
        raise ImportError(f"No module named '{name}'")

    monkeypatch.setattr(detector_config.importlib, 'import_module', missing)
    with pytest.raises(ConfigError, match=r"needs mmdet and mmcv .*\(No module named 'mmcv\.ops'\)"):
        require_operations(cfg)
    with pytest.raises(ConfigError):
        require_operations(Config({'model': {'type': 'X'}, 'train_pipeline': [{'type': 'mmdet.Resize'}]}))
    require_operations(Config({'model': {'type': 'ReferringSegmentor'}}))


def test_a_base_in_a_package_that_is_missing_names_the_extra(monkeypatch, tmp_path):
    (tmp_path / 'other.py').write_text("_base_ = ['mmdet::_base_/models/mask-rcnn_r50_fpn.py']\n")
    monkeypatch.setattr('mmengine.config.config.is_installed', lambda package: False)
    monkeypatch.setattr('mmengine.utils.package_utils.is_installed', lambda package: False)
    with pytest.raises(ConfigError, match=r"other\.py needs mmdet and mmcv .* install 'mmpartref\[all\]'"):
        load_config(tmp_path / 'other.py')


@pytest.mark.parametrize('wrapper', ['RepeatDataset', 'mmdet.ConcatDataset'])
def test_wrapped_datasets_have_the_categories(cfg, wrapper: str) -> None:
    inner = cfg.train_dataloader.dataset
    cfg.train_dataloader.dataset = (dict(type=wrapper, times=2, dataset=inner) if wrapper == 'RepeatDataset' else
                                    dict(type=wrapper, datasets=[inner, dict(inner)]))
    fill_categories(cfg)
    outer = cfg.train_dataloader.dataset
    for each in [outer.dataset] if wrapper == 'RepeatDataset' else outer.datasets:
        assert each.metainfo == {'classes': ('Car Tier', 'Sail')}


def test_a_flip_has_the_categories_in_the_order_of_the_labels(cfg) -> None:
    cfg.train_dataloader.dataset.pipeline = [{'type': 'RandomDetectorFlip'}, {'type': 'RandomDetectorFlip',
                                                                            'categories': ('a', )}]
    fill_categories(cfg)
    assert [step.categories for step in cfg.train_dataloader.dataset.pipeline] == [('Car Tier', 'Sail'), ('a', )]

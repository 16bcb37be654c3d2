import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.config import Config

from mmpartref.datasets.toyparts.make_toyparts import make_toyparts
from mmpartref.engine.launch.build_runner import load_config
from mmpartref.engine.launch.training_checks import check_training
from mmpartref.errors import ConfigError

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope='module')
def toyparts(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('data') / 'toyparts'
    make_toyparts(root, splits={'train': 3, 'val': 1, 'test': 1}, size=(64, 64), seed=0)
    return root


@pytest.fixture
def drawn(toyparts, tmp_path) -> Path:
    """A copy, which a test may damage."""
    return Path(shutil.copytree(toyparts, tmp_path / 'toyparts'))


@pytest.fixture
def detector(drawn) -> Config:
    """The training of a detector; its model is not checked."""
    dataset = {'type': 'mmdet.CocoDataset', 'data_root': str(drawn), 'ann_file': 'annotations/train/train.json',
               'data_prefix': {'img': 'images/train'}}
    return Config({'train_dataloader': {'dataset': dataset}, 'train_cfg': {'max_epochs': 1},
                   'optim_wrapper': {'optimizer': {'type': 'SGD', 'lr': 0.1}}})


def change(folder: Path, how: Callable[[dict], object]) -> None:
    path = folder / 'annotations/train/train.json'
    document = json.loads(path.read_text())
    how(document)
    path.write_text(json.dumps(document))


@pytest.mark.full_mmcv
def test_a_detectors_config_is_checked(toyparts, tmp_path):
    config = ROOT / 'configs/toyparts/mask_rcnn_tiny_toyparts.py'
    check_training(load_config(config, {}, data_root=str(toyparts)))
    with pytest.raises(FileNotFoundError, match=r'train\.json of train_dataloader does not exist'):
        check_training(load_config(config, {}, data_root=str(tmp_path)))


def test_a_config_without_training_is_rejected(toyparts):
    whole = load_config(ROOT / 'configs/cris_tiny_toyparts.py', {}, data_root=str(toyparts))
    check_training(whole)
    for key in ('train_dataloader', 'train_cfg', 'optim_wrapper'):
        cfg = copy.deepcopy(whole)
        cfg.pop(key)
        with pytest.raises(ConfigError, match=rf'cris_tiny_toyparts\.py has no {key}, so there is nothing to train'):
            check_training(cfg)


@pytest.mark.parametrize(('how', 'sentence'), [
    (lambda d: d['annotations'][1].pop('bbox'), "annotation {id}: the key 'bbox' is missing"),
    (lambda d: d['annotations'][1].update(bbox=[1, 2, 3]), r"annotation {id}: 'bbox' is \[1, 2, 3\]; write x, y"),
    (lambda d: d['annotations'][1].update(bbox=None), "annotation {id}: 'bbox' is None"),
    (lambda d: d['annotations'][1].update(area=True), "annotation {id}: 'area' is True"),
    (lambda d: d['annotations'][1].update(category_id=777), 'annotation {id}'),
    (lambda d: d['annotations'][1].update(segmentation=7), 'annotation {id}'),
], ids=['no box', 'three numbers', 'no box either', 'bool', 'dangling', 'no mask'])
def test_a_damaged_record_is_named_with_its_file(detector, drawn, how, sentence):
    check_training(detector)
    found = json.loads((drawn / 'annotations/train/train.json').read_text())['annotations'][1]['id']
    change(drawn, how)
    with pytest.raises(ValueError, match=r'train\.json: ' + sentence.format(id=found)):
        check_training(detector)


def test_missing_images_are_an_error_before_the_training(detector, drawn):
    gone = sorted((drawn / 'images/train').iterdir())[0]
    gone.unlink()
    with pytest.raises(ConfigError, match=rf'1 of its 3 images do not exist, the first is .*{gone.name}; set'):
        check_training(detector)


def test_datasets_inside_wrappers_are_checked_too(detector, drawn):
    inner = detector.train_dataloader.dataset
    detector.train_dataloader.dataset = {'type': 'RepeatDataset', 'times': 2, 'dataset': inner}
    (drawn / 'annotations/train/train.json').unlink()
    with pytest.raises(FileNotFoundError, match=r'train\.json of train_dataloader does not exist'):
        check_training(detector)

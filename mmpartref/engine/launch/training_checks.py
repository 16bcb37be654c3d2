"""Checks of a training's config, and of a detector's json, before anything is built."""
import math
import os

from mmengine.config import Config
from mmengine.fileio import join_path

from mmpartref.datasets.coco.coco_document import read_json
from mmpartref.datasets.coco.read_coco import read_coco
from mmpartref.datasets.coco.validate import CocoParts
from mmpartref.datasets.referring.missing_images import are_missing
from mmpartref.engine.config.config_nodes import is_from, nodes, type_name
from mmpartref.engine.launch.run_checks import check_monitored, check_run
from mmpartref.errors import ConfigError, InputError
from mmpartref.text import shown

# Keys that mmdet's CocoDataset reads from an annotation without a check, and their number of values.
NEEDED = {'bbox': 4, 'area': 1}


def check_training(cfg: Config) -> None:
    """Check that a config has training data, what ``check_run`` checks, and the json of ``mmdet.CocoDataset``.

    Raises:
        ConfigError: a key of the training is missing, or images of the detector's json do not exist.
        FileNotFoundError: the detector's json does not exist.
        ValueError: a record of it is damaged.
    """
    for key in ('train_dataloader', 'train_cfg', 'optim_wrapper'):
        if not cfg.get(key):
            raise ConfigError(f'the config {cfg.filename} has no {key}, so there is nothing to train; inherit one that '
                              'has, e.g. one in configs/')
    check_run(cfg, ('train', 'val'))
    check_monitored(cfg)
    for dataset in nodes(cfg.train_dataloader):
        if is_from('mmdet', dataset) and type_name(dataset) == 'CocoDataset':
            root = dataset.get('data_root') or ''
            if not dataset.get('ann_file'):
                raise ConfigError('the CocoDataset of train_dataloader has no ann_file, the path of its json')
            ann_file = join_path(root, dataset['ann_file'])
            parts = read_coco(ann_file)
            check_boxes(ann_file)
            check_images(parts, ann_file, join_path(root, (dataset.get('data_prefix') or {}).get('img', '')))


def check_boxes(ann_file: str) -> None:
    """Check the boxes and areas of annotations; ``read_coco`` checks masks and ids.

    Raises:
        ValueError: an annotation lacks one.
    """
    for annotation in read_json(ann_file)['annotations']:
        for key, length in NEEDED.items():
            found = annotation.get(key)
            numbers = found if isinstance(found, list) else [found]
            if len(numbers) != length or not all(
                    isinstance(each, (int, float)) and not isinstance(each, bool) and math.isfinite(each)
                    for each in numbers):
                what = f"'{key}' is {shown(found)}" if key in annotation else f"the key '{key}' is missing"
                raise InputError(f"{ann_file}: annotation {shown(annotation.get('id'))}: {what}, which a detector "
                                 'needs; compute it from the mask with tools/dataset_doctor.py --repair')


def check_images(parts: CocoParts, ann_file: str, folder: str) -> None:
    """Check that the images of a json exist.

    Raises:
        ConfigError: some do not.
    """
    paths = [join_path(folder, image.file_name) for image in parts.images]
    missing = [path for path, gone in zip(paths, are_missing(paths), strict=True) if gone]
    if missing:
        raise ConfigError(f'{ann_file}: {len(missing):,} of its {len(paths):,} images do not exist, the first is '
                          f'{os.path.normpath(missing[0])}; set data_root and data_prefix to the folder of the images')

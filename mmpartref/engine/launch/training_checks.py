"""What a training needs of a config and of a detector's json, looked at before anything is built."""
import math
import os

from mmengine.config import Config
from mmengine.fileio import join_path

from mmpartref.datasets.coco.coco_document import read_json
from mmpartref.datasets.coco.read_coco import CocoParts, read_coco_parts
from mmpartref.datasets.referring.missing_images import are_missing
from mmpartref.engine.launch.detector_config import nodes
from mmpartref.errors import ConfigError, InputError
from mmpartref.text import shown

# What mmdet's CocoDataset takes from an annotation without asking whether it is there.
NEEDED = {'bbox': 4, 'area': 1}


def check_training(cfg: Config) -> None:
    """Refuse what a training would fail on in a library: no data to train on, or a damaged json of a detector.

    A ``PartReferDataset`` reads its own json with the same reader; ``mmdet.CocoDataset`` does not check its.

    Raises:
        ConfigError: the config says nothing of what to train on, or photos of the detector's json do not exist.
        FileNotFoundError: the detector's json does not exist.
        ValueError: a record of it is damaged; the sentence names file, record and mend.
    """
    for key in ('train_dataloader', 'train_cfg', 'optim_wrapper'):
        if not cfg.get(key):
            raise ConfigError(f'the config {cfg.filename} has no {key}, so there is nothing to train; inherit one that '
                              'has, e.g. one under configs/')
    for dataset in nodes(cfg.train_dataloader.to_dict()):
        if dataset.get('type') == 'mmdet.CocoDataset':
            root = dataset.get('data_root') or ''
            ann_file = join_path(root, dataset['ann_file'])
            parts = read_coco_parts(ann_file)
            check_boxes(ann_file)
            check_photos(parts, ann_file, join_path(root, (dataset.get('data_prefix') or {}).get('img', '')))


def check_boxes(ann_file: str) -> None:
    """Refuse annotations without the box and area that a detector is trained with.

    Raises:
        ValueError: one has none; masks and ids are ``read_coco_parts``'s to check.
    """
    for annotation in read_json(ann_file)['annotations']:
        for key, length in NEEDED.items():
            found = annotation.get(key)
            numbers = found if isinstance(found, list) else [found]
            if len(numbers) != length or not all(
                    isinstance(each, (int, float)) and not isinstance(each, bool) and math.isfinite(each)
                    for each in numbers):
                what = f"'{key}' is {shown(found)}" if key in annotation else f"the key '{key}' is missing"
                raise InputError(f"{ann_file}: annotation {shown(annotation.get('id'))}: {what}, and a detector is "
                                 'trained with it; tools/dataset_doctor.py --repair computes it from the mask')


def check_photos(parts: CocoParts, ann_file: str, folder: str) -> None:
    """Refuse a json whose photos are not there.

    Raises:
        ConfigError: some do not exist; names the first.
    """
    paths = [join_path(folder, photo.file_name) for photo in parts.photos]
    missing = [path for path, gone in zip(paths, are_missing(paths), strict=True) if gone]
    if missing:
        raise ConfigError(f'{ann_file}: {len(missing):,} of its {len(paths):,} photos do not exist, the first is '
                          f'{os.path.normpath(missing[0])}; set data_root and data_prefix to where the photos lie')

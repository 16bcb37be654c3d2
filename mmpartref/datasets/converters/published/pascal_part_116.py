"""Pascal-Part-116 as OV-PARTS publishes it: PNG label maps of parts and of objects.

Paper: Wei et al., OV-PARTS: Towards Open-Vocabulary Part Segmentation (NeurIPS 2023). Format: OpenRobotLab/OV_PARTS,
``register_pascal_part_116.py``: a pixel of ``annotations_detectron2_part/{train,val}/*.png`` is the index of its class
among the 116, one of ``annotations_detectron2_obj`` the index of its object's class among VOC's 20; 255 is neither.
"""
import os
from collections import Counter
from pathlib import Path

import numpy as np

from mmpartref.argument_checks import check_path
from mmpartref.datasets.converters.mask_document import (
    MaskDocument,
    files_by_stem,
    image_size,
    label_categories,
    read_label_map,
)
from mmpartref.datasets.converters.published.pascal_part_names import OBJECT_WORDS
from mmpartref.datasets.converters.standard_json import compare_count, convert_splits, count_line, distinct
from mmpartref.errors import MissingFileError
from mmpartref.text import shown_name

SOURCE = 'Pascal-Part-116'
SPLITS = ('train', 'val')
IGNORED = 255
# The parts of each object, in the order of the labels.
PARTS = {
    'aeroplane': 'body, stern, wing, tail, engine, wheel',
    'bicycle': 'wheel, saddle, handlebar, chainwheel, headlight',
    'bird': 'wing, tail, head, eye, beak, torso, neck, leg, foot',
    'bottle': 'body, cap',
    'bus': 'wheel, headlight, front, side, back, roof, mirror, license plate, door, window',
    'car': 'wheel, headlight, front, side, back, roof, mirror, license plate, door, window',
    'cat': 'tail, head, eye, torso, neck, leg, nose, paw, ear',
    'cow': 'tail, head, eye, torso, neck, leg, ear, muzzle, horn',
    'dog': 'tail, head, eye, torso, neck, leg, nose, paw, ear, muzzle',
    'horse': 'tail, head, eye, torso, neck, leg, ear, muzzle, hoof',
    'motorbike': 'wheel, saddle, handlebar, headlight',
    'person': 'head, eye, torso, neck, leg, foot, nose, ear, eyebrow, mouth, hair, lower arm, upper arm, hand',
    'pottedplant': 'pot, plant',
    'sheep': 'tail, head, eye, torso, neck, leg, ear, muzzle, horn',
    'train': 'headlight, head, front, side, back, roof, coach',
    'tvmonitor': 'screen',
}
# VOC's objects in the order of their labels.
OBJECTS = ('aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat', 'chair', 'cow', 'diningtable', 'dog',
           'horse', 'motorbike', 'person', 'pottedplant', 'sheep', 'sofa', 'train', 'tvmonitor')
CATEGORIES = label_categories(PARTS, OBJECT_WORDS)
# The class of each part's object, by label.
OBJECT_LABELS = [OBJECTS.index(each['name'].partition("'s ")[0]) for each in CATEGORIES]


def convert_pascal_part_116(root: str | Path) -> tuple[dict, list[str]]:
    """Return the json of each split that exists, and lines that count what was written and dropped.

    The label maps do not separate objects of one class: an annotation is all of a part in an image.

    Args:
        root: the folder with ``images`` and ``annotations_detectron2_part``; where it has
            ``annotations_detectron2_obj`` too, parts outside their object are counted.
    """
    root = Path(check_path(root, 'root'))
    splits = [split for split in SPLITS if os.path.isdir(root / 'annotations_detectron2_part' / split)]
    if not splits:
        raise MissingFileError(f'{shown_name(str(root))} has neither annotations_detectron2_part/train nor .../val; '
                               'name the folder that PascalPart116.tar.gz unpacks to')
    return convert_splits('pascal_part_116', splits, lambda split: _convert_split(root, split))


def _convert_split(root: Path, split: str) -> tuple[dict, list[str]]:
    document = MaskDocument(SOURCE, CATEGORIES)
    images, hidden_images = files_by_stem(root / 'images' / split, '.jpg')
    maps, hidden_maps = files_by_stem(root / 'annotations_detectron2_part' / split, '.png')
    object_maps = root / 'annotations_detectron2_obj' / split
    counts: Counter[str] = Counter()
    for stem, path in maps.items():
        if stem not in images:
            counts['without an image'] += 1
            continue
        size, size_source = image_size(images[stem]), shown_name(str(images[stem]))
        labels = read_label_map(path, size, size_source, len(CATEGORIES), IGNORED)
        document.add_image(stem, images[stem].name, *size)
        objects = None
        if object_maps.is_dir():
            objects = read_label_map(object_maps / path.name, size, size_source, len(OBJECTS), IGNORED)
        for label in np.unique(labels[labels != IGNORED]).tolist():
            mask = labels == label
            counts['parts'] += 1
            document.add_mask(stem, label, mask)
            if objects is not None:
                counts['outside'] += bool((objects[mask] != OBJECT_LABELS[label]).any())
    outside = (f"; {counts['outside']:,} extend outside their object" if object_maps.is_dir()
               else '; not compared with objects, since there is no annotations_detectron2_obj')
    return document.to_json(), [
        count_line('label maps', len(maps), len(document.images), {'without an image': counts['without an image']})
        + f"; {distinct(document.annotations, 'image_id'):,} images with parts, "
        f'{len(images.keys() - maps.keys()):,} images without a map, {hidden_images + hidden_maps:,} hidden files '
        'ignored',
        count_line('parts', counts['parts'], len(document.annotations), {}) + outside,
        compare_count(distinct(document.annotations, 'category_id'), len(CATEGORIES), 'categories in these images')]

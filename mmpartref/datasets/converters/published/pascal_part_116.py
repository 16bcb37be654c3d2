"""Pascal-Part-116 as OV-PARTS publishes it: PNG label maps of parts and of objects.

Paper: Wei et al., OV-PARTS: Towards Open-Vocabulary Part Segmentation (NeurIPS 2023). Format: OpenRobotLab/OV_PARTS,
``register_pascal_part_116.py``: a pixel of ``annotations_detectron2_part/{train,val}/*.png`` is the place of its class
among the 116, one of ``annotations_detectron2_obj`` that of its object among VOC's 20; 255 is neither.
"""
from collections import Counter
from pathlib import Path

import numpy as np

from mmpartref.datasets.converters.mask_document import (
    MaskDocument,
    category_records,
    files_of,
    photo_size,
    read_label_map,
)
from mmpartref.datasets.converters.published.pascal_part_names import OBJECT_WORDS
from mmpartref.datasets.converters.standard_json import Document, account, compare
from mmpartref.errors import MissingFileError

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


def category_names() -> list[tuple[str, str, str]]:
    """Return ("bird's wing" as published, object in words, part in words), in the order of the labels."""
    return [(f"{owner}'s {part}", OBJECT_WORDS.get(owner, owner), part) for owner, parts in PARTS.items()
            for part in parts.split(', ')]


def convert_pascal_part_116(root: str | Path) -> tuple[dict[str, Document], list[str]]:
    """Return the json of each split that is there, and lines that count what was kept and left out.

    The maps do not tell one object of a class from another: an annotation is all of a part in a photo.

    Args:
        root: the folder with ``images`` and ``annotations_detectron2_part``; where ``annotations_detectron2_obj`` is
            there too, parts are checked against it.

    Raises:
        FileNotFoundError: there is no split.
        ValueError: a file is malformed.
    """
    root = Path(root)
    splits = [split for split in SPLITS if (root / 'annotations_detectron2_part' / split).is_dir()]
    if not splits:
        raise MissingFileError(f'{root} has neither annotations_detectron2_part/train nor .../val; name the folder '
                               'that PascalPart116.tar.gz unpacks to')
    documents, lines = {}, []
    for split in splits:
        documents[f'pascal_part_116_{split}'], described = convert_split(root, split)
        lines += [f'{split}: {line}' for line in described]
    return documents, lines


def convert_split(root: Path, split: str) -> tuple[Document, list[str]]:
    """Return the json of a split and its lines; see ``convert_pascal_part_116``."""
    names = category_names()
    document = MaskDocument(SOURCE, category_records(names))
    objects = [OBJECTS.index(name.partition("'s ")[0]) for name, _, _ in names]
    photos, hidden_photos = files_of(root / 'images' / split, ('.jpg', ))
    maps, hidden_maps = files_of(root / 'annotations_detectron2_part' / split, ('.png', ))
    object_maps = root / 'annotations_detectron2_obj' / split
    counts: Counter[str] = Counter()
    for stem, path in maps.items():
        if stem not in photos:
            counts['without a photo'] += 1
            continue
        photo = photos[stem]
        size = photo_size(photo)
        labels = read_label_map(path, size, photo, len(names), IGNORED)
        document.add_photo(stem, photo.name, *size)
        owners = None
        if object_maps.is_dir():
            owners = read_label_map(object_maps / path.name, size, photo, len(OBJECTS), IGNORED)
        for label in np.unique(labels[labels != IGNORED]).tolist():
            mask = labels == label
            counts['parts'] += 1
            document.add(stem, label, mask)
            if owners is not None:
                counts['beyond'] += bool((owners[mask] != objects[label]).any())
    shown = {each['image_id'] for each in document.annotations}
    used = {each['category_id'] for each in document.annotations}
    beyond = (f"; {counts['beyond']:,} reach beyond their object" if object_maps.is_dir()
              else '; not checked against objects: no annotations_detectron2_obj')
    return document.document(), [
        account('label maps', len(maps), len(document.images), {'without a photo': counts['without a photo']})
        + f'; {len(shown):,} photos with parts, {len(photos.keys() - maps.keys()):,} photos without a map, '
        f'{hidden_photos + hidden_maps:,} hidden files passed over',
        account('parts', counts['parts'], len(document.annotations), {}) + beyond,
        compare(len(used), len(names), 'categories in these photos')]

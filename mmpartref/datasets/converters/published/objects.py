"""Whole objects, to train on before parts: COCO's ``instances_*.json``, and Objects365 where it has masks.

Papers: Lin et al., Microsoft COCO: Common Objects in Context (ECCV 2014); Shao et al., Objects365: A Large-Scale,
High-Quality Dataset for Object Detection (ICCV 2019), which has boxes alone: masks for it come from others.
"""
from collections.abc import Sequence
from pathlib import Path

from mmpartref.datasets.coco.read_coco import read_json
from mmpartref.datasets.coco.records import Category, plain
from mmpartref.datasets.converters.standard_json import Document, account, by_id, check_pointers, compare, field
from mmpartref.datasets.referring.expressions import name_categories, split_category
from mmpartref.errors import InputError

SOURCES = {'coco': 'COCO', 'objects365': 'Objects365'}
KNOWN_CATEGORIES = {'coco': 80, 'objects365': 365}
# pixels: corners that differ less are the same, for boxes are written with two decimals.
TOLERANCE = 0.02


def convert_objects(ann_file: str | Path, name: str) -> tuple[Document, list[str]]:
    """Return the json of the objects, and lines that count what was kept and left out.

    A category is asked for by its name alone, "car", without COCO's super-category ("vehicle"), and says that its
    ``level`` is that of objects. Annotations without
    ``segmentation`` are left out; crowds stay, for ``PartReferDataset`` counts and leaves them out.

    Args:
        ann_file: ``instances_train2017.json`` and the like.
        name: ``'coco'`` or ``'objects365'``.

    Raises:
        ValueError: the file is malformed, or has boxes and no masks.
    """
    path = str(ann_file)
    published = read_json(path)
    images, annotations, categories = (by_id(published, section, path)
                                       for section in ('images', 'annotations', 'categories'))
    kept, boxes = [], 0
    for key, record in annotations.items():
        check_pointers(record, images, categories, f'{path}: annotation {key}')
        if record.get('segmentation'):
            kept.append(record)
            boxes += is_box(record['segmentation'], record.get('bbox'))
    if boxes == len(kept):
        what = 'polygons that are their boxes' if kept else 'boxes'
        raise InputError(f"{path} has {what} and no masks; use a release of {SOURCES[name]} with 'segmentation'")
    words = [{'id': key, 'name': field(each, 'name', str, f'{path}: category {key}'), 'supercategory': '',
              'part': plain(each['name']), 'level': 'object'} for key, each in categories.items()]
    name_categories(path, {each['id']: Category(each['id'], each['name'], '', part=each['part']) for each in words},
                    lambda category: split_category(category.name, category.super_category, category.part))
    crowds = sum(bool(record.get('iscrowd')) for record in kept)
    shown = {record['image_id'] for record in kept}
    lines = [
        f'{len(images):,} photos, all written; {len(shown):,} of them with objects',
        account('objects', len(annotations), len(kept), {'without a mask': len(annotations) - len(kept)})
        + f'; {crowds:,} are crowds, {boxes:,} have the box as polygon',
        compare(len(words), KNOWN_CATEGORIES[name], 'categories')]
    return {'info': {'source': SOURCES[name]}, 'images': list(images.values()), 'annotations': kept,
            'categories': words}, lines


def is_box(segmentation: object, bbox: object) -> bool:
    """Return whether a segmentation is one ring through the corners of the box (x, y, width, height)."""
    if not (isinstance(segmentation, list) and len(segmentation) == 1 and isinstance(segmentation[0], list)
            and len(segmentation[0]) in (8, 10) and isinstance(bbox, Sequence) and len(bbox) == 4):
        return False
    ring = segmentation[0]
    x, y, width, height = bbox
    corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    points = list(zip(ring[::2], ring[1::2], strict=True))
    return all(any(_near(point, corner) for point in points) for corner in corners) and all(
        any(_near(point, corner) for corner in corners) for point in points)


def _near(first: tuple[float, float], second: tuple[float, float]) -> bool:
    return abs(first[0] - second[0]) <= TOLERANCE and abs(first[1] - second[1]) <= TOLERANCE

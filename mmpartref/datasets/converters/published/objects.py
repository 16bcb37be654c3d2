"""Whole objects, for pre-training: COCO's ``instances_*.json``, and Objects365 where it has masks.

Papers: Lin et al., Microsoft COCO: Common Objects in Context (ECCV 2014); Shao et al., Objects365: A Large-Scale,
High-Quality Dataset for Object Detection (ICCV 2019), which has only boxes; its masks come from other releases.
"""
from pathlib import Path

import numpy as np

from mmpartref.argument_checks import check_path
from mmpartref.datasets.coco.record_faults import TOO_LARGE
from mmpartref.datasets.coco.records import plain
from mmpartref.datasets.converters.standard_json import compare_count, count_line, distinct, field, read_sections
from mmpartref.errors import InputError
from mmpartref.masks.rle import is_number
from mmpartref.text import shown_name

SOURCES = {'coco': 'COCO', 'objects365': 'Objects365'}
PUBLISHED_CATEGORIES = {'coco': 80, 'objects365': 365}
# Pixels: corners that differ less are the same, since boxes are written with two decimals.
TOLERANCE = 0.02


def convert_objects(ann_file: str | Path, name: str) -> tuple[dict, list[str]]:
    """Return the json of the objects, and lines that count what was written and dropped.

    A category is named without COCO's super-category, "car" and not "vehicle car", and gets the ``level`` of objects.
    Annotations whose ``segmentation`` is missing or an empty list are dropped; crowds are written, since
    ``PartReferDataset`` drops and counts them.

    Args:
        ann_file: ``instances_train2017.json`` and the like.
        name: ``'coco'`` or ``'objects365'``.
    """
    path = check_path(ann_file, 'ann_file')
    images, annotations, categories = read_sections(path)
    path = shown_name(path)
    written = [record for record in annotations.values() if record.get('segmentation') not in (None, [])]
    boxes = sum(is_box(record['segmentation'], record.get('bbox')) for record in written)
    if boxes == len(written):
        what = 'polygons that are their boxes' if written else 'boxes'
        raise InputError(f"{path} has {what} and no masks; use a release of {SOURCES[name]} with 'segmentation'")
    objects = [{'id': key, 'name': field(each, 'name', str, f'{path}: category {key}'), 'supercategory': '',
                'part': plain(each['name']), 'level': 'object'} for key, each in categories.items()]
    crowds = sum(bool(record.get('iscrowd')) for record in written)
    lines = [
        f"{len(images):,} images, all written; {distinct(written, 'image_id'):,} of them with objects",
        count_line('objects', len(annotations), len(written), {'without a mask': len(annotations) - len(written)})
        + f'; {crowds:,} are crowds, {boxes:,} have their box as polygon',
        compare_count(len(objects), PUBLISHED_CATEGORIES[name], 'categories')]
    return {'info': {'source': SOURCES[name]}, 'images': list(images.values()), 'annotations': written,
            'categories': objects}, lines


def is_box(segmentation: object, bbox: object) -> bool:
    """Return whether a segmentation is one ring through the corners of the box (x, y, width, height)."""
    if not (isinstance(segmentation, list) and len(segmentation) == 1 and isinstance(segmentation[0], list)
            and len(segmentation[0]) in (8, 10) and isinstance(bbox, list) and len(bbox) == 4
            and all(is_number(value) and abs(value) < TOO_LARGE for value in (*segmentation[0], *bbox))):
        return False
    x, y, width, height = bbox
    corners = np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)])
    points = np.reshape(segmentation[0], (-1, 2))
    same = (np.abs(points[:, None] - corners) <= TOLERANCE).all(axis=2)  # (points, 4)
    return bool(same.any(axis=0).all() and same.any(axis=1).all())

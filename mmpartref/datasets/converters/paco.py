"""PACO-LVIS as published: an LVIS-like json with objects and their parts.

Paper: Ramanathan et al., PACO: Parts and Attributes of Common Objects (CVPR 2023). Format: facebookresearch/paco.
"""
from pathlib import Path

from mmpartref.datasets.coco_parts import read_json

from .standard_json import Document, by_id, field

SOURCE = 'PACO-LVIS'
OBJECT, PART = 'OBJECT', 'PART'


def convert_paco(ann_file: str | Path) -> tuple[Document, list[str]]:
    """Return the json of the parts, and lines that count what was kept and left out.

    Categories ``'car_(automobile):wheel'`` get ``'car_(automobile)'`` as super-category. Objects are left out. Of a
    photo's ``neg_category_ids`` those of parts stay, and an object's become those of all its parts. ``obj_ann_id``
    stays with each annotation: the object that the part is of.

    Args:
        ann_file: ``paco_lvis_v1_train.json`` and the like.

    Raises:
        ValueError: the file is malformed.
    """
    path = str(ann_file)
    document = read_json(path)
    published = by_id(document, 'categories', path)
    categories = part_categories(published, path)
    parts_of: dict[str, list[int]] = {}
    for key, category in categories.items():
        parts_of.setdefault(category['supercategory'], []).append(key)
    images = []
    for image in by_id(document, 'images', path).values():
        negatives = negatives_of(image, published, parts_of, f"{path}: image {image['id']}")
        images.append({**image, 'neg_category_ids': negatives})
    annotations, objects = split_annotations(document, published, path)
    shown = {part['image_id'] for part in annotations}
    negative = sum(len(image['neg_category_ids']) for image in images)
    lines = [f'{len(images):,} photos, {len(shown):,} of them with parts; {negative:,} absent categories of parts',
             f'{len(annotations):,} parts of {len(categories):,} categories; {objects:,} objects left out']
    return {'info': {'source': SOURCE}, 'images': images, 'annotations': annotations,
            'categories': list(categories.values())}, lines


def part_categories(published: dict[int, dict], path: str) -> dict[int, dict]:
    """Return the categories of parts, by id, their objects as super-categories.

    Raises:
        ValueError: a category is neither an object nor a part, or a part's name does not say of what.
    """
    categories = {}
    for key, category in published.items():
        where = f'{path}: category {key}'
        name, kind = field(category, 'name', str, where), field(category, 'supercategory', str, where)
        if kind not in (OBJECT, PART):
            raise ValueError(f"{where}: 'supercategory' is {kind!r}, not {OBJECT} or {PART}; use PACO's own json")
        if kind == PART:
            owner, colon, part = name.partition(':')
            if not (owner.strip() and colon and part.strip()):
                raise ValueError(f"{where}: its name {name!r} is not 'object:part'; use PACO's own json")
            categories[key] = {'id': key, 'name': name, 'supercategory': owner}
    if not categories:
        raise ValueError(f"{path} has no category of parts ('supercategory': '{PART}'); use PACO's own json")
    return categories


def negatives_of(image: dict, published: dict[int, dict], parts_of: dict[str, list[int]], where: str) -> list[int]:
    """Return the categories of parts that a photo does not show, as far as the json says so.

    Raises:
        ValueError: ``neg_category_ids`` is missing, or names an unknown category.
    """
    negatives: dict[int, None] = {}
    for key in field(image, 'neg_category_ids', list, where):
        if not isinstance(key, int) or key not in published:
            raise ValueError(f"{where}: its neg_category_ids has {key!r}, which is no category; use PACO's own json")
        category = published[key]
        is_part = category['supercategory'] == PART
        negatives.update(dict.fromkeys([key] if is_part else parts_of.get(category['name'], [])))
    return list(negatives)


def split_annotations(document: Document, published: dict[int, dict], path: str) -> tuple[list[dict], int]:
    """Return the parts, and how many objects there are.

    Raises:
        ValueError: an annotation's category or object is missing, or its object is of another photo.
    """
    annotations = by_id(document, 'annotations', path)
    parts = []
    for key, record in annotations.items():
        where = f'{path}: annotation {key}'
        category_id = field(record, 'category_id', int, where)
        if category_id not in published:
            raise ValueError(f"{where}: its category_id {category_id} is no category; use PACO's own json")
        if published[category_id]['supercategory'] == OBJECT:
            continue
        owner = annotations.get(field(record, 'obj_ann_id', int, where))
        if owner is None or owner.get('image_id') != field(record, 'image_id', int, where):
            raise ValueError(f"{where}: its obj_ann_id {record['obj_ann_id']} is no annotation of its photo; use "
                             "PACO's own json")
        parts.append(record)
    return parts, len(annotations) - len(parts)

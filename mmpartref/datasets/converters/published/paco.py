"""PACO-LVIS as published: an LVIS-like json with objects and their parts.

Paper: Ramanathan et al., PACO: Parts and Attributes of Common Objects (CVPR 2023). Format: facebookresearch/paco.
"""
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from mmpartref.datasets.coco.read_coco import read_json
from mmpartref.datasets.coco.records import plain
from mmpartref.datasets.converters.standard_json import Document, by_id, compare, field
from mmpartref.errors import InputError

SOURCE = 'PACO-LVIS'
# Of parts.
KNOWN_CATEGORIES = 456
OBJECT, PART = 'OBJECT', 'PART'
# What LVIS writes behind a name that has several meanings: "car_(automobile)".
GLOSS = re.compile(r'_?\([^()]*\)$')


def convert_paco(ann_file: str | Path) -> tuple[Document, list[str]]:
    """Return the json of the parts, and lines that count what was kept and left out.

    A category keeps its name, ``'car_(automobile):wheel'``, and says in words what it means: the part "wheel" of a
    "car" (see ``spoken_names``); ``object`` is the name of the object's category. Objects are left out. Of a photo's
    ``neg_category_ids`` those of parts stay, and an object's become those of all its parts. ``obj_ann_id`` stays with
    each annotation: the object that the part is of.

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
        parts_of.setdefault(category['object'], []).append(key)
    images = []
    for image in by_id(document, 'images', path).values():
        negatives = negatives_of(image, published, parts_of, f"{path}: image {image['id']}")
        images.append({**image, 'neg_category_ids': negatives})
    annotations, objects = split_annotations(document, published, path)
    shown = {part['image_id'] for part in annotations}
    negative = sum(len(image['neg_category_ids']) for image in images)
    lines = [f'{len(images):,} photos, {len(shown):,} of them with parts; {negative:,} absent categories of parts',
             f'{len(annotations):,} parts written, {objects:,} objects left out; '
             + compare(len(categories), KNOWN_CATEGORIES, 'categories of parts'),
             describe_glosses(categories.values())]
    return {'info': {'source': SOURCE}, 'images': images, 'annotations': annotations,
            'categories': list(categories.values())}, lines


def part_categories(published: dict[int, dict], path: str) -> dict[int, dict]:
    """Return the categories of parts, by id, their objects as super-categories.

    Raises:
        ValueError: a category is neither an object nor a part, or a part's name does not say of which of the objects.
    """
    categories = {}
    spoken = spoken_names(str(category.get('name')) for category in published.values()
                          if category.get('supercategory') == OBJECT)
    for key, category in published.items():
        where = f'{path}: category {key}'
        name, kind = field(category, 'name', str, where), field(category, 'supercategory', str, where)
        if kind not in (OBJECT, PART):
            raise InputError(f"{where}: 'supercategory' is {kind!r}, not {OBJECT} or {PART}; use PACO's own json")
        if kind == PART:
            owner, colon, part = name.partition(':')
            if not (owner.strip() and colon and part.strip()):
                raise InputError(f"{where}: its name {name!r} is not 'object:part'; use PACO's own json")
            if owner not in spoken:
                raise InputError(f"{where}: its object {owner!r} is no category; use PACO's own json")
            categories[key] = {'id': key, 'name': name, 'supercategory': spoken[owner], 'part': plain(part),
                               'object': owner}
    if not categories:
        raise InputError(f"{path} has no category of parts ('supercategory': '{PART}'); use PACO's own json")
    return categories


def spoken_names(names: Iterable[str]) -> dict[str, str]:
    """Return each object's name in words: without LVIS's gloss unless two objects would then have the same name.

    "car_(automobile)" is "car"; beside a "bow_(weapon)", "bow_(decorative_ribbons)" stays "bow (decorative ribbons)".
    """
    bare = {name: plain(GLOSS.sub('', name)) for name in names}
    times = Counter(bare.values())
    return {name: words if times[words] == 1 else plain(name) for name, words in bare.items()}


def describe_glosses(categories: Iterable[dict]) -> str:
    """Return a line that counts the objects whose words lost their gloss and those that keep it, by name."""
    spoken = {category['object']: category['supercategory'] for category in categories}
    glossed = [name for name in spoken if GLOSS.search(name)]
    kept = sorted(spoken[name] for name in glossed if spoken[name] == plain(name))
    return (f"{len(glossed) - len(kept)} objects are named without their gloss, {len(kept)} keep it, for another has "
            f"the same name{': ' if kept else ''}{', '.join(kept)}")


def negatives_of(image: dict, published: dict[int, dict], parts_of: dict[str, list[int]], where: str) -> list[int]:
    """Return the categories of parts that a photo does not show, as far as the json says so.

    Raises:
        ValueError: ``neg_category_ids`` is missing, or names an unknown category.
    """
    negatives: dict[int, None] = {}
    for key in field(image, 'neg_category_ids', list, where):
        if not isinstance(key, int) or key not in published:
            raise InputError(f"{where}: its neg_category_ids has {key!r}, which is no category; use PACO's own json")
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
            raise InputError(f"{where}: its category_id {category_id} is no category; use PACO's own json")
        if published[category_id]['supercategory'] == OBJECT:
            continue
        owner = annotations.get(field(record, 'obj_ann_id', int, where))
        if owner is None or owner.get('image_id') != field(record, 'image_id', int, where):
            raise InputError(f"{where}: its obj_ann_id {record['obj_ann_id']} is no annotation of its photo; use "
                             "PACO's own json")
        parts.append(record)
    return parts, len(annotations) - len(parts)

"""PACO-LVIS as published: an LVIS-like json of objects and their parts.

Paper: Ramanathan et al., PACO: Parts and Attributes of Common Objects (CVPR 2023). Format: facebookresearch/paco.
"""
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from mmpartref.argument_checks import check_path
from mmpartref.datasets.coco.records import plain
from mmpartref.datasets.converters.standard_json import compare_count, distinct, field, read_sections
from mmpartref.errors import InputError
from mmpartref.text import shown, shown_name

SOURCE = 'PACO-LVIS'
# Of parts.
PUBLISHED_CATEGORIES = 456
OBJECT, PART = 'OBJECT', 'PART'
# LVIS's sense of a name with several meanings: "car_(automobile)".
SENSE = re.compile(r'_?\([^()]*\)$')
OWN_JSON = "use PACO's own json"


def convert_paco(ann_file: str | Path) -> tuple[dict, list[str]]:
    """Return the json of the parts, and lines that count what was written and dropped.

    A category has its published name, ``'car_(automobile):wheel'``, and its meaning in words: the part "wheel" of a
    "car" (see ``object_words``); ``object`` is the name of the object's category. Objects are dropped. Of an image's
    ``neg_category_ids`` those of parts are copied, and one of an object is replaced by those of all its parts.
    ``object_id`` of an annotation is PACO's ``obj_ann_id``, the object that the part belongs to.

    Args:
        ann_file: ``paco_lvis_v1_train.json`` and the like.
    """
    path = check_path(ann_file, 'ann_file')
    published_images, annotations, published = read_sections(path, check_references=False)
    path = shown_name(path)
    categories = part_categories(published, path)
    parts_of: dict[str, list[int]] = {}
    for key, category in categories.items():
        parts_of.setdefault(category['object'], []).append(key)
    images = [{**image, 'neg_category_ids': negative_parts(image, published, parts_of, f'{path}: image {key}')}
              for key, image in published_images.items()]
    parts = part_annotations(annotations, published, path)
    negatives = sum(len(image['neg_category_ids']) for image in images)
    lines = [f"{len(images):,} images, {distinct(parts, 'image_id'):,} of them with parts; {negatives:,} absent "
             'categories of parts',
             f'{len(parts):,} parts written, {len(annotations) - len(parts):,} objects dropped; '
             + compare_count(len(categories), PUBLISHED_CATEGORIES, 'categories of parts'),
             sense_line(categories.values())]
    return {'info': {'source': SOURCE}, 'images': images, 'annotations': parts,
            'categories': list(categories.values())}, lines


def part_categories(published: dict[int, dict], path: str) -> dict[int, dict]:
    """Return the categories of parts by id, with their objects as super-categories."""
    categories = {}
    words = object_words(str(category.get('name')) for category in published.values()
                         if category.get('supercategory') == OBJECT)
    for key, category in published.items():
        where = f'{path}: category {key}'
        name, kind = field(category, 'name', str, where), field(category, 'supercategory', str, where)
        if kind not in (OBJECT, PART):
            raise InputError(f"{where}: 'supercategory' is {shown(kind)}, not {OBJECT} or {PART}; {OWN_JSON}")
        if kind == PART:
            owner, colon, part = name.partition(':')
            if not (owner.strip() and colon and part.strip()):
                raise InputError(f"{where}: its name {shown(name)} is not 'object:part'; {OWN_JSON}")
            if owner not in words:
                raise InputError(f'{where}: its object {shown(owner)} is not a category; {OWN_JSON}')
            categories[key] = {'id': key, 'name': name, 'supercategory': words[owner], 'part': plain(part),
                               'object': owner}
    if not categories:
        raise InputError(f"{path} has no category of parts ('supercategory': '{PART}'); {OWN_JSON}")
    return categories


def object_words(names: Iterable[str]) -> dict[str, str]:
    """Return each object's name in words: without LVIS's sense, unless two objects would then have the same name.

    "car_(automobile)" is "car"; "bow_(weapon)" and "bow_(decorative_ribbons)" are "bow (weapon)" and "bow (decorative
    ribbons)".
    """
    short = {name: plain(SENSE.sub('', name)) for name in names}
    times = Counter(short.values())
    return {name: words if times[words] == 1 else plain(name) for name, words in short.items()}


def sense_line(categories: Iterable[dict]) -> str:
    """Return a line that counts the objects that are named without and with LVIS's sense, the latter by name."""
    words = {category['object']: category['supercategory'] for category in categories}
    with_sense = [name for name in words if SENSE.search(name)]
    ambiguous = sorted(words[name] for name in with_sense if words[name] == plain(name))
    return (f'{len(with_sense) - len(ambiguous)} objects are named without their sense in parentheses, '
            f"{len(ambiguous)} with it, since another has the same name{': ' if ambiguous else ''}"
            f"{', '.join(ambiguous)}")


def negative_parts(image: dict, published: dict[int, dict], parts_of: dict[str, list[int]], where: str) -> list[int]:
    """Return the ids of part categories that ``neg_category_ids`` of an image declares absent.

    Args:
        image: its record.
        published: every category by id.
        parts_of: ids of the part categories by object name, for an object that is declared absent.
        where: file and image, for the message.

    Raises:
        InputError: an id is not that of a category.
    """
    negatives: dict[int, None] = {}
    for key in field(image, 'neg_category_ids', list, where):
        if type(key) is not int or key not in published:
            raise InputError(f'{where}: its neg_category_ids has {shown(key)}, which is not a category; {OWN_JSON}')
        category = published[key]
        is_part = category['supercategory'] == PART
        negatives.update(dict.fromkeys([key] if is_part else parts_of.get(category['name'], [])))
    return list(negatives)


def part_annotations(annotations: dict[int, dict], published: dict[int, dict], path: str) -> list[dict]:
    """Return the annotations of parts, with the id of their object's annotation as ``object_id``.

    Args:
        annotations: all annotations by id.
        published: every category by id.
        path: of the file, for the message.

    Raises:
        InputError: a category does not exist, or ``obj_ann_id`` is not an annotation of the same image.
    """
    parts = []
    for key, record in annotations.items():
        where = f'{path}: annotation {key}'
        category_id = field(record, 'category_id', int, where)
        if category_id not in published:
            raise InputError(f'{where}: its category_id {category_id} is not a category; {OWN_JSON}')
        if published[category_id]['supercategory'] == OBJECT:
            continue
        owner = annotations.get(field(record, 'obj_ann_id', int, where))
        if owner is None or owner.get('image_id') != field(record, 'image_id', int, where):
            raise InputError(f"{where}: its obj_ann_id {record['obj_ann_id']} is not an annotation of its image; "
                             f'{OWN_JSON}')
        parts.append({**record, 'object_id': record['obj_ann_id']})
    return parts

"""SPIN (SubPartImageNet) as published: objects, parts and subparts of PartImageNet's images, in a COCO json each.

Paper: Myers-Dean et al., SPIN: Hierarchical Segmentation with Subpart Granularity in Natural Images (ECCV 2024).
Format: joshmyersdean/spin-api: ``spin_{split}_{wholes,parts,subparts}.json`` share image ids; file names have no
suffix; subparts are named "Quadruped-Head-Eyes", parts "Quadruped Head".
"""
import os
from collections import Counter
from pathlib import Path

from pycocotools import mask as coco_mask

from mmpartref.argument_checks import check_path
from mmpartref.datasets.coco.records import plain
from mmpartref.datasets.converters.mask_document import annotation_rle
from mmpartref.datasets.converters.standard_json import AS_PUBLISHED, compare_count, field, measured, read_sections
from mmpartref.datasets.partimagenet.partimagenet_names import PART_ALIASES
from mmpartref.errors import InputError, MissingFileError
from mmpartref.masks.rle import union
from mmpartref.text import shown, shown_name

SOURCE = 'SPIN'
SPLITS = ('train', 'val', 'test')
# The three files, and the level of their categories.
FILE_LEVELS = {'wholes': 'object', 'parts': 'part', 'subparts': 'subpart'}
# Published numbers of images with subparts, and of categories.
PUBLISHED_IMAGES = {'train': 8828, 'val': 519, 'test': 1040}
PUBLISHED_CATEGORIES = {'wholes': 158, 'parts': 40, 'subparts': 203}
SUFFIX = '.JPEG'
# Names of parts in the subparts' json that differ from PartImageNet's.
PART_NAMES = {'torso': 'body', 'legs': 'foot', 'arm': 'hand'}


def convert_spin(folder: str | Path) -> tuple[dict, list[str]]:
    """Return the json of each split and level that exists, and lines that count their content.

    All annotations are written. File names get PartImageNet's suffix. "Quadruped-Head-Eyes" is the part "eyes" of a
    "quadruped head".

    Args:
        folder: with ``spin_train_wholes.json`` and the like.
    """
    folder = Path(check_path(folder, 'folder'))
    splits = [split for split in SPLITS if any(os.path.isfile(folder / f'spin_{split}_{level}.json')
                                               for level in FILE_LEVELS)]
    if not splits:
        raise MissingFileError(f'{shown_name(str(folder))} has no spin_train_subparts.json or the like; name the '
                               'folder that spin_coco.zip unpacks to')
    documents, lines = {}, []
    for split in splits:
        levels = {level: read_level(folder / f'spin_{split}_{level}.json', level) for level in FILE_LEVELS}
        check_images(levels, folder, split)
        levels = {level: measured(document, shown_name(str(folder / f'spin_{split}_{level}.json')))
                  for level, document in levels.items()}
        for level, document in levels.items():
            documents[f'spin_{split}_{level}'] = document
            lines.append(f"{split}: {len(document['annotations']):,} annotations of {level} in "
                         f"{len(document['images']):,} images, all written; "
                         + compare_count(len(document['categories']), PUBLISHED_CATEGORIES[level], 'categories'))
        lines += [f'{split}: {line}' for line in (
            compare_count(len(levels['subparts']['images']), PUBLISHED_IMAGES[split], 'images with subparts'),
            containment_line('subparts', levels, folder, split), containment_line('parts', levels, folder, split))]
    return documents, lines


def read_level(path: Path, level: str) -> dict:
    """Return the COCO json to write for the published file of one level, e.g. 'subparts'; raises an InputError."""
    images, annotations, categories = read_sections(str(path))
    where = shown_name(str(path))
    for key, image in images.items():
        for side in ('height', 'width'):
            field(image, side, int, f'{where}: image {key}')
        name = field(image, 'file_name', str, f'{where}: image {key}')
        images[key] = {**image, 'file_name': name if Path(name).suffix else f'{name}{SUFFIX}'}
    return {
        'info': {'source': SOURCE},
        'images': list(images.values()),
        'annotations': list(annotations.values()),
        'categories': [category_in_words(category, level, f'{where}: category {key}')
                       for key, category in categories.items()],
    }


def category_in_words(category: dict, level: str, where: str) -> dict:
    """Return a category with its meaning in words; its name has the form of its level."""
    name = field(category, 'name', str, where)
    owner, part = '', name
    if level == 'parts':
        owner, _, part = name.partition(' ')
        part = ' '.join(PART_ALIASES.get(word, word) for word in plain(part).split())
    elif level == 'subparts':
        pieces = name.split('-')
        owner, part = ' '.join(pieces[:2]), pieces[-1] if len(pieces) == 3 else ''
    if not part.strip():
        form = {'wholes': "an object's name", 'parts': "'Quadruped Head'", 'subparts': "'Quadruped-Head-Eyes'"}[level]
        raise InputError(f'{where}: its name {shown(name)} is not like {form}; {AS_PUBLISHED}')
    return {'id': category['id'], 'name': name, 'supercategory': plain(owner), 'part': plain(part),
            'level': FILE_LEVELS[level]}


def check_images(levels: dict[str, dict], folder: Path, split: str) -> None:
    """Raise an ``InputError`` if the three files have different images with one id."""
    images = {each['id']: each for each in levels['subparts']['images']}
    for level in ('parts', 'wholes'):
        for image in levels[level]['images']:
            other = images.get(image['id'])
            if other is not None and any(image.get(key) != other.get(key) for key in ('file_name', 'height', 'width')):
                path = shown_name(str(folder / f'spin_{split}_{level}.json'))
                raise InputError(f"{path}: image {image['id']} has another name or size than in "
                                 f'spin_{split}_subparts.json; use the files of one download')


def part_of_subpart(category: dict) -> tuple[str, str]:
    """Return (super-category, part), in PartImageNet's words, of the part that a subpart belongs to."""
    owner, _, part = category['supercategory'].partition(' ')
    return owner, PART_NAMES.get(part, part)


def containment_line(level: str, levels: dict[str, dict], folder: Path, split: str) -> str:
    """Return a line that counts the annotations of subparts or parts that extend outside their parents.

    A subpart's parents are the annotations of its part in its image, a part's parents all objects in its image.
    """
    parent_level, owner = {'subparts': ('parts', 'part'), 'parts': ('wholes', 'object')}[level]
    children, parents = levels[level], levels[parent_level]
    meanings = {each['id']: (each['supercategory'], each['part']) for each in parents['categories']}
    wanted = {each['id']: part_of_subpart(each) if level == 'subparts' else None for each in children['categories']}
    unknown = sorted({each['name'] for each in children['categories']
                      if level == 'subparts' and wanted[each['id']] not in meanings.values()})
    masks = _unions(parents, meanings if level == 'subparts' else {}, folder / f'spin_{split}_{parent_level}.json')
    counts: Counter[str] = Counter()
    share = 0.0
    for record, rle in _masks(children, folder / f'spin_{split}_{level}.json'):
        area = 0 if rle is None else int(coco_mask.area(rle))
        parent = masks.get((record['image_id'], wanted[record['category_id']]))
        inside = int(coco_mask.area(coco_mask.merge([rle, parent], intersect=True))) if area and parent else 0
        counts['empty'] += not area
        counts['without parent'] += parent is None
        counts['outside'] += parent is not None and inside < area
        share += inside / area if area else 0.0
    number = len(children['annotations'])
    line = (f"{number:,} {level}: {counts['without parent']:,} without their {owner} in the image, "
            f"{counts['outside']:,} extend outside it, {counts['empty']:,} have an empty mask; of the others' area "
            f"{100 * share / max(number - counts['empty'], 1):.1f}% is inside on average")
    return f"{line}; no part has the name in {', '.join(unknown)}" if unknown else line


def _masks(document: dict, path: Path) -> list[tuple[dict, dict | None]]:
    """Return each annotation with its mask as a compressed RLE."""
    sizes = {each['id']: (each['height'], each['width']) for each in document['images']}
    return [(record, annotation_rle(record, sizes[record['image_id']], f"{path}: annotation {record['id']}"))
            for record in document['annotations']]


def _unions(document: dict, meanings: dict[int, tuple[str, str]], path: Path) -> dict[tuple, dict]:
    """Return the union of the masks of each image and meaning; without meanings, of each image."""
    groups: dict[tuple, list[dict]] = {}
    for record, rle in _masks(document, path):
        if rle is not None:
            groups.setdefault((record['image_id'], meanings.get(record['category_id'])), []).append(rle)
    return {key: union(rles, rles[0]['size']) for key, rles in groups.items()}

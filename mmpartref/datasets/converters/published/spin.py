"""SPIN (SubPartImageNet) as published: objects, parts and sub-parts of PartImageNet's photos, one COCO json each.

Paper: Myers-Dean et al., SPIN: Hierarchical Segmentation with Subpart Granularity in Natural Images (ECCV 2024).
Format: joshmyersdean/spin-api: ``spin_{split}_{wholes,parts,subparts}.json`` share the ids of photos, whose file names
have no suffix; sub-parts are named "Quadruped-Head-Eyes", parts "Quadruped Head".
"""
from collections import Counter
from pathlib import Path

from pycocotools import mask as coco_mask

from mmpartref.datasets.coco.read_coco import read_json
from mmpartref.datasets.coco.records import plain
from mmpartref.datasets.converters.standard_json import Document, by_id, check_pointers, compare, field
from mmpartref.datasets.partimagenet.partimagenet_names import PART_ALIASES
from mmpartref.errors import InputError, MissingFileError
from mmpartref.masks.rle import rle_from_segmentation, union

SOURCE = 'SPIN'
SPLITS = ('train', 'val', 'test')
# The three files, and what a category of each is.
LEVELS = {'wholes': 'object', 'parts': 'part', 'subparts': 'subpart'}
# Photos with sub-parts, and categories, as published.
KNOWN_PHOTOS = {'train': 8828, 'val': 519, 'test': 1040}
KNOWN_CATEGORIES = {'wholes': 158, 'parts': 40, 'subparts': 203}
SUFFIX = '.JPEG'
# What sub-parts call a part that PartImageNet calls otherwise.
PART_NAMES = {'torso': 'body', 'legs': 'foot', 'arm': 'hand'}


def convert_spin(folder: str | Path) -> tuple[dict[str, Document], list[str]]:
    """Return the json of each split and level that is there, and lines that count what was found.

    Every annotation is kept. File names get PartImageNet's suffix. "Quadruped-Head-Eyes" is the part "eyes" of a
    "quadruped head".

    Args:
        folder: where ``spin_train_wholes.json`` and its siblings lie.

    Raises:
        FileNotFoundError: there is no split, or one of its three files is missing.
        ValueError: a file is malformed, or the three disagree on a photo.
    """
    folder = Path(folder)
    splits = [split for split in SPLITS if any((folder / f'spin_{split}_{level}.json').is_file() for level in LEVELS)]
    if not splits:
        raise MissingFileError(f'{folder} has no spin_train_subparts.json or the like; name the folder that '
                               'spin_coco.zip unpacks to')
    documents, lines = {}, []
    for split in splits:
        levels = {level: read_level(folder / f'spin_{split}_{level}.json', level) for level in LEVELS}
        check_photos(levels, folder, split)
        for level, document in levels.items():
            documents[f'spin_{split}_{level}'] = document
            lines.append(f"{split}: {len(document['annotations']):,} annotations of {level} in "
                         f"{len(document['images']):,} photos, all written; "
                         + compare(len(document['categories']), KNOWN_CATEGORIES[level], 'categories'))
        lines += [f'{split}: {line}' for line in (
            compare(len(levels['subparts']['images']), KNOWN_PHOTOS[split], 'photos with sub-parts'),
            describe_containment('subparts', levels['subparts'], levels['parts'], folder, split),
            describe_containment('parts', levels['parts'], levels['wholes'], folder, split))]
    return documents, lines


def read_level(path: Path, level: str) -> Document:
    """Return one file as the json that is written.

    Raises:
        ValueError: it is malformed.
    """
    where = str(path)
    published = read_json(where)
    images, annotations, categories = (by_id(published, section, where)
                                       for section in ('images', 'annotations', 'categories'))
    for key, record in annotations.items():
        check_pointers(record, images, categories, f'{where}: annotation {key}')
    for key, image in images.items():
        for side in ('height', 'width'):
            field(image, side, int, f'{where}: image {key}')
    return {
        'info': {'source': SOURCE},
        'images': [{**image, 'file_name': file_name_of(image, f'{where}: image {key}')}
                   for key, image in images.items()],
        'annotations': list(annotations.values()),
        'categories': [words_of(category, level, f'{where}: category {key}') for key, category in categories.items()],
    }


def file_name_of(image: dict, where: str) -> str:
    """Return an image's file name with PartImageNet's suffix."""
    name = field(image, 'file_name', str, where)
    return name if Path(name).suffix else f'{name}{SUFFIX}'


def words_of(category: dict, level: str, where: str) -> dict:
    """Return a category that says in words what it means.

    Raises:
        ValueError: its name is not of its level's form.
    """
    name = field(category, 'name', str, where)
    owner, part = '', name
    if level == 'parts':
        owner, _, part = name.partition(' ')
        part = ' '.join(PART_ALIASES.get(word, word) for word in plain(part).split())
    elif level == 'subparts':
        pieces = name.split('-')
        owner, part = ' '.join(pieces[:2]), pieces[-1]
        if len(pieces) != 3:
            part = ''
    if not part.strip():
        form = {'wholes': "an object's name", 'parts': "'Quadruped Head'", 'subparts': "'Quadruped-Head-Eyes'"}[level]
        raise InputError(f'{where}: its name {name!r} is not like {form}; use the file as it was published')
    return {'id': category['id'], 'name': name, 'supercategory': plain(owner), 'part': plain(part),
            'level': LEVELS[level]}


def check_photos(levels: dict[str, Document], folder: Path, split: str) -> None:
    """Refuse three files that do not mean the same photos by the same ids.

    Raises:
        ValueError: see above.
    """
    photos = {each['id']: each for each in levels['subparts']['images']}
    for level in ('parts', 'wholes'):
        for image in levels[level]['images']:
            other = photos.get(image['id'])
            if other is not None and any(image.get(key) != other.get(key) for key in ('file_name', 'height', 'width')):
                raise InputError(f"{folder}/spin_{split}_{level}.json: image {image['id']} has another name or size "
                                 f'than in spin_{split}_subparts.json; use the files of one download')


def parent_of(category: dict) -> tuple[str, str]:
    """Return (super-category, part in PartImageNet's words) of the part that a sub-part is of."""
    owner, _, part = category['supercategory'].partition(' ')
    return owner, PART_NAMES.get(part, part)


def describe_containment(level: str, children: Document, parents: Document, folder: Path, split: str) -> str:
    """Return a line that counts the children that lie outside their parents.

    A sub-part's parents are the annotations of its part in its photo, a part's all objects in its photo.

    Raises:
        ValueError: a mask is malformed.
    """
    kinds = {each['id']: (each['supercategory'], each['part']) for each in parents['categories']}
    wanted = {each['id']: parent_of(each) if level == 'subparts' else None for each in children['categories']}
    unknown = sorted({each['name'] for each in children['categories']
                      if level == 'subparts' and wanted[each['id']] not in kinds.values()})
    path = folder / f'spin_{split}_{level}.json'
    above = folder / f"spin_{split}_{'parts' if level == 'subparts' else 'wholes'}.json"
    masks = _unions(parents, kinds if level == 'subparts' else {}, above)
    sizes = {each['id']: (each['height'], each['width']) for each in children['images']}
    counts: Counter[str] = Counter()
    share = 0.0
    for record in children['annotations']:
        rle = rle_of(record, sizes[record['image_id']], path)
        area = 0 if rle is None else int(coco_mask.area(rle))
        parent = masks.get((record['image_id'], wanted[record['category_id']]))
        inside = int(coco_mask.area(coco_mask.merge([rle, parent], intersect=True))) if area and parent else 0
        counts['empty'] += not area
        counts['without'] += parent is None
        counts['beyond'] += parent is not None and inside < area
        share += inside / area if area else 0.0
    number = len(children['annotations'])
    owner = 'part' if level == 'subparts' else 'object'
    line = (f"{number:,} {level}: {counts['without']:,} without their {owner} in the photo, {counts['beyond']:,} reach "
            f"beyond it, {counts['empty']:,} have an empty mask; of the others' area "
            f"{100 * share / max(number - counts['empty'], 1):.1f}% lie inside on average")
    return f"{line}; no part is called like that of {', '.join(unknown)}" if unknown else line


def rle_of(record: dict, size: tuple, path: Path) -> dict | None:
    """Return an annotation's mask as a compressed RLE.

    Raises:
        ValueError: it is malformed.
    """
    where = f"{path}: annotation {record['id']}"
    try:
        return rle_from_segmentation(field(record, 'segmentation', object, where), *size)[0]
    except ValueError as error:
        raise InputError(f'{where}: {error}') from None


def _unions(document: Document, kinds: dict[int, tuple[str, str]], path: Path) -> dict[tuple, dict]:
    """Return the union of the masks of each photo and kind; of all kinds where none are told apart."""
    sizes = {each['id']: (each['height'], each['width']) for each in document['images']}
    groups: dict[tuple, list[dict]] = {}
    for record in document['annotations']:
        rle = rle_of(record, sizes[record['image_id']], path)
        if rle is not None:
            groups.setdefault((record['image_id'], kinds.get(record['category_id'])), []).append(rle)
    return {key: union(rles, sizes[key[0]]) for key, rles in groups.items()}

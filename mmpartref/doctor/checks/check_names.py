"""The records of a COCO part json, read as far as they can be."""
from collections import Counter
from dataclasses import dataclass
from typing import Any

from mmpartref.datasets.coco.check_masks import PhotoRecord
from mmpartref.datasets.coco.findings import Notebook
from mmpartref.datasets.coco.read_coco import read_json
from mmpartref.datasets.coco.records import PartName, plain
from mmpartref.datasets.partimagenet.partimagenet_names import load_synsets
from mmpartref.datasets.partimagenet.partimagenet_referring_dataset import wnid
from mmpartref.doctor.category_names import PARTIMAGENET_NAMES, is_partimagenet, meaning_of, without_alias

IMAGE_KEYS: dict[str, tuple[type, ...]] = {'id': (int, str), 'file_name': (str, ), 'height': (int, ), 'width': (int, )}
ANNOTATION_KEYS: dict[str, tuple[type, ...]] = {'id': (int, ), 'image_id': (int, str), 'category_id': (int, )}
CATEGORY_KEYS: dict[str, tuple[type, ...]] = {'id': (int, ), 'name': (str, )}
# pixels: JPEG knows no longer one.
LONGEST_SIDE = 65535
SINGULAR = {'images': 'image', 'annotations': 'annotation', 'categories': 'category'}


@dataclass(frozen=True)
class SplitRecords:
    """What of a json can be examined further.

    Attributes:
        photos: the images whose records are sound, in the order of the json.
        meanings: of the categories whose records are sound, by id.
        category_names: as written, by id.
        annotations: how many the json lists, sound or not.
        partimagenet: whether names and photos are PartImageNet's.
    """
    photos: list[PhotoRecord]
    meanings: dict[int, PartName]
    category_names: dict[int, str]
    annotations: int
    partimagenet: bool


def read_split(notebook: Notebook) -> SplitRecords | None:
    """Read the notebook's json and check its records; None where it cannot be read at all."""
    try:
        document = read_json(str(notebook.ann_file))
    except (OSError, ValueError, RecursionError) as error:
        notebook.add('unreadable-json', message=str(error))
        return None
    images = sound_records(document['images'], 'images', IMAGE_KEYS, notebook)
    categories = sound_records(document['categories'], 'categories', CATEGORY_KEYS, notebook)
    annotations = sound_records(document['annotations'], 'annotations', ANNOTATION_KEYS, notebook)
    meanings = {record['id']: meaning_of(record['name'], owner_of(record), part_of(record))
                for record in categories}
    partimagenet = is_partimagenet(meanings.values(), (record['file_name'] for record in images))
    check_categories(categories, meanings, partimagenet, notebook)
    photos = check_images(images, notebook)
    # An id whose record is damaged is known all the same: the damage is noted once.
    known = {'image_id': ids_of(document['images']), 'category_id': ids_of(document['categories'])}
    for record in annotations:
        dangling = False
        for key, ids in known.items():
            if record[key] not in ids:
                dangling = True
                notebook.add(f'dangling-{key.replace("_", "-")}', f"annotation {record['id']}",
                             f'its {key} {record[key]!r} is not in the json')
        if not dangling and record['image_id'] in photos:
            photos[record['image_id']].annotations.append(record)
    for photo in photos.values():
        check_parts_of(photo, meanings, partimagenet, notebook)
    names = {record['id']: record['name'] for record in categories}
    return SplitRecords(list(photos.values()), meanings, names, len(document['annotations']), partimagenet)


def owner_of(category: dict) -> str | None:
    """Return a category's super-category where it is a string."""
    owner = category.get('supercategory')
    return owner if isinstance(owner, str) else None


def part_of(category: dict) -> str | None:
    """Return what a category says that it means where that is a string."""
    part = category.get('part')
    return part if isinstance(part, str) and part.strip() else None


def ids_of(records: list) -> set:
    """Return the ids of all records that have one."""
    return {record['id'] for record in records
            if isinstance(record, dict) and isinstance(record.get('id'), (int, str))}


def sound_records(records: list, section: str, keys: dict[str, tuple[type, ...]], notebook: Notebook) -> list[dict]:
    """Return the records that have all keys with values of the right type, of those with one id the first.

    Annotations that merely share an id are all returned: nothing points to the id of an annotation.
    """
    sound: list[dict] = []
    first: dict[Any, dict] = {}
    for index, record in enumerate(records):
        fault = record_fault(record, section, keys)
        name = f'{section}[{index}]'
        if isinstance(record, dict) and isinstance(record.get('id'), (int, str)):
            name = f"{SINGULAR[section]} {record['id']}"
        if fault:
            notebook.add('bad-record', name, fault)
            continue
        other = first.setdefault(record['id'], record)
        if other is not record:
            same = 'the same' if record == other else 'another'
            notebook.add(f'duplicate-{SINGULAR[section]}-id', name,
                         f'{section}[{index}] is {same} record with the id of an earlier one')
        if other is record or (section == 'annotations' and record != other):
            sound.append(record)
    return sound


def record_fault(record: object, section: str, keys: dict[str, tuple[type, ...]]) -> str:
    """Say what is wrong with a record's keys, or ''."""
    if not isinstance(record, dict):
        return f'it is a {type(record).__name__}, not an object'
    for key, types in keys.items():
        if key not in record:
            return f"the key '{key}' is missing"
        if not isinstance(record[key], types) or isinstance(record[key], bool):
            return f"'{key}' is {record[key]!r}, not {' or '.join(each.__name__ for each in types)}"
    if section == 'images' and not (0 < record['height'] <= LONGEST_SIDE and 0 < record['width'] <= LONGEST_SIDE):
        return f"height {record['height']} and width {record['width']} should be from 1 to {LONGEST_SIDE}"
    if section == 'categories':
        if not record['name'].strip():
            return 'its name is empty'
        if not isinstance(record.get('supercategory', ''), (str, type(None))):
            return f"'supercategory' is {record['supercategory']!r}, not str"
    if section == 'annotations' and 'segmentation' not in record:
        return "the key 'segmentation' is missing"
    return ''


def check_categories(categories: list[dict], meanings: dict[int, PartName], partimagenet: bool,
                     notebook: Notebook) -> None:
    """Look for categories of one meaning and, in PartImageNet, for names that are none or missing."""
    first: dict[PartName, dict] = {}
    for record in categories:
        other = first.setdefault(meanings[record['id']], record)
        name = f"category {record['id']}"
        if other is not record:
            notebook.add('same-meaning', name, f"{record['name']!r} and category {other['id']}, {other['name']!r}, "
                         f"both mean {' '.join(meanings[record['id']]).strip()!r}")
        elif partimagenet and meanings[record['id']] not in set(PARTIMAGENET_NAMES.values()):
            notebook.add('unknown-category', name, f"{record['name']!r} is none of the 40")
        elif partimagenet and without_alias(record['name']) != record['name']:
            notebook.add('alias-name', name, f"{record['name']!r} is read as {' '.join(meanings[record['id']])!r}")
    if partimagenet:
        for missing in dict.fromkeys(PARTIMAGENET_NAMES.values()):
            if missing not in first:
                notebook.add('missing-category', '', f"there is no category for {' '.join(missing)!r}")


def check_images(images: list[dict], notebook: Notebook) -> dict[int | str, PhotoRecord]:
    """Return the photos by id, without annotations yet; look for odd and repeated file names."""
    photos: dict[int | str, PhotoRecord] = {}
    first: dict[str, dict] = {}
    for record in images:
        name = f"image {record['id']}"
        file_name = record['file_name'].replace('\\', '/')
        if file_name != record['file_name']:
            notebook.add('backslash-in-file-name', name, record['file_name'])
        other = first.setdefault(file_name, record)
        if other is not record:
            notebook.add('duplicate-file-name', name, f"{file_name} is that of image {other['id']} too")
        photos[record['id']] = PhotoRecord(name, file_name, record['height'], record['width'], [])
    return photos


def check_parts_of(photo: PhotoRecord, meanings: dict[int, PartName], partimagenet: bool, notebook: Notebook) -> None:
    """Compare a photo's parts with its class, and look whether it has any."""
    if not photo.annotations:
        notebook.add('photo-without-parts', photo.record, photo.file_name)
    if not partimagenet:
        return
    synset = load_synsets().get(wnid(photo.file_name))
    if synset is None:
        notebook.add('unknown-synset', photo.record, photo.file_name)
        return
    own = plain(synset.super_category)
    owners = Counter(meanings[record['category_id']].super_category for record in photo.annotations
                     if record['category_id'] in meanings)
    others = ', '.join(f'{count} {owner}' for owner, count in owners.items() if owner not in (own, ''))
    if others:
        notebook.add('other-super-category', photo.record,
                     f'{photo.file_name} shows a {synset.class_name} ({own}) but has parts of {others}')

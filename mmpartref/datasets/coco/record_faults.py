"""Faults of single records of a COCO json of parts, other records aside."""
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mmpartref.datasets.coco.records import LEVELS, Image
from mmpartref.masks.rle import is_number
from mmpartref.text import has_words, shown, text_fault

# Run lengths are 32-bit numbers in pycocotools, and OpenCV 4 counts the pixels of a warp in 16 bits.
MAX_PIXELS, MAX_SIDE = 2**31 - 1, 32766
# Larger numbers of areas and boxes, infinity among them, are faults.
TOO_LARGE = 1e15
SINGULAR = {'images': 'image', 'annotations': 'annotation', 'categories': 'category'}
KEYS: dict[str, dict[str, tuple[type, ...]]] = {
    'categories': {'id': (int, ), 'name': (str, )},
    'images': {'id': (int, str), 'file_name': (str, ), 'height': (int, ), 'width': (int, )},
    'annotations': {'id': (int, ), 'image_id': (int, str), 'category_id': (int, )},
}
REF_KEYS = ('id', 'image_id', 'ann_ids', 'expressions')


def image_faults(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with an image's record whose keys have the right types."""
    height, width = record['height'], record['width']
    if height <= 0 or width <= 0:
        yield (f"height {shown(height)} and width {shown(width)} should be positive; write the image's size in pixels")
    elif height * width > MAX_PIXELS:
        yield (f"{shown(height)} x {shown(width)} pixels are more than COCO's masks can count ({MAX_PIXELS:,}); write "
               "the image's size in pixels")
    elif max(height, width) > MAX_SIDE:
        yield (f"{height} x {width} pixels: sides up to {MAX_SIDE:,} can be scaled; write the image's size in pixels, "
               'or make image and masks smaller')
    if '\0' in record['file_name']:
        yield f"'file_name' is {shown(record['file_name'])}, with a zero character; correct it"
    if '://' in record['file_name']:
        yield f"'file_name' is {shown(record['file_name'])}, an address; write a path below the folder of the images"
    negatives = record.get('neg_category_ids', [])
    if not isinstance(negatives, list) or not all(type(each) is int for each in negatives):
        yield f"'neg_category_ids' is {shown(negatives)}; write a list of category ids"


def category_faults(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a category's record whose keys have the right types."""
    owner, part, level = record.get('supercategory'), record.get('part'), record.get('level')
    if owner is not None and not isinstance(owner, str):
        yield f"'supercategory' is {shown(owner)}; write a string or remove it"
    elif owner is not None and (fault := text_fault(owner)):
        yield fault
    if part is not None and (not isinstance(part, str) or text_fault(part, blank='blank')):
        yield f"'part' is {shown(part)}; write the name of the part or remove it"
    if level is not None and (not isinstance(level, str) or level not in LEVELS):
        yield f"'level' is {shown(level)}; write 'object', 'part' or 'subpart' or remove it"


def annotation_faults(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with an annotation's record whose keys have the right types, its mask aside.

    ``area`` and ``bbox`` are not used here, but by detectors.
    """
    crowd, area, bbox = record.get('iscrowd'), record.get('area'), record.get('bbox')
    if isinstance(crowd, float) or crowd not in (None, 0, 1):
        yield f"'iscrowd' is {shown(crowd)}; write 0 or 1"
    if area is not None and not (is_number(area) and 0 <= area < TOO_LARGE):
        yield f"'area' is {shown(area)}; write the number of pixels of the mask, or remove it"
    if bbox is not None and not (isinstance(bbox, list) and len(bbox) in (0, 4) and all(map(is_number, bbox))
                                 and all(abs(side) < TOO_LARGE for side in bbox)):
        yield f"'bbox' is {shown(bbox)}; write x, y, width, height in pixels, or remove it"
    if not crowd and 'segmentation' not in record:
        yield "the key 'segmentation' is missing; add its polygons or RLE"
    object_id = record.get('object_id')
    if object_id is not None and not is_id(object_id):
        yield f"'object_id' is {shown(object_id)}; write int or str, or remove it"
    elif object_id is not None and (fault := text_fault(str(object_id), blank="'object_id' is blank; fill it")):
        yield fault


SECTION_FAULTS: dict[str, Callable[[Mapping[str, Any]], Iterator[str]]] = {
    'images': image_faults, 'categories': category_faults, 'annotations': annotation_faults}


def record_faults(record: object, section: str) -> Iterator[str]:
    """Yield what is wrong with a record of a section, other records aside."""
    if not isinstance(record, dict):
        yield f'it is a {type(record).__name__}; write an object'
        return
    sound = True
    for key, types in KEYS[section].items():
        if key not in record:
            sound = False
            yield f"the key '{key}' is missing; add it"
            continue
        value = record[key]
        if not isinstance(value, types) or isinstance(value, bool):
            sound = False
            yield (f"'{key}' is {shown(value)}, a {type(value).__name__}; write "
                   f"{' or '.join(each.__name__ for each in types)}")
        elif isinstance(value, str) and (
                fault := text_fault(value, blank=f"'{key}' is {shown(value)}, which is blank; fill it")):
            sound = False
            yield fault
    if sound:
        yield from SECTION_FAULTS[section](record)


def is_id(value: object) -> bool:
    """Return whether a value can be the id of a record; ``true`` cannot, although Python takes it for a 1."""
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def record_name(record: object, section: str, index: int) -> str:
    """Return how messages name a record: by its id, or by its place where it has none."""
    if isinstance(record, dict) and 'id' in record:
        return f"{SINGULAR[section]} {shown(record['id'])}"
    return f'{section}[{index}]'


def ids_of(records: list) -> set[int | str]:
    """Return the ids of all records that have one, usable or not."""
    return {record['id'] for record in records if isinstance(record, dict) and is_id(record.get('id'))}


def ref_name(record: object, index: int) -> str:
    """Return the name of a record of ``referring`` in messages: 'referring ID', or 'referring[INDEX]' without an id."""
    return f"referring {shown(record['id'])}" if isinstance(record, dict) and 'id' in record else f'referring[{index}]'


def ref_faults(record: object, images: Mapping[int | str, Image] | set,
               image_of: Mapping[int, int | str]) -> Iterator[str]:
    """Yield what is wrong with a record of ``referring``.

    A record is ``{'id': int or str, 'image_id', 'ann_ids': [int, ...], 'expressions': [str, ...]}`` and may have a
    ``'source'`` (str), the dataset that it comes from.

    Args:
        record: of the list.
        images: their ids.
        image_of: the image of each annotation, by id.
    """
    if not isinstance(record, dict) or not record.keys() >= set(REF_KEYS):
        yield f"write an object with {', '.join(map(repr, REF_KEYS))}"
        return
    if not is_id(record['id']):
        yield f"'id' is a {type(record['id']).__name__}; write int or str"
    elif fault := text_fault(str(record['id']), blank="'id' is blank; fill it"):
        yield fault
    if not is_id(record['image_id']) or record['image_id'] not in images:
        yield (f"its image_id {shown(record['image_id'])} is not among the images; add that record to images or drop "
               'this one')
    texts, source = record['expressions'], record.get('source')
    if not isinstance(texts, list) or not texts or any(not isinstance(each, str) or not has_words(each)
                                                       for each in texts):
        yield f"'expressions' is {shown(texts)}; write a list of at least one string, none of them blank"
        texts = []
    if not isinstance(source, (str, type(None))):
        yield f"'source' is {shown(source)}; write the name of a dataset or remove it"
        source = None
    for text in (*texts, source or ''):
        if fault := text_fault(text):
            yield fault
    ann_ids = record['ann_ids']
    if not isinstance(ann_ids, list) or not all(type(each) is int for each in ann_ids):
        yield (f"'ann_ids' is {shown(ann_ids)}; write a list of annotation ids, empty where the expressions refer to "
               'nothing')
        return
    for ann_id in ann_ids:
        if ann_id not in image_of:
            yield f'its annotation {shown(ann_id)} is not among the annotations; add it or drop this record'
        elif image_of[ann_id] != record['image_id']:
            yield (f"its annotation {ann_id} is of image {shown(image_of[ann_id])} but its image_id is "
                   f"{shown(record['image_id'])}; correct one of them")

"""Expressions that a json brings along, instead of those that templates make of its categories."""
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from mmpartref.text import has_words, shown, text_fault

Refuse = Callable[[str, str], NoReturn]


@dataclass(frozen=True, slots=True)
class Referring:
    """One record of the json's list ``referring``: what several sentences refer to; no ``ann_ids``: to nothing."""
    ref_id: str
    expressions: list[str]
    ann_ids: list[int]
    source: str | None


def is_id(value: object) -> bool:
    """Say whether a value can be an id of a record; ``true`` is none, although python takes it for a 1."""
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def read_referring(records: object, photos: Collection, image_of: Mapping[int, Any],
                   refuse: Refuse) -> dict[Any, list[Referring]]:
    """Check the list ``referring`` and return its records by photo.

    A record is ``{'id': int or str, 'image_id', 'ann_ids': [int, ...], 'expressions': [str, ...]}`` and may have a
    ``'source'`` (str), the data set that it comes from.

    Args:
        records: the list.
        photos: ids of the photos.
        image_of: the photo of each annotation, by id.
        refuse: raises a ValueError from the record's name and what is wrong with it.

    Raises:
        ValueError: a record lacks something, has another's id, or points to nothing or to another photo.
    """
    if not isinstance(records, list):
        refuse("'referring'", f'it is a {type(records).__name__}; write a list of records')
    found: dict[Any, list[Referring]] = {}
    ids: set[str] = set()
    for index, record in enumerate(records):
        if not isinstance(record, dict) or not {'id', 'image_id', 'ann_ids', 'expressions'} <= record.keys():
            refuse(f'referring[{index}]', "write an object with 'id', 'image_id', 'ann_ids' and 'expressions'")
        name, ref_id = f"referring {shown(record['id'])}", str(record['id'])
        if not is_id(record['id']) or (fault := text_fault(ref_id, blank="'id' is blank; fill it")):
            refuse(name, fault if is_id(record['id']) else f"'id' is a {type(record['id']).__name__}; write int or str")
        if ref_id in ids:
            refuse(name, 'this id occurs twice in referring; give every record its own')
        ids.add(ref_id)
        if not is_id(record['image_id']) or record['image_id'] not in photos:
            refuse(name, f"its image_id {shown(record['image_id'])} is not among the images; add that record to images "
                   'or drop this one')
        texts = record['expressions']
        if not isinstance(texts, list) or not texts or any(not isinstance(each, str) or not has_words(each)
                                                           for each in texts):
            refuse(name, f"'expressions' is {shown(texts)}; write a list of at least one string, none of them blank")
        if not isinstance(record.get('source'), (str, type(None))):
            refuse(name, f"'source' is {shown(record['source'])}; write the name of a data set or leave it out")
        for text in (*texts, record.get('source') or ''):
            if fault := text_fault(text):
                refuse(name, fault)
        _check_annotations(name, record, image_of, refuse)
        found.setdefault(record['image_id'], []).append(
            Referring(ref_id, texts, list(dict.fromkeys(record['ann_ids'])), record.get('source')))
    return found


def _check_annotations(name: str, record: Mapping[str, Any], image_of: Mapping[int, Any], refuse: Refuse) -> None:
    ann_ids = record['ann_ids']
    if not isinstance(ann_ids, list) or not all(type(each) is int for each in ann_ids):
        refuse(name, f"'ann_ids' is {shown(ann_ids)}; write a list of ids of annotations, an empty one where nothing "
                     'is meant')
    for ann_id in ann_ids:
        if ann_id not in image_of:
            refuse(name, f'its annotation {shown(ann_id)} is not among the annotations; add it or drop this record')
        if image_of[ann_id] != record['image_id']:
            refuse(name, f"its annotation {ann_id} is of photo {shown(image_of[ann_id])}, not of its own, "
                   f"{shown(record['image_id'])}; correct one of them")

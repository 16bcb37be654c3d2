"""Objects, their parts and the parts' parts: what level an expression is of."""
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mmpartref.datasets.coco.records import Category, Part, PartName, Photo, level_of
from mmpartref.datasets.referring.expressions import Wordings
from mmpartref.errors import InputError

OBJECT_TEMPLATES = ('the {super_category}', )


def fill_level(categories: dict[int, Category], level: str) -> None:
    """Give the categories that do not say their level this one, in place."""
    for key, category in categories.items():
        categories[key] = replace(category, level=category.level or level)


def count_levels_of(entry: Mapping[str, Any], slots: int) -> tuple[int, int, int]:
    """Return how many expressions an entry has of each of ``LEVELS``; ``slots`` absent parts are yet to be drawn."""
    found = [level_of(ref) for ref in entry['refs']]
    return found.count('object'), found.count('part') + slots, found.count('subpart')


def object_name(name: PartName) -> PartName:
    """Return the name of an object whose category means ``name``: it is its own super-category and no part."""
    return PartName(name.part or name.super_category, '')


def set_levels(refs: Iterable[dict], photo: Photo, categories: Mapping[int, Category]) -> None:
    """Give refs the level of their annotations' categories, in place, where all of them have the same."""
    levels = {part.ann_id: categories[part.category_id].level for part in photo.parts}
    for ref in refs:
        found = {levels[ann_id] for ann_id in ref['ann_ids']}
        if len(found) == 1 and found <= {'object', 'subpart'}:
            ref['level'] = found.pop()


def object_refs(photo: Photo, names: Mapping[int, PartName], categories: Mapping[int, Category],
                class_name: Callable[[Photo, PartName], str | None], wordings: Wordings) -> list[dict]:
    """Return one ref per super-category in the photo: its object, the union of its annotated parts.

    A super-category whose object is annotated as such in the photo has no other ref here.

    Args:
        photo: with its parts.
        names, categories: of the json, by id.
        class_name: tells the class of the object that a part of the photo belongs to.
        wordings: renders expressions.
    """
    owners: dict[str, list[Part]] = {}
    annotated = set()
    for part in photo.parts:
        owner = names[part.category_id].super_category
        if categories[part.category_id].level == 'object':
            annotated.add(owner)
        elif owner:
            owners.setdefault(owner, []).append(part)
    refs = []
    for owner, members in owners.items():
        if owner not in annotated:
            name = PartName(owner, '')
            owner_class = class_name(photo, name)
            refs.append({
                'ref_id': f'{photo.img_id}:object:{owner}', 'category_id': None, 'part': '', 'super_category': owner,
                'class_name': owner_class, 'expressions': wordings(name, owner_class),
                'ann_ids': [part.ann_id for part in members], 'rles': [part.rle for part in members],
                'level': 'object'
            })
    return refs


def check_object_templates(templates: Sequence[str]) -> None:
    """Refuse templates that ask for the part of a whole object.

    Raises:
        ValueError: one of them does.
    """
    for template in templates:
        if '{part}' in template:
            raise InputError(f'objects={list(templates)!r}: an object has no {{part}}; write templates of '
                             f'{{super_category}} and {{class_name}}, e.g. {list(OBJECT_TEMPLATES)}')

"""From a photo and its parts to the entries of a referring data set."""
from collections.abc import Callable, Mapping
from typing import Any

from .absent_parts import PLAN
from .coco_parts import Part, Photo
from .expressions import PartName, Wordings


def photo_refs(photo: Photo, names: Mapping[int, PartName], class_name: Callable[[Photo, PartName], str | None],
               wordings: Wordings, instances: str) -> list[dict]:
    """Return the photo's refs in the order in which the json first mentions them.

    Args:
        photo: with its parts.
        names: what each category means, by id.
        class_name: tells the class of the object that a part of the photo belongs to.
        wordings: renders expressions.
        instances: ``'merged'`` or ``'separate'``.
    """
    groups: dict[str, list[Part]] = {}
    for part in photo.parts:
        ref_id = f'{photo.img_id}:{part.category_id}'
        if instances == 'separate':
            ref_id = f'{ref_id}:{part.ann_id}'
        groups.setdefault(ref_id, []).append(part)
    refs = []
    for ref_id, members in groups.items():
        name = names[members[0].category_id]
        owner_class = class_name(photo, name)
        refs.append({
            'ref_id': ref_id,
            'category_id': members[0].category_id,
            'part': name.part,
            'super_category': name.super_category,
            'class_name': owner_class,
            'expressions': wordings(name, owner_class),
            'ann_ids': [part.ann_id for part in members],
            'rles': [part.rle for part in members]
        })
    return refs


def entries_of(head: dict[str, Any], refs: list[dict], plan: dict[str, Any] | None, group_by: str) -> list[dict]:
    """Return a photo's entries: one with everything, or one per expression; none for a photo without parts.

    Args:
        head: what all of them share.
        refs: of the parts that are there.
        plan: of those that are not; None where nobody asks.
        group_by: ``'image'`` or ``'expression'``.
    """
    if not refs:
        return []
    plan = plan or {'slots': []}
    slots = plan['slots']
    if group_by == 'image':
        return [{**head, 'refs': refs, **({PLAN: plan} if slots else {})}]
    return [*({**head, 'refs': [ref]} for ref in refs),
            *({**head, 'refs': [], PLAN: {**plan, 'slots': [slot]}} for slot in slots)]


def count_expressions_of(entry: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many expressions of parts that are there, and that are not, an entry stands for."""
    return len(entry['refs']), len(entry[PLAN]['slots']) if PLAN in entry else 0

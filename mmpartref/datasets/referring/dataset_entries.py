"""From a photo and its parts to the entries of a referring data set."""
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mmpartref.datasets.coco.records import Part, PartName, Photo
from mmpartref.datasets.coco.refs import Referring
from mmpartref.datasets.referring.expressions import Wordings
from mmpartref.datasets.referring.steps.absent_parts import PLAN
from mmpartref.errors import InputError
from mmpartref.text import shown

# The kind of absence (``ref['absent']``) where the data set itself says that nothing in the photo is meant.
NO_TARGET = 'no_target'


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
        refs.append(make_ref(ref_id, members[0].category_id, name, owner_class, wordings(name, owner_class), members))
    return refs


def make_ref(ref_id: str, category_id: int | None, name: PartName, class_name: str | None, expressions: list[str],
             parts: Sequence[Part]) -> dict[str, Any]:
    """Return a ref; without parts it is one of something that is not there."""
    return {
        'ref_id': ref_id,
        'category_id': category_id,
        'part': name.part,
        'super_category': name.super_category,
        'class_name': class_name,
        'expressions': expressions,
        'ann_ids': [part.ann_id for part in parts],
        'rles': [part.rle for part in parts],
        **({} if parts else {'absent': NO_TARGET})
    }


def referring_refs(photo: Photo, records: Sequence[Referring], names: Mapping[int, PartName],
                   left_out: Counter[str]) -> list[dict]:
    """Return a photo's refs, one per record, in their order.

    Part and super-category are those of the record's annotations where they all have the same category; otherwise both
    are '' and ``category_id`` is None. An annotation that was left out of the photo (crowd, zero area, hidden by a
    protocol) is missing from its records; a record that keeps none is left out, for it does refer to something.

    Args:
        photo: with its parts.
        records: the photo's.
        names: what each category means, by id.
        left_out: counts what is left out: ``'records'``, and ``'annotations'`` of records that stay.
    """
    kept = {part.ann_id: part for part in photo.parts}
    refs = []
    for record in records:
        members = [kept[ann_id] for ann_id in record.ann_ids if ann_id in kept]
        if record.ann_ids and not members:
            left_out['records'] += 1
            continue
        left_out['annotations'] += len(record.ann_ids) - len(members)
        categories = {part.category_id for part in members}
        category_id = categories.pop() if len(categories) == 1 else None
        name = PartName('', '') if category_id is None else names[category_id]
        ref = make_ref(record.ref_id, category_id, name, None, record.expressions, members)
        if record.source is not None:
            ref['source'] = record.source
        refs.append(ref)
    return refs


def negative_refs(photo: Photo, names: Mapping[int, PartName], class_name: Callable[[Photo, PartName], str | None],
                  wordings: Wordings, number: int) -> list[dict]:
    """Return refs of up to ``number`` categories that the json calls absent from the photo (``neg_category_ids``).

    A category of which the photo has an annotation, left out or not, is none of them. Which are taken depends on the
    photo's id and the categories' alone, through a hash that is the same everywhere.

    Args:
        photo, names, class_name, wordings: as for ``photo_refs``.
        number: at most so many.
    """
    def lot(key: int) -> bytes:
        return hashlib.blake2b(f'{photo.img_id}:{key}'.encode(), digest_size=8).digest()

    shown = {part.category_id for part in photo.parts} | photo.left_out
    absent = [key for key in dict.fromkeys(photo.negatives) if key in names and key not in shown]
    refs = []
    for key in sorted(sorted(absent, key=lot)[:number]):
        owner_class = class_name(photo, names[key])
        ref_id = f'{photo.img_id}:{NO_TARGET}:{key}'
        refs.append(make_ref(ref_id, key, names[key], owner_class, wordings(names[key], owner_class), ()))
    return refs


def one_ref_per_wording(refs: Iterable[dict]) -> list[dict]:
    """Make of each ref with several expressions as many refs, ``':0'``, ``':1'``, ... behind its ``ref_id``."""
    split = []
    for ref in refs:
        texts = ref['expressions']
        split += [{**ref, 'ref_id': f"{ref['ref_id']}:{number}", 'expressions': [text]}
                  for number, text in enumerate(texts)] if len(texts) > 1 else [ref]
    return split


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


def check_indices(indices: int | Sequence[int], count: int, ann_file: str) -> None:
    """Refuse ``indices`` that are no positions among ``count`` items, or leave none of them.

    Raises:
        ValueError: so it is.
    """
    wanted = [indices] if isinstance(indices, int) else list(indices)
    if any(isinstance(each, (bool, str)) or not hasattr(each, '__index__') for each in wanted):
        raise InputError(f'{ann_file}: indices={shown(indices)} should be a number of items or a list of positions')
    if not wanted or (wanted == [0] and isinstance(indices, int)):
        raise InputError(f'{ann_file}: indices={shown(indices)} leaves none of {count:,} items; choose some')
    if not isinstance(indices, int) and not all(-count <= each < count for each in wanted):
        raise InputError(f'{ann_file}: indices={shown(indices)} goes beyond its {count:,} items; choose from 0 to '
                         f'{count - 1:,}')


def count_expressions_of(entry: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many expressions of parts that are there, and that are not, an entry stands for."""
    absent = sum('absent' in ref for ref in entry['refs'])
    return len(entry['refs']) - absent, absent + (len(entry[PLAN]['slots']) if PLAN in entry else 0)

"""Entries of a referring dataset, made from the refs and plans of an image."""
import operator
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from mmpartref.argument_checks import check_sequence
from mmpartref.datasets.coco.records import LEVELS, level_of
from mmpartref.errors import InputError, InputTypeError
from mmpartref.text import shown

# Key of an entry with the plans of its steps, by the name of the step.
PLANS = 'plans'


def one_ref_per_expression(refs: Iterable[dict]) -> list[dict]:
    """Split a ref with several expressions into as many refs; ``':0'``, ``':1'``, ... is appended to ``ref_id``."""
    split = []
    for ref in refs:
        texts = ref['expressions']
        split += [{**ref, 'ref_id': f"{ref['ref_id']}:{number}", 'expressions': [text]}
                  for number, text in enumerate(texts)] if len(texts) > 1 else [ref]
    return split


def group_entries(head: dict[str, Any], refs: list[dict], plans: Mapping[str, dict[str, Any]],
                  group_by: str) -> list[dict]:
    """Return the entries of an image: one with all refs, or one per expression; none for an image without refs.

    Args:
        head: keys that all of them share.
        refs: of the image.
        plans: of the steps that complete an entry when it is read, by name (see ``EntryStep.plan``).
        group_by: ``'image'`` or ``'expression'``.
    """
    if not refs:
        return []
    if group_by == 'image':
        return [{**head, 'refs': refs, PLANS: plans}]
    common = {name: plan for name, plan in plans.items() if 'slots' not in plan}
    return [*({**head, 'refs': [ref], PLANS: common} for ref in refs),
            *({**head, 'refs': [], PLANS: {**common, name: {**plan, 'slots': [slot]}}}
              for name, plan in plans.items() for slot in plan.get('slots', ()))]


def count_refs(entry: Mapping[str, Any]) -> tuple[int, int]:
    """Return the number of refs of present and of absent parts that an entry has when it is read."""
    absent = sum('absent' in ref for ref in entry['refs'])
    return len(entry['refs']) - absent, absent + sum(len(plan.get('slots', ())) for plan in entry[PLANS].values())


def count_levels(entry: Mapping[str, Any]) -> list[int]:
    """Return the number of refs of each of ``LEVELS`` that an entry has when it is read; those drawn are of parts."""
    found = [level_of(ref) for ref in entry['refs']]
    drawn = sum(count_refs(entry)) - len(found)
    return [found.count(level) + drawn * (level == 'part') for level in LEVELS]


class MissingItemError(InputError, IndexError):
    """A dataset has no item of this number; as an ``IndexError`` it ends a loop over the dataset."""


def read_integer(value: Any, name: str) -> int:
    """Return an integer of Python, numpy or torch as int.

    Raises:
        InputTypeError: it is something else; True and False are no numbers here.
    """
    try:
        if not isinstance(value, (bool, np.bool_)):
            return operator.index(value)
    except TypeError:  # no integer
        pass
    raise InputTypeError(f'{name}={shown(value)} should be an integer')


def read_indices(indices: Any) -> int | list[int]:
    """Return ``indices`` as a number of items or a list of positions; arrays and tensors are lists of them.

    Raises:
        InputTypeError: they are something else.
    """
    if isinstance(indices, (int, np.integer)):
        return read_integer(indices, 'indices')
    return [read_integer(each, f'indices[{number}]')
            for number, each in enumerate(check_sequence(indices, 'indices', 'positions, or a number of items'))]


def check_indices(indices: int | list[int], count: int, ann_file: str) -> list[int]:
    """Return the positions that ``indices`` choose from ``count`` items: the first or, below 0, last n, or a list.

    Raises:
        InputError: they are out of range, or choose nothing.
    """
    if isinstance(indices, int):
        positions = list(range(count)[:indices] if indices >= 0 else range(count)[indices:])
    else:
        positions = indices
    if not positions:
        raise InputError(f'{ann_file}: indices={shown(indices)} leaves none of {count:,} items; choose some')
    if not all(-count <= each < count for each in positions):
        raise InputError(f'{ann_file}: indices={shown(indices)} goes beyond its {count:,} items; choose from 0 to '
                         f'{count - 1:,}')
    return [each % count for each in positions]


def check_position(index: Any, count: int, ann_file: str) -> int:
    """Return the position, from 0 up, of one of ``count`` items; a negative index counts from the end.

    Raises:
        InputTypeError: it is not an integer.
        MissingItemError: it is out of range.
    """
    position = read_integer(index, 'index')
    if not -count <= position < count:
        raise MissingItemError(f'{ann_file} has no item {shown(index)}; choose from 0 to {count - 1:,}')
    return position % count

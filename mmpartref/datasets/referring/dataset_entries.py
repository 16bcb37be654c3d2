"""Entries of a referring dataset, made from the refs and plans of an image."""
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmpartref.datasets.coco.records import LEVELS, level_of
from mmpartref.errors import InputError
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


def check_indices(indices: int | Sequence[int], count: int, ann_file: str) -> None:
    """Check that ``indices`` choose some of ``count`` items.

    Raises:
        InputError: they are not integers, out of range, or choose nothing.
    """
    wanted = [indices] if isinstance(indices, int) else list(indices)
    if any(isinstance(each, (bool, str)) or not hasattr(each, '__index__') for each in wanted):
        raise InputError(f'{ann_file}: indices={shown(indices)} should be a number of items or a list of positions')
    if not wanted or (wanted == [0] and isinstance(indices, int)):
        raise InputError(f'{ann_file}: indices={shown(indices)} leaves none of {count:,} items; choose some')
    if not isinstance(indices, int) and not all(-count <= each < count for each in wanted):
        raise InputError(f'{ann_file}: indices={shown(indices)} goes beyond its {count:,} items; choose from 0 to '
                         f'{count - 1:,}')

"""Base class of entry steps, and the steps of a dataset built from its config."""
import inspect
from collections.abc import Mapping
from typing import Any

from mmengine.dataset import BaseDataset

from mmpartref.datasets.coco.records import Image
from mmpartref.datasets.coco.validate import CocoParts
from mmpartref.datasets.referring.names import Names
from mmpartref.errors import InputError, InputTypeError, MMPartRefError
from mmpartref.registry import ENTRY_STEPS
from mmpartref.text import nearest

# Names and types of the steps in their order; those without arguments here are off.
STEP_TYPES = {'protocol': 'Protocol', 'expressions': 'Expressions', 'objects': 'WholeObjects',
              'negatives': 'NegativeCategories', 'labels': 'ImageLabels', 'absent': 'AbsentParts'}
DEFAULT_ENTRIES: dict[str, dict | None] = {name: {} if name == 'expressions' else None for name in STEP_TYPES}


class EntryStep:
    """One step between the records of a json and the entries of a ``PartReferDataset``.

    A dataset calls ``prepare`` once, ``apply`` and ``plan`` for each image, in the order of the steps, ``finish`` after
    the last image, and ``draw`` when an item is read. A subclass overrides what it needs, checks its own arguments and
    is registered in ``ENTRY_STEPS``.
    """

    def prepare(self, document: CocoParts, names: Names) -> None:
        """Look at the whole json; may replace ``document.images`` and add to ``document.statistics.notes``."""

    def apply(self, image: Image, refs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the refs of an image, given those of the steps before; see ``PartReferDataset`` for their keys."""
        del image
        return refs

    def plan(self, image: Image, refs: list[dict[str, Any]]) -> dict[str, Any] | None:
        """Return what ``draw`` has to know about an image, to be stored with its entry.

        A plan with the key ``'slots'`` (a list) adds one ref per slot, each an item with ``group_by='expression'``.
        """
        del image, refs
        return None

    def draw(self, entry: dict[str, Any], plan: dict[str, Any], epoch: int) -> None:
        """Complete an entry in place when it is read; the epoch stays 0 in evaluation."""

    def metainfo(self) -> dict[str, Any]:
        """Return entries for the dataset's ``metainfo``, after ``prepare``."""
        return {}

    def finish(self) -> str:
        """Release what only ``apply`` and ``plan`` need; returns a line for the dataset's summary, or ''."""
        return ''


def build_steps(entries: Mapping[str, Mapping[str, Any] | None] | None) -> dict[str, EntryStep]:
    """Return the steps by name, in their order.

    Args:
        entries: changes to ``DEFAULT_ENTRIES``: arguments by the name of a step, None for a step to turn off. Steps of
            other names need a ``type`` and come last.

    Raises:
        InputError: an argument cannot be used; see also the steps.
    """
    if not isinstance(entries, (Mapping, type(None))):
        raise InputTypeError(f'entries={entries!r} should be a dict of steps, e.g. dict(absent=dict(number=1))')
    steps = {}
    for name, config in {**DEFAULT_ENTRIES, **(entries or {})}.items():
        if config is None:
            continue
        if not isinstance(config, Mapping):
            raise InputTypeError(f'entries: {name}={config!r} should be a dict of arguments, or None to turn it off')
        if 'type' not in config and name not in STEP_TYPES:
            raise InputError(f'entries: {name}={dict(config)!r} is not one of {", ".join(STEP_TYPES)} and has no type; '
                             'correct its name, or give the type of a custom step')
        kind = config.get('type', STEP_TYPES.get(name))
        if isinstance(kind, str) and ENTRY_STEPS.get(kind) is None:
            raise InputError(f'entries: {name} has the type {kind!r}, which is not registered in ENTRY_STEPS; use one '
                             f"of {', '.join(sorted(ENTRY_STEPS.module_dict))}, or import the module of yours")
        try:
            step = ENTRY_STEPS.build({**config, 'type': kind})
        except MMPartRefError:
            raise
        except TypeError as error:
            raise InputTypeError(f'entries: {name}={dict(config)!r} cannot be built: {error}') from error
        if not isinstance(step, EntryStep):
            raise InputTypeError(f'entries: {name} is a {type(step).__name__}, not an EntryStep; derive it from '
                                 'mmpartref.datasets.EntryStep')
        steps[name] = step
    return steps


def check_arguments(dataset: str, arguments: Mapping[str, Any]) -> None:
    """Check the names of arguments of a dataset that are passed on to mmengine's ``BaseDataset``.

    Raises:
        InputTypeError: there is no such argument; for a step or an argument of one the message shows where to write it.
    """
    known = [name for name in inspect.signature(BaseDataset).parameters if name not in ('ann_file', 'data_root')]
    for name, value in arguments.items():
        steps = [step for step, kind in STEP_TYPES.items() if (found := ENTRY_STEPS.get(kind)) is not None
                 and inspect.isclass(found) and name in inspect.signature(found).parameters]
        if name in STEP_TYPES:
            shown = f'entries=dict({name}={value!r})'
        elif steps:
            shown = f'entries=dict({steps[0]}=dict({name}={value!r}))'
        elif name in known:
            continue
        else:
            raise InputTypeError(f"{dataset} has no argument {name!r}; {nearest(name, known, 'one')}")
        raise InputTypeError(f'{dataset} has no argument {name!r}, which belongs to an entry step: write {shown}')


def make_ref(ref_id: str, category_id: int | None, name: Any, class_name: str | None, expressions: list[str],
             annotations: Any, **more: Any) -> dict[str, Any]:
    """Return a ref of a ``PartName`` and its annotations; keys: see ``PartReferDataset``, ``more`` are others."""
    return {
        'ref_id': ref_id,
        'category_id': category_id,
        'part': name.part,
        'super_category': name.super_category,
        'class_name': class_name,
        'expressions': expressions,
        'ann_ids': [annotation.ann_id for annotation in annotations],
        'rles': [annotation.rle for annotation in annotations],
        **more
    }


def check_templated(document: CocoParts, what: str) -> None:
    """Raise an ``InputError`` where a json brings its own expressions, which ``what`` cannot add to."""
    if document.referring is not None:
        raise InputError(f"{document.ann_file} has its own expressions ('referring'), which {what} cannot add to or "
                         'divide; remove that argument')

"""The state dict inside a checkpoint, and its names without the parts that wrappers of a model add."""
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from mmengine.logging import print_log

from mmpartref.errors import WeightsError
from mmpartref.text import shown

# Keys of the weights inside a checkpoint, in order of preference.
WRAPPERS = ('state_dict', 'model', 'module', 'model_state_dict')
# Parts of dotted names from data-parallel training and weight averaging, torch.compile, and classes that hold a model.
NAME_PARTS = ('module', '_orig_mod', 'model', 'clip')
# Entries of averaged weights that count the updates.
COUNTERS = ('steps', 'n_averaged')


def find_state_dict(content: Any, source: object, key: str | None = None,
                    wrappers: Sequence[str] = WRAPPERS) -> dict[str, torch.Tensor]:
    """Return the state dict of a checkpoint, from under ``wrappers`` before the tensors of the top level.

    Args:
        content: of the checkpoint.
        source: path, for messages.
        key: take the weights under this key instead, e.g. ``'ema_state_dict'``.
        wrappers: keys of the weights, in order of preference; they can be nested.

    Raises:
        WeightsError: there is none.
    """
    inside = content.get(key) if key is not None and isinstance(content, Mapping) else content
    found = _search(inside, wrappers, set())
    if found:
        return found if key is None else {name: value for name, value in found.items() if name not in COUNTERS}
    others = [str(each) for each, value in content.items() if _search(value, wrappers, set())] if isinstance(
        content, Mapping) else []
    if key is not None:
        raise WeightsError(f'{source} holds no state dict under {shown(key)}; ' + (
            f'it has {shown(others)}' if others else 'use another checkpoint'))
    raise WeightsError(f'{source} holds no state dict: ' + (
        f'it has tensors under {shown(others)}; name the key of the weights' if others else
        f'give a file that maps names to tensors, at the top level or under one of {tuple(wrappers)}'))


def _search(content: Any, wrappers: Sequence[str], seen: set[int]) -> dict[str, torch.Tensor]:
    """Return the tensors under the first wrapper that has some, else those of the top level."""
    if not isinstance(content, Mapping) or id(content) in seen:
        return {}
    # A dictionary can be in a crafted file under many names, and contain itself.
    seen.add(id(content))
    for wrapper in wrappers:
        if found := _search(content.get(wrapper), wrappers, seen):
            return found
    return {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}


def plain_name(name: str) -> str:
    """Return the dotted name of a parameter without 'module' and the other ``NAME_PARTS``, wherever they occur."""
    return '.'.join(part for part in name.split('.') if part not in NAME_PARTS) or name


def rename_entries(state: Mapping[str, torch.Tensor], source: object,
                   wanted: Collection[str] = ()) -> dict[str, torch.Tensor]:
    """Return a state dict whose names have the ``NAME_PARTS`` that the model's names have; log what was renamed.

    Names that would become equal stay as they are.

    Args:
        state: the weights.
        source: of the weights, for the log.
        wanted: the model's names; empty to remove all ``NAME_PARTS``.
    """
    counted = Counter(map(plain_name, wanted))
    targets = {plain_name(name): name for name in wanted if counted[plain_name(name)] == 1}
    given = Counter(map(plain_name, state))
    renamed, changes = {}, []
    for name, value in state.items():
        plain = plain_name(name)
        new = name
        if given[plain] == 1 and name not in wanted:
            new = targets.get(plain, name) if wanted else plain
        if new != name:
            changes.append(f'{shown(name)} as {shown(new)}')
        renamed[new] = value
    if changes:
        print_log(f'{source}: {len(changes)} of {len(state)} entries are read under another name, {changes[0]}',
                  'current')
    return renamed

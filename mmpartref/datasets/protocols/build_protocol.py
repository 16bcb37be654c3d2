"""Protocols and their entry steps, built by name."""
from collections.abc import Mapping
from typing import Any

from mmpartref.argument_checks import check_path
from mmpartref.datasets.protocols.ood import OOD, OodProtocolStep, ood_protocol
from mmpartref.datasets.protocols.protocol_step import ProtocolStep
from mmpartref.datasets.protocols.split_file import Protocol, read_split
from mmpartref.errors import InputError
from mmpartref.registry import ENTRY_STEPS
from mmpartref.text import shown


def load_protocol(name: str, fold: str | None = None, train_json: str | None = None) -> Protocol:
    """Return a protocol, which divides expressions into seen and unseen.

    Args:
        name: ``partimagenet_ood``, or as for ``read_split``.
        fold: of a split file; not needed where it has only one.
        train_json: of ``partimagenet_ood``: the json whose classes are seen.

    Raises:
        InputTypeError: an argument is of another type.
        MissingFileError: the file does not exist.
        InputError: there is no such protocol or fold, or an argument is of another protocol.
    """
    name = check_path(name, "the protocol's name")
    if name != OOD:
        if train_json is not None:
            raise InputError(f'protocol {name} has a split file and needs no train json; remove it')
        return read_split(name, fold)
    if fold is not None:
        raise InputError(f'protocol {OOD} has no folds; remove {shown(fold)}')
    if train_json is None:
        raise InputError(f'protocol {OOD} needs the train json, whose classes are seen (evaluate.py: --train-json)')
    return ood_protocol(check_path(train_json, 'train_json'))


@ENTRY_STEPS.register_module(name='Protocol')
def build_protocol_step(name: str | None = None, role: str | None = None, fold: str | None = None,
                        ann_files: Mapping[str, str] | None = None) -> ProtocolStep | OodProtocolStep:
    """Return the entry step of a protocol.

    Args:
        name: see ``load_protocol``.
        role: ``'seen'``, ``'unseen'`` or ``'all'``; not of ``partimagenet_ood``.
        fold: of a split file with several.
        ann_files: of ``partimagenet_ood``: ``dict(train=..., val=..., test=...)``.

    Raises:
        MissingFileError, InputError, InputTypeError: see ``load_protocol``; or an argument is missing or of another
            protocol.
    """
    name = None if name is None else check_path(name, "the protocol's name")
    arguments: dict[str, Any] = {'name': name, 'role': role, 'fold': fold, 'ann_files': ann_files}
    given = {key: value for key, value in arguments.items() if value is not None}
    keys = {'name', 'ann_files'} if name == OOD else {'name', 'role', 'fold'}
    wrong, missing = sorted(given.keys() - keys), sorted(keys - {'fold'} - given.keys())
    if wrong or missing:
        fault = f'lacks {missing[0]!r}' if missing else f'has the unknown key {wrong[0]!r}'
        raise InputError(f"protocol={shown(given)} {fault}; its keys are {', '.join(sorted(keys))}")
    if name == OOD:
        return OodProtocolStep(given['ann_files'])
    return ProtocolStep(load_protocol(str(name), fold), given['role'])

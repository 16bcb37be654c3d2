"""From the words of a config to a protocol."""
from collections.abc import Mapping
from typing import Any

from mmpartref.datasets.protocols.ood import OOD, OodProtocol, ood_protocol
from mmpartref.datasets.protocols.protocol import DataProtocol, Protocol
from mmpartref.datasets.protocols.split_file import read_split
from mmpartref.errors import InputError
from mmpartref.registry import ENTRY_STEPS


def load_protocol(name: str, fold: str | None = None, train_json: str | None = None) -> Protocol:
    """Return what tells seen from unseen.

    Args:
        name: ``partimagenet_ood``, or as for ``read_split``.
        fold: of a split file; may be left out where it has only one.
        train_json: of ``partimagenet_ood``: the json that says which classes are seen.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: there is no such protocol or fold, or an argument is of another protocol.
    """
    if name != OOD:
        if train_json is not None:
            raise InputError(f'protocol {name} has a split file and needs no train json; leave it out')
        return Protocol(read_split(name, fold))
    if fold is not None:
        raise InputError(f'protocol {OOD} has no folds; leave out {fold!r}')
    if train_json is None:
        raise InputError(f'protocol {OOD} needs the train json, which says which classes are seen (evaluate.py: '
                         '--train-json)')
    return ood_protocol(train_json)


@ENTRY_STEPS.register_module(name='Protocol')
def build_data_protocol(protocol: Mapping[str, Any]) -> DataProtocol | OodProtocol:
    """Return what a data set applies.

    Args:
        protocol: ``dict(name=..., role='seen'|'unseen'|'all', fold=...)``, or ``dict(name='partimagenet_ood',
            ann_files=dict(train=..., val=..., test=...))``.

    Raises:
        FileNotFoundError, ValueError: see ``load_protocol``; or a key is missing or unknown.
    """
    keys = {'name', 'ann_files'} if protocol.get('name') == OOD else {'name', 'role', 'fold'}
    wrong = [key for key in protocol if key not in keys]
    missing = sorted(keys - {'fold'} - protocol.keys())
    if wrong or missing:
        fault = f'lacks {missing[0]!r}' if missing else f'has the unknown key {wrong[0]!r}'
        raise InputError(f"protocol={dict(protocol)!r} {fault}; its keys are {', '.join(sorted(keys))}")
    if protocol['name'] == OOD:
        return OodProtocol(protocol['ann_files'])
    return DataProtocol(load_protocol(protocol['name'], protocol.get('fold')), protocol['role'])

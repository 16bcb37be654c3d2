"""RefCOCO, RefCOCO+ and RefCOCOg as REFER publishes them: ``refs(<split_by>).p`` and ``instances.json``.

Papers: Yu et al., Modeling Context in Referring Expressions (ECCV 2016); Mao et al., Generation and Comprehension of
Unambiguous Object Descriptions (CVPR 2016). Format: lichengunc/refer, ``refer.py``.
"""
import io
import pickle
from pathlib import Path
from typing import Any, NoReturn

from mmpartref.datasets.converters.standard_json import (
    UNUSABLE,
    check_list,
    compare_count,
    convert_refs,
    dropped_note,
    expression_count,
    field,
)
from mmpartref.errors import InputError
from mmpartref.files.plain_file import read_plain_file
from mmpartref.text import shown, shown_name

# Published number of refs of each split, by dataset and ``split_by``.
PUBLISHED_REFS: dict[tuple[str, str], dict[str, int]] = {
    ('refcoco', 'unc'): {'train': 42404, 'val': 3811, 'testA': 1975, 'testB': 1810},
    ('refcoco+', 'unc'): {'train': 42278, 'val': 3805, 'testA': 1975, 'testB': 1798},
    ('refcocog', 'umd'): {'train': 42226, 'val': 2573, 'test': 5023},
    ('refcocog', 'google'): {'train': 44822, 'val': 5000},
}
SOURCES = {'refcoco': 'RefCOCO', 'refcoco+': 'RefCOCO+', 'refcocog': 'RefCOCOg'}


class _PlainUnpickler(pickle._Unpickler):
    """Unpickles dicts, lists, strings and numbers, and rejects every class or function.

    Python's own unpickler, since the one in C allocates memory up to the highest memo index in a pickle.
    """

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f'it imports {module}.{name}')


def read_refs(path: str | Path) -> list[Any]:
    """Return the list of refs in a ``refs(*).p``; a pickle with anything but plain values is rejected, not run."""
    content = read_plain_file(path)
    try:
        refs = _PlainUnpickler(io.BytesIO(content), encoding='utf-8').load()
    except Exception as error:  # a damaged pickle raises errors of many types
        raise InputError(f'{shown_name(str(path))} is not a complete pickle of plain values '
                         f'({shown(str(error))[1:-1] or type(error).__name__}); download it again') from None
    return check_list(refs, path, 'refs')


def convert_refcoco(refs_file: str | Path, instances_file: str | Path, name: str,
                    split_by: str) -> tuple[dict, list[str]]:
    """Return the json of each split, and a line for each: refs, compared with the published number, and expressions.

    Args:
        refs_file: ``refs(unc).p``, ``refs(umd).p`` or ``refs(google).p``.
        instances_file: the ``instances.json`` next to it.
        name: ``'refcoco'``, ``'refcoco+'`` or ``'refcocog'``.
        split_by: ``'unc'``, ``'umd'`` or ``'google'``.
    """
    if (name, split_by) not in PUBLISHED_REFS:
        pairs = ', '.join(' '.join(pair) for pair in PUBLISHED_REFS)
        raise InputError(f'{name} has no splits by {split_by!r}; choose one of {pairs}')
    published = PUBLISHED_REFS[name, split_by]
    documents, splits, dropped = convert_refs(
        read_refs(refs_file), published, lambda ref, where: [field(ref, 'ann_id', int, where)], refs_file,
        instances_file, SOURCES[name], f'{name}_{split_by}', 'name the dataset and splits of this file')
    return documents, [
        f"{split:6} {compare_count(len(records) + dropped[split][UNUSABLE], published[split], 'refs')}; "
        f'{expression_count(records):,} expressions{dropped_note(dropped[split])}' for split, records in splits.items()]

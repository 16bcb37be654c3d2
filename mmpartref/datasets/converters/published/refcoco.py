"""RefCOCO, RefCOCO+ and RefCOCOg as REFER publishes them: ``refs(<split_by>).p`` and ``instances.json``.

Papers: Yu et al., Modeling Context in Referring Expressions (ECCV 2016); Mao et al., Generation and Comprehension of
Unambiguous Object Descriptions (CVPR 2016). Format: lichengunc/refer, ``refer.py``.
"""
import io
import pickle
from pathlib import Path
from typing import Any, NoReturn

from mmpartref.datasets.coco.read_coco import read_json
from mmpartref.datasets.converters.standard_json import Document, by_id, field, split_document, split_records
from mmpartref.errors import InputError, MissingFileError

# Refs of each split as published, by data set and ``split_by``.
KNOWN_REFS: dict[tuple[str, str], dict[str, int]] = {
    ('refcoco', 'unc'): {'train': 42404, 'val': 3811, 'testA': 1975, 'testB': 1810},
    ('refcoco+', 'unc'): {'train': 42278, 'val': 3805, 'testA': 1975, 'testB': 1798},
    ('refcocog', 'umd'): {'train': 42226, 'val': 2573, 'test': 5023},
    ('refcocog', 'google'): {'train': 44822, 'val': 5000},
}
SOURCES = {'refcoco': 'RefCOCO', 'refcoco+': 'RefCOCO+', 'refcocog': 'RefCOCOg'}


class _PlainUnpickler(pickle._Unpickler):
    """Unpickle dicts, lists, strings and numbers; a pickle that asks for any class or function is rejected.

    The one in Python: that in C makes room up to the highest memo index that a pickle names.
    """

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f'it asks for {module}.{name}')


def read_refs(path: str | Path) -> list[Any]:
    """Return the list of refs in a ``refs(*).p`` without running anything that the pickle asks for.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, holds more than plain values, or no list.
    """
    if not Path(path).is_file():
        raise MissingFileError(f"{path} is no file; download the data set's refs(...).p")
    try:
        refs = _PlainUnpickler(io.BytesIO(Path(path).read_bytes()), encoding='utf-8').load()
    except Exception as error:  # a damaged pickle raises almost anything
        raise InputError(f'{path} is not a whole pickle of plain values ({error or type(error).__name__}); download it '
                         'again') from None
    if not isinstance(refs, list) or not refs:
        raise InputError(f'{path} holds no list of refs; use the refs(...).p as it was published')
    return refs


def convert_refcoco(refs_file: str | Path, instances_file: str | Path, name: str,
                    split_by: str) -> tuple[dict[str, Document], list[str]]:
    """Return the json of each split, and how its number of refs compares to the published one, line by line.

    Args:
        refs_file: ``refs(unc).p``, ``refs(umd).p`` or ``refs(google).p``.
        instances_file: the ``instances.json`` next to it.
        name: ``'refcoco'``, ``'refcoco+'`` or ``'refcocog'``.
        split_by: ``'unc'``, ``'umd'`` or ``'google'``.

    Raises:
        ValueError: the two are no known pair, or a file is malformed.
    """
    if (name, split_by) not in KNOWN_REFS:
        pairs = ', '.join(' '.join(pair) for pair in KNOWN_REFS)
        raise InputError(f'{name} has no splits by {split_by!r}; choose one of {pairs}')
    document = read_json(str(instances_file))
    images, annotations = (by_id(document, section, str(instances_file)) for section in ('images', 'annotations'))
    known = KNOWN_REFS[name, split_by]
    splits = split_records(read_refs(refs_file), known, lambda ref, where: [field(ref, 'ann_id', int, where)], images,
                           annotations, str(refs_file), str(instances_file), f'{name} by {split_by}',
                           'give the data set and splits that the file is of')
    documents = {f'{name}_{split_by}_{split}': split_document(SOURCES[name], records, images, annotations,
                                                              document['categories'])
                 for split, records in splits.items() if records}
    return documents, compare_counts(splits, known)


def compare_counts(splits: dict[str, list[dict]], known: dict[str, int]) -> list[str]:
    """Return a line for each split: refs, expressions, and whether the refs are as many as published."""
    lines = []
    for split, records in splits.items():
        texts = sum(len(record['expressions']) for record in records)
        verdict = 'as published' if len(records) == known[split] else f'but {known[split]:,} are published'
        lines.append(f'{split:6} {len(records):,} refs, {verdict}; {texts:,} expressions')
    return lines

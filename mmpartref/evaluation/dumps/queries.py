"""Queries: the expressions of an evaluation, in a file with a hash, so that all models are scored on the same ones.

The file is JSON with one query per line::

    {"header": {"format": "mmpartref-queries", "version": 1, "hash": "9f…", "ann_file": ..., ...},
     "queries": [
    {"img_id": 7, "image": "a.jpg", "ref_id": "7:3", "expression": "car wheel", "part": "wheel",
     "super_category": "car", "ann_ids": [12, 15]},
    ...]}

``image`` is the path below the folder of the images. Optional keys are ``absent``, ``source``, ``level`` and
``position``, as in a dump. Each ``ref_id`` occurs once.
"""
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mmpartref.argument_checks import check_sequence
from mmpartref.errors import InputError
from mmpartref.evaluation.dumps.document import DocumentKind, check_record
from mmpartref.text import shown, shown_name

QUERIES = DocumentKind('file of queries', 'mmpartref-queries', 1, 'queries', 'tools/export_queries.py')
# Key of the header.
HASH = 'hash'
QUERY_KEYS = {'img_id': (int, str), 'image': str, 'ref_id': str, 'expression': str, 'part': str, 'super_category': str,
              'ann_ids': list}
OPTIONAL_KEYS = {'absent': str, 'source': str, 'level': str, 'position': str}
# What an expression is looked up by: (img_id, expression), by ref_id.
Queries = Mapping[str, tuple[int | str, str]]


@dataclass(frozen=True)
class Query:
    """An expression on an image; the attributes are those of ``ImagePredictions`` and ``Prediction``.

    Attributes:
        image: path of the image below the folder of the images.
    """
    img_id: int | str
    image: str
    ref_id: str
    expression: str
    part: str
    super_category: str
    ann_ids: list[int]
    absent: str | None = None
    source: str | None = None
    level: str | None = None
    position: str | None = None


@dataclass(frozen=True)
class QuerySet:
    """The content of a file of queries.

    Attributes:
        queries: in the order of the dataset.
        header: where they come from, without ``format``, ``version`` and ``hash`` of the file.
    """
    queries: list[Query]
    header: dict[str, Any] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """Hash of all queries, see ``queries_hash``."""
        return queries_hash((each.img_id, each.ref_id, each.expression) for each in self.queries)

    def by_ref(self) -> Queries:
        """Return (img_id, expression) by ref_id."""
        return {each.ref_id: (each.img_id, each.expression) for each in self.queries}

    def write(self, path: str | Path) -> None:
        """Write the file atomically.

        Raises:
            InputTypeError: ``path`` is of another type.
            InputError: the header has other values than strings and numbers, or a key that the file sets itself.
        """
        records = ({key: value for key, value in asdict(each).items() if value is not None} for each in self.queries)
        QUERIES.write(path, {HASH: self.hash, **self.header}, records)


def queries_hash(queries: Iterable[tuple[int | str, str, str]]) -> str:
    """Return the hash of queries (img_id, ref_id, expression), 64 hexadecimal digits; their order does not matter.

    It is the SHA-256 of the lines ``json.dumps([img_id, ref_id, expression])``, sorted and joined by line feeds.
    """
    lines = sorted(json.dumps(list(each)) for each in queries)
    return hashlib.sha256('\n'.join(lines).encode('ascii')).hexdigest()


def read_queries(path: str | Path) -> QuerySet:
    """Read and validate a file of queries.

    Raises:
        InputTypeError: ``path`` is of another type.
        MissingFileError: the file does not exist.
        InputError: it is not a file of queries of this version, a ref occurs twice, a record is damaged, or the hash is
            not that of the queries.
    """
    header, records = QUERIES.read(path)
    name = shown_name(str(path))
    queries: dict[str, Query] = {}
    for number, record in enumerate(records):
        query = _read_query(record, f'{name}: query number {number}')
        if query.ref_id in queries:
            raise InputError(f'{name} contains the ref {shown(query.ref_id)} twice; {QUERIES.fix}')
        queries[query.ref_id] = query
    expected = header.pop(HASH, None)
    found = QuerySet(list(queries.values()), header)
    if expected != found.hash:
        raise InputError(f'{name}: its hash is {shown(expected)} but that of its queries {found.hash}; they were '
                         f'changed after it was written: {QUERIES.fix}')
    return found


def _read_query(record: object, where: str) -> Query:
    optional = {key: kind for key, kind in OPTIONAL_KEYS.items() if isinstance(record, dict) and key in record}
    fields = check_record(record, {**QUERY_KEYS, **optional}, where, QUERIES.fix)
    if not all(type(ann_id) is int for ann_id in fields['ann_ids']):
        raise InputError(f"{where}: ann_ids is {shown(fields['ann_ids'])}, not a list of integers; {QUERIES.fix}")
    if len(set(fields['ann_ids'])) < len(fields['ann_ids']):
        raise InputError(f'{where}: ann_ids has an id twice; {QUERIES.fix}')
    if ('absent' in fields) == bool(fields['ann_ids']):
        marked = '' if 'absent' in fields else 'not '
        raise InputError(f"{where}: it has {len(fields['ann_ids'])} ann_ids and is {marked}marked as absent; "
                         f'{QUERIES.fix}')
    return Query(**fields)


def queries_of_entries(entries: Iterable[Mapping[str, Any]], folders: Sequence[str]) -> list[Query]:
    """Return the queries of a dataset's entries in evaluation: each ref with its first expression.

    Args:
        entries: as ``PartReferDataset.get_data_info`` returns them.
        folders: of the images; ``image`` is the path below the first one that holds it.

    Raises:
        InputError: a ref occurs twice.
    """
    folders = [folder.rstrip('/') + '/' for folder in check_sequence(folders, 'folders', 'paths') if folder]
    queries: dict[str, Query] = {}
    for entry in entries:
        path = entry['img_path']
        image = next((path[len(folder):] for folder in folders if path.startswith(folder)), path)
        for ref in entry['refs']:
            if ref['ref_id'] in queries:
                raise InputError(f"the dataset contains the ref {shown(ref['ref_id'])} twice; evaluate each expression "
                                 'once')
            optional = {key: ref.get(key) for key in OPTIONAL_KEYS}
            queries[ref['ref_id']] = Query(entry['img_id'], image, ref['ref_id'], ref['expressions'][0], ref['part'],
                                           ref['super_category'], [int(each) for each in ref['ann_ids']], **optional)
    return list(queries.values())


def check_same_queries(found: Queries, expected: Queries, found_name: str, expected_name: str, fix: str) -> None:
    """Check that two sets of queries are equal.

    Args:
        found, expected: (img_id, expression) by ref_id.
        found_name, expected_name: what messages call them.
        fix: end of the message.

    Raises:
        InputError: they differ; the message has the number of differences and one example.
    """
    missing, extra = expected.keys() - found.keys(), found.keys() - expected.keys()
    if missing or extra:
        ref_id = min(missing or extra)
        img_id, expression = (expected if missing else found)[ref_id]
        raise InputError(f'{found_name} lacks {len(missing)} refs of {expected_name} and has {len(extra)} others, e.g. '
                         f'{shown_name(ref_id)} ({shown(expression)} on the image {shown(img_id)}); {fix}')
    changed = [ref_id for ref_id, query in expected.items() if found[ref_id] != query]
    if changed:
        ref_id = min(changed)
        texts = [f'{shown(text)} on the image {shown(img_id)}' for img_id, text in (found[ref_id], expected[ref_id])]
        raise InputError(f'{found_name} and {expected_name} differ in the queries of {len(changed)} refs, e.g. '
                         f'{shown_name(ref_id)}: {texts[0]} and {texts[1]}; {fix}')

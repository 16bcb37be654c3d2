"""What every converter needs: fields that are checked, and the json that comes out."""
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from mmpartref.errors import FileInTheWayError, InputError
from mmpartref.files.atomic_write import atomic_write
from mmpartref.text import has_words

Document = dict[str, Any]


def field(record: object, key: str, kind: type, where: str) -> Any:
    """Return ``record[key]``.

    Args:
        record: what should be a dict.
        key: what it should have.
        kind: of what type the value should be; a bool is no int.
        where: names file and record in the complaint.

    Raises:
        ValueError: there is no such key, or its value is of another type.
    """
    if not isinstance(record, dict) or key not in record:
        raise InputError(f"{where} has no '{key}'; use the file as it was published")
    value = record[key]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise InputError(f"{where}: '{key}' is a {type(value).__name__}, not {kind.__name__}; use the file as it was "
                         'published')
    return value


def by_id(document: Document, section: str, path: str) -> dict[int, dict]:
    """Return a section's records by id.

    Raises:
        ValueError: a record has no id, or one that occurs twice.
    """
    records: dict[int, dict] = {}
    for index, record in enumerate(document[section]):
        key = field(record, 'id', int, f'{path}: {section}[{index}]')
        if key in records:
            raise InputError(f'{path}: {section} has the id {key} twice; use the file as it was published')
        records[key] = record
    return records


def check_pointers(annotation: dict, images: Mapping[int, dict], categories: Mapping[int, dict], where: str) -> None:
    """Refuse an annotation whose photo or category is not there.

    Raises:
        ValueError: see above.
    """
    for key, known in (('image_id', images), ('category_id', categories)):
        if field(annotation, key, int, where) not in known:
            raise InputError(f'{where}: its {key} {annotation[key]} is missing; use the file as it was published')


def sentences_of(ref: dict, where: str) -> list[str]:
    """Return the texts ``sent`` of a ref of REFER's format, in their order.

    Raises:
        ValueError: there is none, or a blank one.
    """
    texts = [field(sentence, 'sent', str, f'{where}, sentences[{index}]')
             for index, sentence in enumerate(field(ref, 'sentences', list, where))]
    if not texts or not all(map(has_words, texts)):
        raise InputError(f'{where} has a blank sentence or none; use the file as it was published')
    return texts


def split_records(refs: Iterable[Any], names: Iterable[str], targets_of: Callable[[dict, str], list[int]],
                  images: Mapping[int, dict], annotations: Mapping[int, dict], refs_file: str, instances_file: str,
                  whose: str, remedy: str) -> dict[str, list[dict]]:
    """Return the records of each split from refs of REFER's format.

    Args:
        refs: as published.
        names: of the splits.
        targets_of: returns the ids of the annotations that a ref means, from the ref and what names it.
        images, annotations: the instances, by id.
        refs_file, instances_file: for the complaints.
        whose: whose splits they are, and remedy: what to do about a ref of another; for the complaint.

    Raises:
        ValueError: a ref is malformed, of no such split, or has the id of another.
    """
    splits: dict[str, list[dict]] = {name: [] for name in names}
    seen: set[int] = set()
    for index, ref in enumerate(refs):
        where = f'{refs_file}: ref {index}'
        record = {'id': field(ref, 'ref_id', int, where), 'image_id': field(ref, 'image_id', int, where),
                  'ann_ids': targets_of(ref, where), 'expressions': sentences_of(ref, where)}
        split = field(ref, 'split', str, where)
        if split not in splits:
            raise InputError(f"{where} is of split {split!r}, but {whose} has {', '.join(splits)}; {remedy}")
        if record['id'] in seen:
            raise InputError(f"{where} has the ref_id {record['id']} of another; use the file as it was published")
        seen.add(record['id'])
        check_record(record, images, annotations, where, instances_file)
        splits[split].append(record)
    return splits


def split_document(source: str, records: list[dict], images: Mapping[int, dict], annotations: Mapping[int, dict],
                   categories: list[dict]) -> Document:
    """Return the json of one split: its records, their photos and their annotations, and every category."""
    image_ids = dict.fromkeys(record['image_id'] for record in records)
    ann_ids = dict.fromkeys(ann_id for record in records for ann_id in record['ann_ids'])
    return {
        'info': {'source': source},
        'images': [images[image_id] for image_id in image_ids],
        'annotations': [annotations[ann_id] for ann_id in ann_ids],
        'categories': categories,
        'referring': records,
    }


def check_record(record: dict, images: Mapping[int, dict], annotations: Mapping[int, dict], where: str,
                 instances: str) -> None:
    """Refuse a record whose photo or annotations are not in the instances, or do not belong together.

    Raises:
        ValueError: see above.
    """
    if record['image_id'] not in images:
        raise InputError(f"{where}: {instances} has no image {record['image_id']}; use the two files of one download")
    for ann_id in record['ann_ids']:
        if ann_id not in annotations:
            raise InputError(f'{where}: {instances} has no annotation {ann_id}; use the two files of one download')
        if annotations[ann_id].get('image_id') != record['image_id']:
            raise InputError(f"{where}: annotation {ann_id} of {instances} is not of image {record['image_id']}; use "
                             'the two files of one download')


def account(what: str, read: int, written: int, left_out: Mapping[str, int]) -> str:
    """Return a line that says what became of everything that was read.

    Raises:
        RuntimeError: the numbers do not add up, which is a fault of the converter.
    """
    if read != written + sum(left_out.values()):
        raise RuntimeError(f'{what}: {read} read, but {written} written and {dict(left_out)} left out')
    reasons = ', '.join(f'{number:,} {reason}' for reason, number in left_out.items())
    return f'{what}: {read:,} read, {written:,} written' + (f'; left out: {reasons}' if reasons else '')


def compare(number: int, known: int, what: str) -> str:
    """Return whether there are as many as published."""
    return f'{number:,} {what}, ' + ('as published' if number == known else f'but {known:,} are published')


def write_documents(documents: Mapping[str, Document], folder: str | Path) -> list[Path]:
    """Write each document as ``<name>.json`` into a folder, which is made; returns the paths.

    Raises:
        FileExistsError: one of them is there already; nothing is written.
    """
    paths = [Path(folder) / f'{name}.json' for name in documents]
    refuse_existing(paths)
    Path(folder).mkdir(parents=True, exist_ok=True)
    for path, document in zip(paths, documents.values(), strict=True):
        with atomic_write(path) as unfinished:
            unfinished.write_text(json.dumps(document), encoding='utf-8')
    return paths


def refuse_existing(paths: Iterable[Path]) -> None:
    """Raise a FileExistsError if one of the paths is there."""
    for path in paths:
        if path.exists():
            raise FileInTheWayError(f'{path} exists already; name another folder or remove it')

"""Helpers of the converters: checked access to published records, the json that is written, and lines that count."""
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from mmpartref.datasets.coco.coco_document import SECTIONS, read_json
from mmpartref.datasets.coco.read_coco import raise_first_error
from mmpartref.datasets.coco.validate import validate
from mmpartref.errors import FileInTheWayError, InputError
from mmpartref.files.atomic_write import write_text
from mmpartref.text import has_words

Document = dict[str, Any]
AS_PUBLISHED = 'use the file as it was published'
SAME_DOWNLOAD = 'use the two files of one download'


def field(record: object, key: str, kind: type, where: str) -> Any:
    """Return ``record[key]``.

    Args:
        kind: type of the value; a bool is not an int here.
        where: file and record, for the message.

    Raises:
        InputError: the record is not a dict, the key is missing, or its value is of another type.
    """
    if not isinstance(record, dict) or key not in record:
        raise InputError(f"{where} has no '{key}'; {AS_PUBLISHED}")
    value = record[key]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise InputError(f"{where}: '{key}' is a {type(value).__name__}, not {kind.__name__}; {AS_PUBLISHED}")
    return value


def read_sections(path: str, check_references: bool = True) -> tuple[dict[int, dict], dict[int, dict], dict[int, dict]]:
    """Return the images, annotations and categories of a COCO json by id.

    Args:
        check_references: whether every annotation's image and category must exist.

    Raises:
        MissingFileError: the file does not exist.
        InputError: it is not a COCO json; a record has no id, or the id of another; or a reference is missing.
    """
    document = read_json(path)
    found: dict[str, dict[int, dict]] = {section: {} for section in SECTIONS}
    for section, records in found.items():
        for index, record in enumerate(document[section]):
            key = field(record, 'id', int, f'{path}: {section}[{index}]')
            if key in records:
                raise InputError(f'{path}: {section} has the id {key} twice; {AS_PUBLISHED}')
            records[key] = record
    for key, record in found['annotations'].items() if check_references else ():
        for reference, section in (('image_id', 'images'), ('category_id', 'categories')):
            if field(record, reference, int, f'{path}: annotation {key}') not in found[section]:
                raise InputError(f'{path}: annotation {key}: its {reference} {record[reference]} is missing; '
                                 f'{AS_PUBLISHED}')
    return found['images'], found['annotations'], found['categories']


def check_list(records: object, path: str | Path, what: str) -> list[Any]:
    """Return the content of a file if it is a list of at least one record, otherwise raise an ``InputError``."""
    if not isinstance(records, list) or not records:
        raise InputError(f'{path} is not a list of {what}; {AS_PUBLISHED}')
    return records


def sentences_of(ref: dict, where: str) -> list[str]:
    """Return the texts ``sent`` of a ref of REFER's format; raises an ``InputError`` if there is no or a blank one."""
    texts = [field(sentence, 'sent', str, f'{where}, sentences[{index}]')
             for index, sentence in enumerate(field(ref, 'sentences', list, where))]
    if not texts or not all(map(has_words, texts)):
        raise InputError(f'{where} has no sentence or a blank one; {AS_PUBLISHED}')
    return texts


def convert_refs(refs: Iterable[Any], splits: Iterable[str], annotation_ids: Callable[[dict, str], list[int]],
                 refs_file: str | Path, instances_file: str | Path, source: str, prefix: str,
                 hint: str = AS_PUBLISHED) -> tuple[dict[str, Document], dict[str, list[dict]]]:
    """Convert refs of REFER's format.

    Args:
        refs: content of ``refs_file``.
        splits: their names.
        annotation_ids: returns the ids of a ref's annotations, given the ref and its name for messages.
        instances_file: COCO json of the images, annotations and categories.
        source: name of the dataset.
        prefix: of the documents' names.
        hint: how to fix a ref of an unknown split.

    Returns:
        The json of each split that has refs, by ``<prefix>_<split>``: its records, their images and annotations, and
        every category. The records of each split.

    Raises:
        InputError: a file is malformed; a ref is of an unknown split, has the id of another, or refers to an image or
            annotation that does not exist.
    """
    images, annotations, categories = read_sections(str(instances_file), check_references=False)
    records: dict[str, list[dict]] = {split: [] for split in splits}
    seen: set[int] = set()
    for index, ref in enumerate(refs):
        where = f'{refs_file}: ref {index}'
        record = {'id': field(ref, 'ref_id', int, where), 'image_id': field(ref, 'image_id', int, where),
                  'ann_ids': annotation_ids(ref, where), 'expressions': sentences_of(ref, where)}
        split = field(ref, 'split', str, where)
        if split not in records:
            raise InputError(f"{where} is of split {split!r}, but {source} has {', '.join(records)}; {hint}")
        if record['id'] in seen:
            raise InputError(f"{where} has the ref_id {record['id']} of another; {AS_PUBLISHED}")
        seen.add(record['id'])
        if record['image_id'] not in images:
            raise InputError(f"{where}: {instances_file} has no image {record['image_id']}; {SAME_DOWNLOAD}")
        for ann_id in record['ann_ids']:
            if annotations.get(ann_id, {}).get('image_id') != record['image_id']:
                raise InputError(f"{where}: {instances_file} has no annotation {ann_id} of image "
                                 f"{record['image_id']}; {SAME_DOWNLOAD}")
        records[split].append(record)
    documents = {f'{prefix}_{split}': {
        'info': {'source': source},
        'images': [images[key] for key in dict.fromkeys(record['image_id'] for record in found)],
        'annotations': [annotations[key] for key in dict.fromkeys(key for each in found for key in each['ann_ids'])],
        'categories': list(categories.values()),
        'referring': found,
    } for split, found in records.items() if found}
    return documents, records


def convert_splits(prefix: str, splits: Iterable[str],
                   convert_split: Callable[[str], tuple[Document, list[str]]]
                   ) -> tuple[dict[str, Document], list[str]]:
    """Convert one split after the other; documents are named ``<prefix>_<split>``, lines begin with the split."""
    documents, lines = {}, []
    for split in splits:
        documents[f'{prefix}_{split}'], found = convert_split(split)
        lines += [f'{split}: {line}' for line in found]
    return documents, lines


def distinct(records: Iterable[dict], key: str) -> int:
    """Return the number of different values of a key."""
    return len({record[key] for record in records})


def expression_count(records: Iterable[dict]) -> int:
    """Return the number of expressions of records of ``referring``."""
    return sum(len(record['expressions']) for record in records)


def count_line(what: str, read: int, written: int, dropped: Mapping[str, int]) -> str:
    """Return a line with the numbers of records that were read, written, and dropped by reason.

    Raises:
        RuntimeError: the numbers do not add up, which is a fault of the converter.
    """
    if read != written + sum(dropped.values()):
        raise RuntimeError(f'{what}: {read} read, but {written} written and {dict(dropped)} dropped')
    reasons = ', '.join(f'{number:,} {reason}' for reason, number in dropped.items())
    return f'{what}: {read:,} read, {written:,} written' + (f'; dropped: {reasons}' if reasons else '')


def compare_count(number: int, published: int, what: str) -> str:
    """Return the number of something, compared with the published one."""
    return f'{number:,} {what}, ' + ('as published' if number == published else f'but {published:,} are published')


def write_documents(documents: Mapping[str, Document], folder: str | Path) -> list[Path]:
    """Validate each document and write it as ``<name>.json`` into a folder, which is made; returns the paths.

    Raises:
        FileInTheWayError: one of the files exists; nothing is written.
        InputError: a document has an error (see ``coco.validate``), so ``PartReferDataset`` could not load it; nothing
            is written. A split without annotations is not an error.
    """
    paths = [Path(folder) / f'{name}.json' for name in documents]
    for path in paths:
        if path.exists():
            raise FileInTheWayError(f'{path} exists already; name another folder or remove it')
    for path, document in zip(paths, documents.values(), strict=True):
        raise_first_error((finding for finding in validate(document) if finding.code != 'nothing-left'),
                          f'{path} is not written')
    for path, document in zip(paths, documents.values(), strict=True):
        write_text(path, json.dumps(document))
    return paths

"""Helpers of the converters: checked access to published records, the json that is written, and lines that count."""
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pycocotools import mask as coco_mask

from mmpartref.argument_checks import check_path
from mmpartref.datasets.coco.coco_document import SECTIONS, read_json
from mmpartref.datasets.coco.read_coco import raise_first_error
from mmpartref.datasets.coco.validate import CocoParts, validate
from mmpartref.errors import FileInTheWayError, InputError
from mmpartref.files.atomic_write import write_text
from mmpartref.files.output_path import write_errors
from mmpartref.masks.rle import empty, rle_from_segmentation
from mmpartref.text import has_words, shown, shown_name

Document = dict[str, Any]
AS_PUBLISHED = 'use the file as it was published'
SAME_DOWNLOAD = 'use the two files of one download'
# What is dropped of refs, as lines name it.
BLANK, UNUSABLE = 'blank sentences', 'refs without a usable sentence'
# Ids are numbers of 64 bits at most; larger ones come from a damaged file.
MAX_INTEGER = 2**63 - 1


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
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise InputError(f"{where}: '{key}' is an integer of {value.bit_length():,} bits; {AS_PUBLISHED}")
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
    path = shown_name(path)
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
        raise InputError(f'{shown_name(str(path))} is not a list of {what}; {AS_PUBLISHED}')
    return records


def sentences_of(ref: dict, where: str, dropped: Counter[str]) -> list[str]:
    """Return the texts ``sent`` of a ref of REFER's format that are not blank; the others are counted in ``dropped``.

    Raises:
        InputError: a sentence has no text.
    """
    texts = [field(sentence, 'sent', str, f'{where}, sentences[{index}]')
             for index, sentence in enumerate(field(ref, 'sentences', list, where))]
    usable = [text for text in texts if has_words(text)]
    dropped[BLANK] += len(texts) - len(usable)
    dropped[UNUSABLE] += not usable
    return usable


def dropped_note(dropped: Mapping[str, int]) -> str:
    """Return the end of a line that counts what was dropped; '' if nothing was."""
    reasons = ', '.join(f'{number:,} {what}' for what, number in dropped.items() if number)
    return f'; dropped: {reasons}' if reasons else ''


def convert_refs(refs: Iterable[Any], splits: Iterable[str], annotation_ids: Callable[[dict, str], list[int]],
                 refs_file: str | Path, instances_file: str | Path, source: str, prefix: str,
                 hint: str = AS_PUBLISHED
                 ) -> tuple[dict[str, Document], dict[str, list[dict]], dict[str, Counter[str]]]:
    """Convert refs of REFER's format; those without a usable sentence are dropped and counted.

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
        every category. The records of each split. The number of refs and sentences that were dropped, by split.

    Raises:
        InputError: a file is malformed; a ref is of an unknown split, has the id of another, or refers to an image or
            annotation that does not exist.
    """
    images, annotations, categories = read_sections(str(instances_file), check_references=False)
    instances_file = shown_name(str(instances_file))
    records: dict[str, list[dict]] = {split: [] for split in splits}
    dropped: dict[str, Counter[str]] = {split: Counter() for split in records}
    seen: set[int] = set()
    for index, ref in enumerate(refs):
        where = f'{shown_name(str(refs_file))}: ref {index}'
        split = field(ref, 'split', str, where)
        if split not in records:
            raise InputError(f"{where} is of split {shown(split)}, but {source} has {', '.join(records)}; {hint}")
        record = {'id': field(ref, 'ref_id', int, where), 'image_id': field(ref, 'image_id', int, where),
                  'ann_ids': annotation_ids(ref, where), 'expressions': sentences_of(ref, where, dropped[split])}
        if record['id'] in seen:
            raise InputError(f"{where} has the ref_id {record['id']} of another; {AS_PUBLISHED}")
        seen.add(record['id'])
        if record['image_id'] not in images:
            raise InputError(f"{where}: {instances_file} has no image {record['image_id']}; {SAME_DOWNLOAD}")
        for ann_id in record['ann_ids']:
            # False == 0, so that the type is compared too.
            image_id = annotations.get(ann_id, {}).get('image_id')
            if type(image_id) is not int or image_id != record['image_id']:
                raise InputError(f"{where}: {instances_file} has no annotation {ann_id} of image "
                                 f"{record['image_id']}; {SAME_DOWNLOAD}")
        if record['expressions']:
            records[split].append(record)
    documents = {f'{prefix}_{split}': {
        'info': {'source': source},
        'images': [images[key] for key in dict.fromkeys(record['image_id'] for record in found)],
        'annotations': [annotations[key] for key in dict.fromkeys(key for each in found for key in each['ann_ids'])],
        'categories': list(categories.values()),
        'referring': found,
    } for split, found in records.items() if found}
    return documents, records, dropped


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
    """Return a number and the published one as text, e.g. "12 images, but 13 are published"; ``what`` is the noun."""
    return f'{number:,} {what}, ' + ('as published' if number == published else f'but {published:,} are published')


def measured(document: Document, name: str) -> Document:
    """Validate a json; returns it with ``iscrowd`` and with its mask's ``area`` and ``bbox`` in each annotation.

    Other programs need the three keys (mmdet's ``CocoDataset``, COCO's evaluation). Published values of ``area`` and
    ``bbox`` are replaced, wherever they come from.

    Args:
        name: what messages call the json.

    Raises:
        InputError: ``PartReferDataset`` could not load it (see ``coco.validate``), or a crowd has no mask.
    """
    document = {**document, 'annotations': [
        {key: value for key, value in record.items() if key not in ('area', 'bbox')} if isinstance(record, dict)
        else record for record in document['annotations']]}
    parts = CocoParts()
    raise_first_error(validate(document, parts=parts), name)
    rles = {annotation.ann_id: annotation.rle for image in parts.images for annotation in image.annotations}
    sizes = {image.img_id: (image.height, image.width) for image in parts.images}
    for record in document['annotations']:
        rle = rles.get(record['id'])
        if rle is None:  # a crowd or empty
            size = sizes[record['image_id']]
            try:
                rle = rle_from_segmentation(record.get('segmentation'), *size)[0] or empty(size)
            except ValueError as error:
                raise InputError(f"{name}: annotation {record['id']}: {error}") from None
        record.update(area=int(coco_mask.area(rle)), bbox=coco_mask.toBbox(rle).tolist(),
                      iscrowd=record.get('iscrowd') or 0)
    return document


def write_documents(documents: Mapping[str, Document], folder: str | Path) -> list[Path]:
    """Write each document as ``measured`` and ``<name>.json`` into a folder, which is made; returns the paths.

    Raises:
        FileInTheWayError: one of the files exists; nothing is written.
        InputError: there is no document, or one has an error (see ``measured``); nothing is written.
        FileWriteError: a file cannot be written.
    """
    if not documents:
        raise InputError(f'nothing is written to {shown_name(str(folder))}, since no record can be used; '
                         f'{AS_PUBLISHED}')
    target = Path(check_path(folder, 'folder'))
    paths = [target / f'{name}.json' for name in documents]
    for path in paths:
        with write_errors(path):
            exists = path.exists()
        if exists:
            raise FileInTheWayError(f'{shown_name(str(path))} exists already; name another folder or remove it')
    names = [f'{shown_name(str(path))} is not written' for path in paths]
    texts = [to_text(measured(document, name), name) for document, name in zip(documents.values(), names, strict=True)]
    for path, text in zip(paths, texts, strict=True):
        write_text(path, text)
    return paths


def to_text(document: Document, name: str) -> str:
    """Return a document as JSON; raises an ``InputError`` where a record is nested too deeply."""
    try:
        return json.dumps(document)
    except RecursionError:
        raise InputError(f'{name}: a record is nested too deeply; {AS_PUBLISHED}') from None

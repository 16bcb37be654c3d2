"""RefCOCOm, the benchmark of multi-granularity referring: sentences on parts and objects of COCO's train2014.

Paper: Wang et al., Unveiling Parts Beyond Objects: Towards Finer-Granularity Referring Expression Segmentation (CVPR
2024). Its authors (Rubics-Xuan/MRES) describe the files by reference to CRIS's ``tools/data_process.py``: a json is a
list of records with ``segment_id``, ``img_name`` and ``sentences`` (each with ``sent``), beside a folder
``masks/<segment_id>.png`` of black and white. Public programs that evaluate on RefCOCOm read just that.
"""
import json
from pathlib import Path
from typing import Any

from mmpartref.datasets.converters.mask_document import MaskDocument, files_of, read_binary_mask
from mmpartref.datasets.converters.standard_json import Document, account, field, sentences_of
from mmpartref.errors import InputError, MissingFileError
from mmpartref.files.plain_file import MAX_JSON_BYTES, read_plain_file

SOURCE = 'RefCOCOm'
# A record's annotation has a mask, but no category that the files would explain.
CATEGORY_ID, CATEGORY = 1, 'referent'


def convert_refcocom(root: str | Path) -> tuple[dict[str, Document], list[str]]:
    """Return a json for each one in ``annotations``, and a line on each.

    A record becomes an annotation, whose ``segment_id`` and ``cat`` stay with it, and a record of ``referring``. One
    whose mask is empty is left out, counted.

    Args:
        root: the folder with ``annotations`` and ``masks``.

    Raises:
        FileNotFoundError: a folder or a mask is missing.
        ValueError: a file is malformed.
    """
    root = Path(root)
    files, _ = files_of(root / 'annotations', ('.json', ))
    if not files:
        raise MissingFileError(f'{root}/annotations has no json; unpack the whole archive')
    documents, lines = {}, []
    for name, path in files.items():
        documents[f'refcocom_{name}'], line = convert_file(path, root / 'masks')
        lines.append(f'{name}: {line}')
    return documents, lines


def convert_file(path: Path, masks: Path) -> tuple[Document, str]:
    """Return the json of one file, and its line; see ``convert_refcocom``."""
    document = MaskDocument(SOURCE, [{'id': CATEGORY_ID, 'name': CATEGORY, 'supercategory': ''}])
    referring: list[dict] = []
    sizes: dict[str, tuple[int, int]] = {}
    records = read_records(path)
    for index, record in enumerate(records):
        where = f'{path}: record {index}'
        photo = field(record, 'img_name', str, where)
        segment = segment_of(record, where)
        expressions = sentences_of(record, where)
        mask = read_binary_mask(masks / f'{segment}.png')
        size = (mask.shape[0], mask.shape[1])
        if sizes.setdefault(photo, size) != size:
            raise InputError(f'{where}: its mask {segment}.png is {size} (height, width), but another of {photo} is '
                             f'{sizes[photo]}; unpack the archive again')
        more = {key: record[key] for key in ('segment_id', 'cat') if key in record}
        if document.add(photo, CATEGORY_ID, mask, **more):
            ann_id = document.annotations[-1]['id']
            referring.append({'id': index, 'image_id': photo, 'ann_ids': [ann_id], 'expressions': expressions})
    for photo, size in sizes.items():
        document.add_photo(photo, photo, *size)
    texts = sum(len(each['expressions']) for each in referring)
    line = account('records', len(records), len(referring), {'with an empty mask': len(records) - len(referring)})
    return document.document(referring=referring), f'{line}; {texts:,} sentences on {len(sizes):,} photos'


def read_records(path: Path) -> list[Any]:
    """Return the list of records in a json.

    Raises:
        ValueError: it is damaged, or holds no list.
    """
    try:
        records = json.loads(read_plain_file(path, max_bytes=MAX_JSON_BYTES).decode('utf-8'))
    except ValueError as error:
        raise InputError(f'{path} is not a complete json ({error}); unpack it again') from None
    if not isinstance(records, list) or not records:
        raise InputError(f'{path} holds no list of records; use the file as it was published')
    return records


def segment_of(record: dict, where: str) -> str:
    """Return the name of a record's mask.

    Raises:
        ValueError: it has none.
    """
    segment = record.get('segment_id')
    if isinstance(segment, bool) or not isinstance(segment, (int, str)) or not str(segment).strip():
        raise InputError(f"{where}: 'segment_id' is {segment!r}, not the name of a mask; use the file as it was "
                         'published')
    return str(segment)

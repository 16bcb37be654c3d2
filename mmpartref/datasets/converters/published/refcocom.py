"""RefCOCOm: referring expressions for parts and objects of COCO's train2014.

Paper: Wang et al., Unveiling Parts Beyond Objects: Towards Finer-Granularity Referring Expression Segmentation (CVPR
2024). Its authors (Rubics-Xuan/MRES) describe the files by reference to CRIS's ``tools/data_process.py``: a json is a
list of records with ``segment_id``, ``img_name`` and ``sentences`` (each with ``sent``), next to a folder of black and
white masks, ``masks/<segment_id>.png``. Public programs that evaluate on RefCOCOm read these files.
"""
from collections import Counter
from pathlib import Path

from mmpartref.argument_checks import check_path
from mmpartref.datasets.coco.record_faults import is_id
from mmpartref.datasets.converters.mask_document import MaskDocument, file_in, files_by_stem, read_binary_mask
from mmpartref.datasets.converters.standard_json import (
    AS_PUBLISHED,
    UNUSABLE,
    check_list,
    convert_splits,
    count_line,
    dropped_note,
    expression_count,
    field,
    sentences_of,
)
from mmpartref.errors import InputError, MissingFileError
from mmpartref.files.json_files import load_json
from mmpartref.text import shown, shown_name

SOURCE = 'RefCOCOm'
# The one category: the files do not describe the categories of their annotations.
CATEGORY_ID, CATEGORY = 1, 'referent'


def convert_refcocom(root: str | Path) -> tuple[dict, list[str]]:
    """Return the COCO json of each file in ``annotations``, by name, and one line with counts per file.

    A record becomes an annotation with its ``segment_id`` and ``cat``, and a record of ``referring``. Records with an
    empty mask or without a usable sentence are dropped.

    Args:
        root: the folder with ``annotations`` and ``masks``.
    """
    root = Path(check_path(root, 'root'))
    files, hidden = files_by_stem(root / 'annotations', '.json')
    if not files:
        raise MissingFileError(f'{shown_name(str(root))}/annotations has no json; unpack the whole archive')
    documents, lines = convert_splits('refcocom', files, lambda name: _convert_file(files[name], root / 'masks'))
    return documents, [*lines, f'{hidden:,} hidden files ignored'] if hidden else lines


def _convert_file(path: Path, masks: Path) -> tuple[dict, list[str]]:
    document = MaskDocument(SOURCE, [{'id': CATEGORY_ID, 'name': CATEGORY, 'supercategory': ''}])
    referring: list[dict] = []
    sizes: dict[str, tuple[int, int]] = {}
    records = check_list(load_json(path, hint='unpack it again'), path, 'records')
    dropped: Counter[str] = Counter()
    for index, record in enumerate(records):
        where = f'{shown_name(str(path))}: record {index}'
        image = field(record, 'img_name', str, where)
        segment = record.get('segment_id')
        if not is_id(segment):
            raise InputError(f"{where}: 'segment_id' is {shown(segment)}, not the name of a mask; {AS_PUBLISHED}")
        if not is_id(record.get('cat', 0)):
            raise InputError(f"{where}: 'cat' is {shown(record['cat'])}, not a number or name; {AS_PUBLISHED}")
        expressions = sentences_of(record, where, dropped)
        mask = read_binary_mask(file_in(masks, str(segment), '.png', where))
        size = (mask.shape[0], mask.shape[1])
        if sizes.setdefault(image, size) != size:
            raise InputError(f'{where}: its mask {segment}.png is {size} (height, width), but another of '
                             f'{shown_name(image)} is {sizes[image]}; unpack the archive again')
        if not expressions:
            continue
        keys = {key: record[key] for key in ('segment_id', 'cat') if key in record}
        if document.add_mask(image, CATEGORY_ID, mask, **keys):
            ann_id = document.annotations[-1]['id']
            referring.append({'id': index, 'image_id': image, 'ann_ids': [ann_id], 'expressions': expressions})
    for image, size in sizes.items():
        document.add_image(image, image, *size)
    unusable = dropped.pop(UNUSABLE, 0)
    reasons = {'with an empty mask': len(records) - len(referring) - unusable}
    if unusable:
        reasons['without a usable sentence'] = unusable
    return document.to_json(referring=referring), [
        f"{count_line('records', len(records), len(referring), reasons)}; {expression_count(referring):,} expressions "
        f'for {len(sizes):,} images{dropped_note(dropped)}']

"""RefCOCOm: referring expressions for parts and objects of COCO's train2014.

Paper: Wang et al., Unveiling Parts Beyond Objects: Towards Finer-Granularity Referring Expression Segmentation (CVPR
2024). Its authors (Rubics-Xuan/MRES) describe the files by reference to CRIS's ``tools/data_process.py``: a json is a
list of records with ``segment_id``, ``img_name`` and ``sentences`` (each with ``sent``), next to a folder of black and
white masks, ``masks/<segment_id>.png``. Public programs that evaluate on RefCOCOm read these files.
"""
from pathlib import Path

from mmpartref.datasets.converters.mask_document import MaskDocument, files_by_stem, read_binary_mask
from mmpartref.datasets.converters.standard_json import (
    AS_PUBLISHED,
    check_list,
    convert_splits,
    count_line,
    expression_count,
    field,
    sentences_of,
)
from mmpartref.errors import InputError, MissingFileError
from mmpartref.files.json_files import load_json

SOURCE = 'RefCOCOm'
# The one category: the files do not describe the categories of their annotations.
CATEGORY_ID, CATEGORY = 1, 'referent'


def convert_refcocom(root: str | Path) -> tuple[dict, list[str]]:
    """Return a json for each one in ``annotations``, and a line that counts its records.

    A record becomes an annotation with its ``segment_id`` and ``cat``, and a record of ``referring``. Records with an
    empty mask are dropped.

    Args:
        root: the folder with ``annotations`` and ``masks``.
    """
    root = Path(root)
    files, _ = files_by_stem(root / 'annotations', '.json')
    if not files:
        raise MissingFileError(f'{root}/annotations has no json; unpack the whole archive')
    return convert_splits('refcocom', files, lambda name: _convert_file(files[name], root / 'masks'))


def _convert_file(path: Path, masks: Path) -> tuple[dict, list[str]]:
    document = MaskDocument(SOURCE, [{'id': CATEGORY_ID, 'name': CATEGORY, 'supercategory': ''}])
    referring: list[dict] = []
    sizes: dict[str, tuple[int, int]] = {}
    records = check_list(load_json(path, hint='unpack it again'), path, 'records')
    for index, record in enumerate(records):
        where = f'{path}: record {index}'
        image = field(record, 'img_name', str, where)
        segment = record.get('segment_id')
        if isinstance(segment, bool) or not isinstance(segment, (int, str)) or not str(segment).strip():
            raise InputError(f"{where}: 'segment_id' is {segment!r}, not the name of a mask; {AS_PUBLISHED}")
        expressions = sentences_of(record, where)
        mask = read_binary_mask(masks / f'{segment}.png')
        size = (mask.shape[0], mask.shape[1])
        if sizes.setdefault(image, size) != size:
            raise InputError(f'{where}: its mask {segment}.png is {size} (height, width), but another of {image} is '
                             f'{sizes[image]}; unpack the archive again')
        keys = {key: record[key] for key in ('segment_id', 'cat') if key in record}
        if document.add_mask(image, CATEGORY_ID, mask, **keys):
            ann_id = document.annotations[-1]['id']
            referring.append({'id': index, 'image_id': image, 'ann_ids': [ann_id], 'expressions': expressions})
    for image, size in sizes.items():
        document.add_image(image, image, *size)
    line = count_line('records', len(records), len(referring), {'with an empty mask': len(records) - len(referring)})
    return document.to_json(referring=referring), [
        f'{line}; {expression_count(referring):,} expressions for {len(sizes):,} images']

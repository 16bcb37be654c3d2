"""RefCOCOm: referring expressions for parts and objects of COCO's train2014.

Paper: Wang et al., Unveiling Parts Beyond Objects: Towards Finer-Granularity Referring Expression Segmentation (CVPR
2024). Its authors (Rubics-Xuan/MRES) describe the files by reference to CRIS's ``tools/data_process.py``: a json is a
list of records with ``segment_id``, ``img_name`` and ``sentences`` (each with ``sent``), next to a folder of black and
white masks, ``masks/<segment_id>.png``. Public programs that evaluate on RefCOCOm read these files.
"""
from collections import Counter
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from mmpartref.argument_checks import check_choice, check_path
from mmpartref.datasets.coco.record_faults import is_id
from mmpartref.datasets.converters.mask_document import MaskDocument, file_in, files_by_stem, read_grey
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

Overlaps = Literal['part', 'background']
SOURCE = 'RefCOCOm'
# The one category: the files do not describe the categories of their annotations.
CATEGORY_ID, CATEGORY = 1, 'referent'
# Those of the published tables: "Part" is the first of each split, "Object & Part" the second.
PUBLISHED_FILES = ('val_part_only', 'val_object_part', 'testA_part_only', 'testA_object_part', 'testB_part_only',
                   'testB_object_part')
# CRIS's script writes 255 times the number of a polygon's rings at a pixel, in 8 bits: 254 for two, 253 for three. With
# fewer than 16 rings no value is lower.
MIN_OVERLAP, WHITE = 241, 255


def convert_refcocom(root: str | Path, overlaps: Overlaps = 'part') -> tuple[dict, list[str]]:
    """Return the COCO json of each file in ``annotations``, by name, and lines with counts.

    A record becomes an annotation with its ``segment_id`` and ``cat``, and a record of ``referring``. Records with an
    empty mask or without a usable sentence are dropped.

    Args:
        root: the folder with ``annotations`` and ``masks``.
        overlaps: what pixels are where rings of a polygon overlap (values 241 to 254): ``'part'`` of the mask, as CRIS
            evaluates, or ``'background'``, as MMR does.
    """
    check_choice(overlaps, 'overlaps', get_args(Overlaps))
    root = Path(check_path(root, 'root'))
    files, hidden = files_by_stem(root / 'annotations', '.json')
    if not files:
        raise MissingFileError(f'{shown_name(str(root))}/annotations has no json; unpack the whole archive')
    documents, lines = convert_splits('refcocom', files,
                                      lambda name: _convert_file(files[name], root / 'masks', overlaps))
    missing = [name for name in PUBLISHED_FILES if name not in files]
    if missing:
        lines.append(f"{len(missing)} of the {len(PUBLISHED_FILES)} published files are not there: "
                     f"{', '.join(missing)}")
    return documents, [*lines, f'{hidden:,} hidden files ignored'] if hidden else lines


def _convert_file(path: Path, masks: Path, overlaps: Overlaps) -> tuple[dict, list[str]]:
    document = MaskDocument(SOURCE, [{'id': CATEGORY_ID, 'name': CATEGORY, 'supercategory': ''}])
    referring: list[dict] = []
    sizes: dict[str, tuple[int, int]] = {}
    overlapping: dict[str, int] = {}
    records = check_list(load_json(path, hint='unpack it again'), path, 'records')
    dropped: Counter[str] = Counter()
    for index, record in enumerate(records):
        where = f'{shown_name(str(path))}: record {index}'
        image, segment = _names(record, where)
        expressions = sentences_of(record, where, dropped)
        mask, overlapping[segment] = _read_mask(file_in(masks, segment, '.png', where), overlaps)
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
        f'for {len(sizes):,} images{dropped_note(dropped)}', *_overlap_lines(overlapping, overlaps)]


def _names(record: Any, where: str) -> tuple[str, str]:
    """Return a record's image and the name of its mask; raises an InputError where it has none."""
    image = field(record, 'img_name', str, where)
    segment = record.get('segment_id')
    if not is_id(segment):
        raise InputError(f"{where}: 'segment_id' is {shown(segment)}, not the name of a mask; {AS_PUBLISHED}")
    if not is_id(record.get('cat', 0)):
        raise InputError(f"{where}: 'cat' is {shown(record['cat'])}, not a number or name; {AS_PUBLISHED}")
    return image, str(segment)


def _read_mask(path: Path, overlaps: Overlaps) -> tuple[np.ndarray, int]:
    """Return a mask (h, w), bool, and the number of its pixels where rings overlap.

    Raises:
        MissingFileError: the file does not exist.
        InputError: it is damaged, or has other values than a mask, colours or transparent pixels.
    """
    values = read_grey(path)
    if values.dtype == bool:
        return values, 0
    several = (values >= MIN_OVERLAP) & (values < WHITE)
    white = values == WHITE
    if not (white | several | (values == 0)).all():
        raise InputError(f'{shown_name(str(path))} is not a mask: a pixel is neither black (0) nor white (255, or '
                         f'{MIN_OVERLAP} to {WHITE - 1} where rings of its polygon overlap); {AS_PUBLISHED}')
    return white | several if overlaps == 'part' else white, int(several.sum())


def _overlap_lines(overlapping: dict[str, int], overlaps: Overlaps) -> list[str]:
    """Return a line that counts masks with overlapping rings and their pixels, by mask, where there are any."""
    number = sum(pixels > 0 for pixels in overlapping.values())
    if not number:
        return []
    return [f'{number:,} masks have {sum(overlapping.values()):,} pixels of the values {MIN_OVERLAP} to {WHITE - 1}, '
            f"where polygon rings overlap; they are {'part of the mask' if overlaps == 'part' else 'background'}"]

"""gRefCOCO as published: ``grefs(unc).json`` and ``instances.json``; a sentence may mean several things, or nothing.

Paper: Liu et al., GRES: Generalized Referring Expression Segmentation (CVPR 2023). Format: henghuiding/gRefCOCO.
"""
import json
from pathlib import Path
from typing import Any

from mmpartref.datasets.coco.read_coco import read_json
from mmpartref.datasets.converters.standard_json import Document, by_id, field, split_document, split_records
from mmpartref.errors import InputError, MissingFileError

SPLITS = ('train', 'val', 'testA', 'testB')
SOURCE = 'gRefCOCO'
# The id of no annotation, which stands where a sentence means nothing.
NOTHING = -1


def read_grefs(path: str | Path) -> list[Any]:
    """Return the list of refs in a ``grefs(unc).json``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or holds no list.
    """
    if not Path(path).is_file():
        raise MissingFileError(f"{path} is no file; download the data set's grefs(unc).json")
    try:
        refs = json.loads(Path(path).read_text(encoding='utf-8'))
    except ValueError as error:
        raise InputError(f'{path} is not a complete json ({error}); download it again') from None
    if not isinstance(refs, list) or not refs:
        raise InputError(f'{path} holds no list of refs; use the grefs(unc).json as it was published')
    return refs


def targets_of(ref: dict, where: str) -> list[int]:
    """Return the ids of the annotations that a ref means; none where ``ann_id`` is empty or ``[-1]``.

    Raises:
        ValueError: ``ann_id`` is no list of ids, has -1 next to others, or contradicts ``no_target``.
    """
    ann_ids = field(ref, 'ann_id', list, where)
    if not all(isinstance(each, int) and not isinstance(each, bool) for each in ann_ids):
        raise InputError(f"{where}: 'ann_id' is {ann_ids!r}, not a list of ids; use the file as it was published")
    targets = [] if ann_ids == [NOTHING] else ann_ids
    if NOTHING in targets:
        raise InputError(f"{where}: 'ann_id' is {ann_ids!r}, which means nothing and something; correct it")
    if 'no_target' in ref and field(ref, 'no_target', bool, where) != (not targets):
        raise InputError(f"{where}: 'no_target' is {ref['no_target']} but 'ann_id' is {ann_ids!r}; correct one of them")
    return targets


def convert_grefcoco(refs_file: str | Path, instances_file: str | Path) -> tuple[dict[str, Document], list[str]]:
    """Return the json of each split, and a line on each: refs, expressions, refs that mean nothing.

    Args:
        refs_file: ``grefs(unc).json``.
        instances_file: the ``instances.json`` next to it.

    Raises:
        ValueError: a file is malformed.
    """
    document = read_json(str(instances_file))
    images, annotations = (by_id(document, section, str(instances_file)) for section in ('images', 'annotations'))
    splits = split_records(read_grefs(refs_file), SPLITS, targets_of, images, annotations, str(refs_file),
                           str(instances_file), 'gRefCOCO', 'use the file as it was published')
    lines = [f"{split:6} {len(records):,} refs, {sum(not record['ann_ids'] for record in records):,} of them mean "
             f"nothing; {sum(len(record['expressions']) for record in records):,} expressions"
             for split, records in splits.items()]
    return {f'grefcoco_unc_{split}': split_document(SOURCE, records, images, annotations, document['categories'])
            for split, records in splits.items() if records}, lines

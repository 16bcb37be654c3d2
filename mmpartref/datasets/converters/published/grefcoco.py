"""gRefCOCO as published: ``grefs(unc).json`` and ``instances.json``; an expression has any number of targets, or none.

Paper: Liu et al., GRES: Generalized Referring Expression Segmentation (CVPR 2023). Format: henghuiding/gRefCOCO.
"""
from pathlib import Path

from mmpartref.datasets.converters.standard_json import (
    AS_PUBLISHED,
    MAX_INTEGER,
    check_list,
    convert_refs,
    dropped_note,
    expression_count,
    field,
)
from mmpartref.errors import InputError
from mmpartref.files.json_files import load_json
from mmpartref.text import shown

SPLITS = ('train', 'val', 'testA', 'testB')
SOURCE = 'gRefCOCO'
# The annotation id of an expression without a target.
NO_TARGET = -1


def annotation_ids(ref: dict, where: str) -> list[int]:
    """Return the ids of a ref's annotations; none where ``ann_id`` is empty or ``[-1]``."""
    ann_ids = field(ref, 'ann_id', list, where)
    if not all(type(each) is int and abs(each) <= MAX_INTEGER for each in ann_ids):
        raise InputError(f"{where}: 'ann_id' is {shown(ann_ids)}, not a list of ids; {AS_PUBLISHED}")
    found = [] if ann_ids == [NO_TARGET] else ann_ids
    if NO_TARGET in found:
        raise InputError(f"{where}: 'ann_id' is {shown(ann_ids)}, which is both no target and a target; correct it")
    if 'no_target' in ref and field(ref, 'no_target', bool, where) != (not found):
        raise InputError(f"{where}: 'no_target' is {ref['no_target']} but 'ann_id' is {shown(ann_ids)}; correct one of "
                         'them')
    return found


def convert_grefcoco(refs_file: str | Path, instances_file: str | Path) -> tuple[dict, list[str]]:
    """Return the json of each split, and a line for each: refs, refs without a target, expressions.

    Args:
        refs_file: ``grefs(unc).json``.
        instances_file: the ``instances.json`` next to it.
    """
    refs = check_list(load_json(refs_file, hint='download it again'), refs_file, 'refs')
    documents, splits, dropped = convert_refs(refs, SPLITS, annotation_ids, refs_file, instances_file, SOURCE,
                                              'grefcoco_unc')
    return documents, [f"{split:6} {len(records):,} refs, {sum(not record['ann_ids'] for record in records):,} of them "
                       f'without a target; {expression_count(records):,} expressions{dropped_note(dropped[split])}'
                       for split, records in splits.items()]

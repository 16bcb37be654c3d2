"""COCO's average precision of part masks, by pycocotools.

Of instances: each record of a COCO results file against each annotation of the json, as detectors are scored. Of merged
masks: one mask per expression against the union of its annotations; a model is queried for parts that are in the image
alone, so false positives of other categories do not count, and the figure is not comparable with that of instances.
"""
import contextlib
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmpartref.argument_checks import check_path
from mmpartref.datasets.coco.read_coco import read_coco
from mmpartref.errors import InputError
from mmpartref.evaluation.dumps.dump import PredictionDump, check_dump
from mmpartref.evaluation.dumps.read_predictions import read_records
from mmpartref.files.json_files import load_json
from mmpartref.masks.rle import empty, rle_from_segmentation, union
from mmpartref.tables import Table, percent_columns, to_text
from mmpartref.text import shown

# Positions in COCOeval's ``stats``.
STATS = {'AP': 0, 'AP50': 1, 'AP75': 2, 'AP_small': 3, 'AP_medium': 4, 'AP_large': 5}
INSTANCES, MERGED = 'instances', 'one mask per expression'


@dataclass(frozen=True)
class PartAP:
    """Average precision.

    Attributes:
        kind: ``INSTANCES`` or ``MERGED``.
        metrics: fractions; AP is the mean over IoU .5 to .95 and over the categories. A size without masks is missing.
        categories: number of categories with an annotation.
    """
    kind: str
    metrics: dict[str, float]
    categories: int


def has_categories(results: str | Path) -> bool:
    """Return whether a file of predictions has category ids."""
    return any(record.get('category_id') is not None
               for _, record in read_records(Path(check_path(results, 'results'))))


def instance_ap(results: str | Path, ann_file: str | Path, img_ids: Collection[int | str] | None = None) -> PartAP:
    """Return the average precision of all records of a COCO results file with category ids and scores.

    Args:
        results: the records.
        ann_file: COCO json of the parts.
        img_ids: of the images that count; None for all of the json.

    Raises:
        InputTypeError: an argument is of another type.
        MissingFileError: a file does not exist.
        InputError: a record has no ``category_id`` or score, names what the json does not have, or is damaged.
    """
    ann_file = check_path(ann_file, 'ann_file')
    read_coco(ann_file)  # raises the first fault
    document = load_json(ann_file)
    sizes = {image['id']: (image['height'], image['width']) for image in document['images']}
    counted = sizes.keys() if img_ids is None else set(img_ids)
    truth = []
    for record in document['annotations']:
        if record['image_id'] not in counted:
            continue
        rle = _rle(record['segmentation'], sizes[record['image_id']], f"{ann_file}: annotation {record['id']}")
        truth.append(_truth(record['image_id'], record['category_id'], rle, int(record.get('iscrowd') or 0)))
    categories = {record['id'] for record in document['categories']}
    found = []
    for where, record in read_records(Path(check_path(results, 'results'))):
        if record.get('category_id') is None or record.get('score') is None:
            raise InputError(f'{where} has no category_id or no score, which average precision needs; write both, or '
                             'drop --ap')
        if record['image'] not in sizes or record['category_id'] not in categories:
            raise InputError(f"{where} is of image {shown(record['image'])} and category "
                             f"{shown(record['category_id'])}, which {ann_file} does not both have; correct the ids")
        if record['image'] not in counted:
            continue
        rle = _rle(record['mask'], sizes[record['image']], where)
        found.append(_result(record['image'], record['category_id'], rle, float(record['score'])))
    return PartAP(INSTANCES, *average_precision(truth, found, {key: sizes[key] for key in sizes if key in counted},
                                               sorted(categories)))


def merged_ap(dump: PredictionDump) -> PartAP:
    """Return the average precision of a dump's masks of parts that are in their image.

    Raises:
        InputTypeError: ``dump`` is of another type.
        InputError: there is no such expression.
    """
    check_dump(dump)
    categories: dict[tuple[str, str], int] = {}
    truth, found = [], []
    for image in dump.images:
        for each in image.expressions:
            if each.absent is not None:
                continue
            category_id = categories.setdefault((each.super_category, each.part), len(categories) + 1)
            truth.append(_truth(image.img_id, category_id, union(each.truth, image.ori_shape)))
            found.append(_result(image.img_id, category_id, each.pred, each.score))
    if not truth:
        raise InputError('there is no expression of a part that is in its image; check the dataset and its ann_file')
    sizes = {image.img_id: image.ori_shape for image in dump.images}
    return PartAP(MERGED, *average_precision(truth, found, sizes, list(categories.values())))


def average_precision(truth: list[dict[str, Any]], found: list[dict[str, Any]],
                      sizes: Mapping[int | str, tuple[int, int]],
                      categories: Sequence[int]) -> tuple[dict[str, float], int]:
    """Return pycocotools' figures for annotations and results in COCO's form, and how many categories have any."""
    # Ids of images may be strings, which COCOeval cannot sort among numbers.
    numbers = {img_id: number for number, img_id in enumerate(sizes, 1)}
    images = [{'id': numbers[img_id], 'height': size[0], 'width': size[1]} for img_id, size in sizes.items()]
    for number, record in enumerate([*truth, *found], 1):
        record.update(id=number, image_id=numbers[record['image_id']])
    with contextlib.redirect_stdout(io.StringIO()):
        api, results = COCO(), COCO()
        for each, annotations in ((api, truth), (results, found)):
            each.dataset = {'images': images, 'annotations': annotations,
                            'categories': [{'id': category_id} for category_id in categories]}
            each.createIndex()
        evaluation = COCOeval(api, results, 'segm')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    metrics = {name: float(evaluation.stats[place]) for name, place in STATS.items()}
    annotated = len({each['category_id'] for each in truth if not each['iscrowd']})
    # COCOeval has -1 where there is nothing to find.
    return {name: value for name, value in metrics.items() if value >= 0}, annotated


def _rle(segmentation: object, size: tuple[int, int], where: str) -> dict:
    try:
        rle, _ = rle_from_segmentation(segmentation, *size)
    except ValueError as error:
        raise InputError(f'{where}: {error}') from None
    return empty(size) if rle is None else rle


def _truth(img_id: int | str, category_id: int, rle: dict, crowd: int = 0) -> dict[str, Any]:
    return {'image_id': img_id, 'category_id': category_id, 'segmentation': rle, 'area': float(coco_mask.area(rle)),
            'iscrowd': crowd, 'ignore': crowd}


def _result(img_id: int | str, category_id: int, rle: dict, score: float) -> dict[str, Any]:
    return {**_truth(img_id, category_id, rle), 'score': score}


def format_ap(found: PartAP) -> str:
    """Return the figures as a text table in percent."""
    note = {INSTANCES: 'each record against each annotation, all categories of the json',
            MERGED: 'each expression against the union of its annotations; parts that are not in the image were not '
                    'queried: not comparable with AP of instances'}[found.kind]
    names = list(found.metrics)
    return to_text(Table(f'part AP of {found.kind}, {found.categories} categories', percent_columns(*names),
                         [[found.metrics[name] for name in names]], [note]))

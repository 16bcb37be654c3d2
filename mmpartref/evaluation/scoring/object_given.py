"""Metrics with the object given: predictions limited to the object's region, next to the predictions as they are.

OV-PARTS calls the two Oracle-Obj and Pred-All (Wei et al., "OV-PARTS: Towards Open-Vocabulary Part Segmentation",
NeurIPS 2023, Datasets and Benchmarks, section 3.2).
"""
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import PIL.Image
from pycocotools import mask as coco_mask

from mmpartref.argument_checks import check_instance, check_path
from mmpartref.datasets.coco.read_coco import read_coco
from mmpartref.datasets.partimagenet.partimagenet_names import OBJECT_MAP_BACKGROUND, load_synsets
from mmpartref.errors import InputError, MissingFileError
from mmpartref.evaluation.dumps.dump import PredictionDump
from mmpartref.evaluation.dumps.predictions import ImagePredictions, Prediction, as_text
from mmpartref.evaluation.scoring.conventions import EmptyRule
from mmpartref.evaluation.scoring.iou_metrics import PRECISION_THRESHOLDS, exact_thresholds, summarise
from mmpartref.evaluation.scoring.score_dump import score_dump
from mmpartref.files.plain_file import open_plain_file
from mmpartref.masks.iou import encode_masks
from mmpartref.masks.rle import union
from mmpartref.progress import track
from mmpartref.tables import Cell, Column, Table, percent_columns, to_text
from mmpartref.text import shown_name

# The region of an object in an image by its super-category, None where it is unknown.
Regions = Callable[[ImagePredictions], dict[str, dict]]
# Share of the expressions without an object from which the objects are taken for those of another dataset.
MAX_UNLIMITED = 0.5
COLUMNS = ('mIoU', 'cIoU', *(f'P@{name}' for name in exact_thresholds(PRECISION_THRESHOLDS)))
PRED_ALL, ORACLE_OBJ = 'as predicted (Pred-All)', 'object given (Oracle-Obj)'


@dataclass(frozen=True)
class LimitedDump:
    """Predictions within their object's region.

    Attributes:
        dump: without candidates.
        source: where the regions come from.
        unlimited: ref ids of expressions whose object has no region; their predictions are as they were.
    """
    dump: PredictionDump
    source: str
    unlimited: list[str]


def limit_to_objects(dump: PredictionDump, *, object_ann: str | Path | None = None,
                     object_maps: str | Path | None = None) -> LimitedDump:
    """Limit each prediction to the region of its object: all objects of its super-category in the image.

    Args:
        dump: predictions of parts.
        object_ann: COCO json of the objects of the same images; its categories have the names of the super-categories.
        object_maps: folder of PartImageNet's object label maps, ``annotations/{split}_whole``.
            Without either, an object is the union of its annotated parts.

    Raises:
        InputTypeError: an argument is of another type.
        MissingFileError: the json or a map does not exist.
        InputError: both are given, one of them is damaged, or has other sizes than the dump.
    """
    check_instance(dump, 'dump', PredictionDump, 'read one with read_dump')
    if object_ann is not None and object_maps is not None:
        raise InputError('object_ann and object_maps both give the objects; use one of them')
    if object_ann is not None:
        regions, source = regions_of_json(check_path(object_ann, 'object_ann')), f'objects of {object_ann}'
    elif object_maps is not None:
        regions, source = regions_of_maps(check_path(object_maps, 'object_maps')), f'object maps of {object_maps}'
    else:
        regions, source = regions_of_parts, 'union of the annotated parts'
    if object_ann is not None or object_maps is not None:
        check_stems(dump)
    images, unlimited = [], []
    for image in track(dump.images, 'images', min_items=500):
        found = regions(image)
        unlimited += [each.ref_id for each in image.expressions
                      if each.super_category not in found and each.absent is None]
        images.append(replace(image, expressions=[_limited(each, found) for each in image.expressions]))
    present = sum(each.absent is None for image in images for each in image.expressions)
    if len(unlimited) > present * MAX_UNLIMITED:
        raise InputError(f'{len(unlimited):,} of {present:,} expressions have no object among the {source}; their '
                         'names should be those of the super-categories of the dump, and the file names those of its '
                         'images')
    return LimitedDump(PredictionDump(dict(dump.header), images), source, unlimited)


def check_stems(dump: PredictionDump) -> None:
    """Raise an ``InputError`` where two images have one file name, by which their objects are found."""
    seen: dict[str, str] = {}
    for image in dump.images:
        other = seen.setdefault(Path(image.img_path).stem, image.img_path)
        if other != image.img_path:
            raise InputError(f'{shown_name(other)} and {shown_name(image.img_path)} have one file name, by which '
                             'objects are found; rename one')


def _limited(prediction: Prediction, regions: dict[str, dict]) -> Prediction:
    region = regions.get(prediction.super_category)
    if region is None:
        return replace(prediction, candidates=None)
    return replace(prediction, candidates=None,
                   pred=as_text(coco_mask.merge([prediction.pred, region], intersect=True)))


def regions_of_parts(image: ImagePredictions) -> dict[str, dict]:
    """Return the union of the annotated parts of each super-category that has a name."""
    parts: dict[str, list[dict]] = {}
    for each in image.expressions:
        if each.super_category and each.truth:
            parts.setdefault(each.super_category, []).extend(each.truth)
    return {owner: union(rles, image.ori_shape) for owner, rles in parts.items()}


def regions_of_json(ann_file: str) -> Regions:
    """Return a function that looks objects up in a COCO json by the image's file name."""
    document = read_coco(ann_file, level='object')
    # The name of an object is its super-category, with an empty part.
    names = {category_id: name.part or name.super_category for category_id, name in document.names.items()}
    by_name: dict[str, dict[str, list[dict]]] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for image in document.images:
        stem = Path(image.file_name).stem
        if stem in sizes:
            raise InputError(f'{ann_file} has two images named {shown_name(stem)}; give them different names')
        sizes[stem] = image.height, image.width
        owners = by_name.setdefault(stem, {})
        for each in image.annotations:
            owners.setdefault(names[each.category_id], []).append(each.rle)

    def regions(image: ImagePredictions) -> dict[str, dict]:
        stem = Path(image.img_path).stem
        if stem not in sizes:
            return {}
        if sizes[stem] != image.ori_shape:
            raise InputError(f'{ann_file}: image {shown_name(stem)} is {sizes[stem]} pixels (height, width) but '
                             f'{image.ori_shape} in the dump; give the objects of the same images')
        return {owner: union(rles, image.ori_shape) for owner, rles in by_name[stem].items()}

    return regions


def regions_of_maps(folder: str) -> Regions:
    """Return a function that reads PartImageNet's object map of an image."""
    owners = [synset.super_category.lower() for synset in load_synsets().values()]

    def regions(image: ImagePredictions) -> dict[str, dict]:
        labels = read_object_map(Path(folder) / f'{Path(image.img_path).stem}.png', image.ori_shape)
        found: dict[str, np.ndarray] = {}
        for label in np.unique(labels).tolist():
            if label != OBJECT_MAP_BACKGROUND:
                found[owners[label]] = found.get(owners[label], False) | (labels == label)
        return {owner: encode_masks(mask[None])[0] for owner, mask in found.items()}

    return regions


def read_object_map(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Return an object label map, (h, w) uint8.

    Raises:
        MissingFileError: the file does not exist.
        InputError: it is not an image of one 8-bit channel, has another size than (h, w), or another label.
    """
    name = shown_name(str(path))
    try:
        # Pillow leaves the labels of a palette image alone.
        with open_plain_file(path) as file, PIL.Image.open(file, formats=('PNG', )) as image:
            if image.mode not in ('L', 'P') or image.size != size[::-1]:
                raise InputError(f'{name} is stored as {image.mode} with {image.height} x {image.width} pixels (height '
                                 f'x width); the map of the image has one 8-bit channel and {size[0]} x {size[1]}')
            labels = np.asarray(image)
    except MissingFileError:
        raise MissingFileError(f'there is no object map {name}; give the folder annotations/<split>_whole') from None
    except InputError:
        raise
    except Exception as error:  # Pillow raises errors of many types on damaged files
        raise InputError(f'{name} is not an image that can be read ({type(error).__name__}); copy it again') from None
    if labels.max() > OBJECT_MAP_BACKGROUND:
        raise InputError(f'{name} has the label {labels.max()}; object maps have 0 to {OBJECT_MAP_BACKGROUND}')
    return labels


def compare_object_given(dump: PredictionDump, limited: LimitedDump, *, strict: bool = True,
                         empty: EmptyRule = 'one') -> dict[str, dict[str, float]]:
    """Return the metrics of ``summarise`` of both."""
    return {name: summarise(score_dump(each), strict=strict, empty=empty)
            for name, each in ((PRED_ALL, dump), (ORACLE_OBJ, limited.dump))}


def format_object_given(metrics: dict[str, dict[str, float]], limited: LimitedDump) -> str:
    """Return both rows as a text table in percent."""
    lines: list[list[Cell]] = [[name, *(each[key] for key in COLUMNS)] for name, each in metrics.items()]
    notes = [f'{len(limited.unlimited):,} expressions have no object there and are not limited, e.g. '
             f'{shown_name(limited.unlimited[0])}'] if limited.unlimited else []
    return to_text(Table(f'object: {limited.source}', [Column(''), *percent_columns(*COLUMNS)], lines, notes))

"""Error analysis of a dump, per expression and in total, without the model and the images.

Siblings are the image's other expressions of the same super-category, so that a dump should have all expressions of an
image; entries of a dump with one expression each (``group_by='expression'``) are joined by image.

Counts are integers and every mean is rounded once, so that neither the order of the images nor that of their
expressions changes a digit.
"""
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmpartref.argument_checks import check_sequence, check_switch
from mmpartref.datasets.referring.steps.absent_parts import NOISY_KINDS
from mmpartref.errors import InputError
from mmpartref.evaluation.diagnosis.confusion import confusion
from mmpartref.evaluation.diagnosis.failure_kinds import (
    COVERED,
    FAILURE_KINDS,
    GOOD_IOU,
    has_sibling_parts,
    is_collapsed,
    kind_of,
)
from mmpartref.evaluation.diagnosis.left_right import SideOverlap, left_right_metrics, mirrored, side_overlap
from mmpartref.evaluation.diagnosis.pixel_breakdown import PixelBreakdown, count_pixels
from mmpartref.evaluation.dumps.dump import PredictionDump, check_dump
from mmpartref.evaluation.dumps.predictions import Prediction
from mmpartref.evaluation.scoring.iou_metrics import SIZES, TABLE_THRESHOLD, mean, precision, size_name
from mmpartref.evaluation.scoring.score_dump import BAR_FROM
from mmpartref.masks.boundary import BAND_RATIO, boundary_overlap
from mmpartref.masks.iou import Overlap
from mmpartref.masks.rle import union
from mmpartref.progress import track

ALL_SIZES = 'all'
# How a mask fits its part, from precision and recall alone; see ``fit_of``.
FITS = ('both', 'over-segmented', 'under-segmented', 'neither', 'empty')


@dataclass(frozen=True)
class DiagnosedPrediction:
    """One expression with its analysis.

    Attributes:
        pixels: counts of the predicted pixels.
        kind: one of ``failure_kinds.FAILURE_KINDS``.
        boundary: overlap of the inner bands; None for a part that is not in the image.
        has_side: whether the expression contains left or right.
        side: overlaps with the own side and the counterpart, where both are in the image.
    """
    prediction: Prediction
    pixels: PixelBreakdown
    kind: str
    boundary: Overlap | None
    has_side: bool
    side: SideOverlap | None


def diagnose(dump: PredictionDump) -> list[DiagnosedPrediction]:
    """Analyse every expression, with a progress bar.

    Raises:
        InputTypeError: ``dump`` is of another type, e.g. the path of one.
        ValueError: there is no expression.
    """
    check_dump(dump)
    images: dict[int | str, list[Prediction]] = {}
    for entry in dump.images:
        images.setdefault(entry.img_id, []).extend(entry.expressions)
    found = [each for image in track(images.values(), 'images', min_items=BAR_FROM) for each in diagnose_image(image)]
    if not found:
        raise InputError('the dump contains no expression; check the dataset and its ann_file')
    return found


def diagnose_image(image: Sequence[Prediction]) -> list[DiagnosedPrediction]:
    """Analyse all expressions of one image."""
    found = []
    for number, each in enumerate(image):
        siblings = [other for place, other in enumerate(image)
                    if place != number and other.super_category == each.super_category]
        pixels = count_pixels(each, siblings)
        boundary = boundary_overlap(each.pred, union(each.truth, each.pred['size'])) if pixels.true_area else None
        found.append(DiagnosedPrediction(each, pixels, kind_of(pixels), boundary, mirrored(each.expression) is not None,
                                         side_overlap(each, image)))
    return found


def fit_of(pixels: PixelBreakdown) -> str:
    """Return one of ``FITS`` for a part that is in the image.

    'over-segmented' is a recall of at least 1/2 with a precision below it, 'under-segmented' the reverse. Unlike the
    failure kinds of these names, they do not depend on IoU and siblings.
    """
    if pixels.precision is None or pixels.recall is None:
        return 'empty'
    if pixels.recall >= COVERED:
        return 'both' if pixels.precision >= COVERED else 'over-segmented'
    return 'under-segmented' if pixels.precision >= COVERED else 'neither'


def summarise_diagnosis(found: Sequence[DiagnosedPrediction], *, strict: bool = True) -> dict[str, Any]:
    """Return all metrics, fractions between 0 and 1, ready for JSON; ``docs/diagnosis.md`` defines them.

    Expressions whose part is not in the image are in ``absent`` and ignored by all others; those of ``NOISY_KINDS``,
    whose part can be in the image after all, are counted as ``uncertain``.

    Raises:
        InputTypeError: an argument is of another type.
    """
    strict = check_switch(strict, 'strict')
    found = check_sequence(found, 'found', 'what diagnose returns', DiagnosedPrediction)
    present = [each for each in found if each.pixels.true_area]
    absent = [each for each in found if not each.pixels.true_area]
    certain = [each for each in absent if each.prediction.absent not in NOISY_KINDS]
    sizes = {size: [each for each in present if size_name(each.pixels.true_area) == size] for size in SIZES}
    groups = {name: group for name, group in {ALL_SIZES: present, **sizes}.items() if group}
    owners = sorted({each.prediction.super_category for each in present})
    present_pixels = [(each.prediction.super_category, each.prediction.part, each.pixels) for each in present]
    return {
        'conventions': {'strict': strict, 'band': BAND_RATIO, 'good_iou': float(GOOD_IOU), 'covered': float(COVERED)},
        'absent': {'expressions': len(certain),
                   'false_positives': sum(each.kind == 'false positive' for each in certain),
                   'uncertain': len(absent) - len(certain)},
        'by_size': {size: error_metrics(group, strict) for size, group in groups.items()},
        'kinds': shares(groups, [kind for kind in FAILURE_KINDS if kind != 'false positive'], lambda each: each.kind),
        'fits': shares(groups, FITS, lambda each: fit_of(each.pixels)),
        'by_super_category': {
            owner: error_metrics([each for each in present if each.prediction.super_category == owner], strict)
            for owner in owners
        },
        'confusion': {owner: {part: vars(row) for part, row in rows.items()}
                      for owner, rows in confusion(present_pixels).items()},
        'left_right': left_right_metrics(sum(each.has_side for each in present),
                                         [each.side for each in present if each.side is not None]),
    }


def error_metrics(group: Sequence[DiagnosedPrediction], strict: bool) -> dict[str, float | None]:
    """Return the metrics of expressions whose parts are in the image.

    ``precision`` is the mean over non-empty masks (None where there is none), ``recall`` over all. ``area_ratio`` is
    all predicted pixels over all true ones. ``with_siblings`` is the number of expressions that can collapse,
    ``collapse`` the share of them that do (None where there are none).
    """
    overlaps = [each.pixels.own for each in group]
    precisions = [float(each.pixels.precision) for each in group if each.pixels.precision is not None]
    with_siblings = [each.pixels for each in group if has_sibling_parts(each.pixels)]
    return {
        'n': len(group),
        'mIoU': mean([each.iou for each in overlaps]),
        'P@0.5': precision(overlaps, TABLE_THRESHOLD, strict),
        'boundary_mIoU': mean([each.boundary.iou for each in group if each.boundary is not None]),
        'precision': mean(precisions) if precisions else None,
        'recall': mean([float(each.pixels.recall) for each in group if each.pixels.recall is not None]),
        'empty': 1 - len(precisions) / len(group),
        'area_ratio': sum(each.pixels.pred_area for each in group) / sum(each.pixels.true_area for each in group),
        'with_siblings': len(with_siblings),
        'collapse': sum(map(is_collapsed, with_siblings)) / len(with_siblings) if with_siblings else None,
    }


def shares(groups: Mapping[str, Sequence[DiagnosedPrediction]], labels: Sequence[str],
           label_of: Callable[[DiagnosedPrediction], str]) -> dict[str, dict[str, float]]:
    """Return, label to group, the share of the group that has the label; all ``labels`` are keys."""
    return {label: {name: sum(label_of(each) == label for each in group) / len(group)
                    for name, group in groups.items()} for label in labels}

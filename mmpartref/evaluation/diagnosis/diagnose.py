"""What goes wrong in a dump, expression by expression and in figures. Neither the model nor the photos are needed.

Siblings are the photo's other expressions of the same super-category, so that a dump should hold whole photos; the
entries of a dump that was written expression by expression (``group_by='expression'``) are put together again.

Every count is of pixels or expressions, in integers; every mean is rounded once. The order of the photos and of their
expressions changes no digit.
"""
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.utils import ProgressBar

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
from mmpartref.evaluation.diagnosis.left_right import SideLanding, left_right_figures, mirrored, side_landing
from mmpartref.evaluation.diagnosis.pixel_breakdown import Landing, count_landing
from mmpartref.evaluation.dumps.dump import PredictionDump
from mmpartref.evaluation.dumps.predictions import Prediction
from mmpartref.evaluation.scoring.grouped_metrics import SIZES, size_name
from mmpartref.evaluation.scoring.iou_metrics import TABLE_THRESHOLD, mean, precision
from mmpartref.evaluation.scoring.score_dump import BAR_FROM
from mmpartref.masks.boundary import BAND_RATIO, boundary_overlap
from mmpartref.masks.iou import Overlap
from mmpartref.masks.rle import union

ALL = 'all'
# How a mask fits its part, from its precision and recall alone; see ``fit_of``.
FITS = ('both', 'over-segmented', 'under-segmented', 'neither', 'empty')


@dataclass(frozen=True)
class Diagnosed:
    """One expression.

    Attributes:
        landing: where its mask lies.
        kind: one of ``failure_kinds.FAILURE_KINDS``.
        boundary: overlap of the inner bands; None where the photo does not show the part.
        names_side: whether it says left or right.
        side: own side and counterpart, where the photo shows both.
    """
    prediction: Prediction
    landing: Landing
    kind: str
    boundary: Overlap | None
    names_side: bool
    side: SideLanding | None


def diagnose(dump: PredictionDump) -> list[Diagnosed]:
    """Look at every expression once; draws a progress bar on a terminal.

    Raises:
        ValueError: there is no expression.
    """
    photos: dict[int | str, list[Prediction]] = {}
    for entry in dump.photos:
        photos.setdefault(entry.img_id, []).extend(entry.expressions)
    bar = ProgressBar(len(photos), file=sys.stderr) if len(photos) >= BAR_FROM and sys.stderr.isatty() else None
    found: list[Diagnosed] = []
    for photo in photos.values():
        found += diagnose_photo(photo)
        if bar is not None:
            bar.update()
    if not found:
        raise InputError('the dump holds no expression; check the data set and its ann_file')
    return found


def diagnose_photo(photo: Sequence[Prediction]) -> list[Diagnosed]:
    """Look at all expressions of one photo."""
    found = []
    for number, each in enumerate(photo):
        siblings = [other for place, other in enumerate(photo)
                    if place != number and other.super_category == each.super_category]
        landing = count_landing(each, siblings)
        boundary = boundary_overlap(each.pred, union(each.truth, each.pred['size'])) if landing.true_area else None
        found.append(Diagnosed(each, landing, kind_of(landing), boundary, mirrored(each.expression) is not None,
                               side_landing(each, photo)))
    return found


def fit_of(landing: Landing) -> str:
    """Return one of ``FITS`` for a part that is in the photo.

    'over-segmented' is a recall of at least 1/2 with a precision below it, 'under-segmented' the other way round. Other
    than the failure kinds of these names, which are tried after others, this looks at nothing but the two.
    """
    if landing.precision is None or landing.recall is None:
        return 'empty'
    whole, clean = landing.recall >= COVERED, landing.precision >= COVERED
    if whole and clean:
        return 'both'
    return 'over-segmented' if whole else 'under-segmented' if clean else 'neither'


def summarise_diagnosis(found: Sequence[Diagnosed], *, strict: bool = True) -> dict[str, Any]:
    """Return all figures, fractions between 0 and 1, ready for JSON; ``docs/diagnosis.md`` says what each one is.

    Expressions whose part is not in the photo are in ``absent`` and nowhere else; those of which it is not certain
    (``absent_parts.NOISY_KINDS``) are counted as doubtful.
    """
    shown = [each for each in found if each.landing.true_area]
    absent = [each for each in found if not each.landing.true_area]
    certain = [each for each in absent if each.prediction.absent not in NOISY_KINDS]
    sizes = {size: [each for each in shown if size_name(each.landing.true_area) == size] for size in SIZES}
    groups = {ALL: shown, **{size: group for size, group in sizes.items() if group}}
    owners = sorted({each.prediction.super_category for each in shown})
    sides = [each.side for each in shown if each.side is not None]
    return {
        'conventions': {'strict': strict, 'band': BAND_RATIO, 'good_iou': float(GOOD_IOU), 'covered': float(COVERED)},
        'absent': {'expressions': len(certain), 'invented': sum(each.kind == 'invented' for each in certain),
                   'doubtful': len(absent) - len(certain)},
        'by_size': {size: group_figures(group, strict) for size, group in groups.items() if group},
        'kinds': shares(groups, [kind for kind in FAILURE_KINDS if kind != 'invented'], lambda each: each.kind),
        'fits': shares(groups, FITS, lambda each: fit_of(each.landing)),
        'by_super_category': {
            owner: group_figures([each for each in shown if each.prediction.super_category == owner], strict)
            for owner in owners
        },
        'confusion': {owner: {part: vars(line) for part, line in lines.items()}
                      for owner, lines in confusion_of(shown).items()},
        'left_right': left_right_figures(sum(each.names_side for each in shown), sides),
    }


def confusion_of(found: Sequence[Diagnosed]) -> dict[str, dict[str, Any]]:
    """Return the confusion matrices."""
    return confusion((each.prediction.super_category, each.prediction.part, each.landing) for each in found)


def group_figures(group: Sequence[Diagnosed], strict: bool) -> dict[str, float | None]:
    """Return the figures of expressions whose parts are in the photo.

    ``precision`` is the mean over non-empty masks (None where there is none), ``recall`` over all. ``area_ratio`` is
    all predicted pixels over all true ones. ``with_siblings`` counts the expressions that can collapse at all,
    ``collapse`` is the share of them that do (None where there is none).
    """
    overlaps = [each.landing.own for each in group]
    said = [float(each.landing.precision) for each in group if each.landing.precision is not None]
    can = [each.landing for each in group if has_sibling_parts(each.landing)]
    return {
        'n': len(group),
        'mIoU': mean([each.iou for each in overlaps]),
        'P@0.5': precision(overlaps, TABLE_THRESHOLD, strict),
        'boundary_mIoU': mean([each.boundary.iou for each in group if each.boundary is not None]),
        'precision': mean(said) if said else None,
        'recall': mean([float(each.landing.recall) for each in group if each.landing.recall is not None]),
        'empty': 1 - len(said) / len(group),
        'area_ratio': sum(each.landing.pred_area for each in group) / sum(each.landing.true_area for each in group),
        'with_siblings': len(can),
        'collapse': sum(map(is_collapsed, can)) / len(can) if can else None,
    }


def shares(groups: Mapping[str, Sequence[Diagnosed]], labels: Sequence[str],
           label_of: Callable[[Diagnosed], str]) -> dict[str, dict[str, float]]:
    """Return, label to group, the share of the group that has the label; labels that nobody has are there too."""
    return {label: {name: sum(label_of(each) == label for each in group) / len(group)
                    for name, group in groups.items() if group} for label in labels}

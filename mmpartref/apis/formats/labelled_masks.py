"""Masks with a label, as annotation formats take them: one per expression, per connected piece or per instance."""
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from mmpartref.argument_checks import check_choice, check_integer, check_number
from mmpartref.masks.outlines import split_components

Instances = Literal['one', 'components']
INSTANCES: tuple[str, ...] = get_args(Instances)
# Pixels of the smallest piece that is an annotation.
MIN_AREA = 16
# Pixels between a polygon and the outline of its mask.
TOLERANCE, MAX_TOLERANCE = 1.0, 100


@dataclass(frozen=True)
class LabelledMask:
    """A mask of an image.

    Attributes:
        label: the expression.
        mask: (h, w) bool, not empty.
        score: 0 to 1, None where there is none.
        group: index of the expression; masks of one expression have the same.
        instances: (mask, score) of the detector's instances that the mask unites; None for other models.
    """
    label: str
    mask: np.ndarray
    score: float | None
    group: int
    instances: Sequence[tuple[np.ndarray, float]] | None = None


@dataclass(frozen=True)
class FormatOptions:
    """How masks become annotations.

    Attributes:
        instances: ``'one'`` annotation per expression, or one for each of its ``'components'``: the connected pieces,
            of which those below ``min_area`` are dropped; of a detector its instances.
        min_area: of a piece, in pixels.
        tolerance: of polygons, in pixels, see ``outline``.

    Raises:
        InputTypeError, InputError: a value is of another type or out of range.
    """
    instances: Instances = 'one'
    min_area: int = MIN_AREA
    tolerance: float = TOLERANCE

    def __post_init__(self) -> None:
        check_choice(self.instances, 'instances', INSTANCES)
        check_integer(self.min_area, 'min_area')
        check_number(self.tolerance, 'tolerance', 0, MAX_TOLERANCE)

    def split(self, masks: Sequence[LabelledMask]) -> list[LabelledMask]:
        """Return one mask per annotation."""
        if self.instances == 'one':
            return list(masks)
        found = []
        for each in masks:
            pieces = each.instances if each.instances is not None else [
                (piece, each.score) for piece in split_components(each.mask, self.min_area)]
            found += [replace(each, mask=mask, score=score, instances=None) for mask, score in pieces if mask.any()]
        return found

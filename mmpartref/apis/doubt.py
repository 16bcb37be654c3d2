"""How doubtful a model is about an image: which image is worth labelling next."""
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mmpartref.apis.inferencer import PartReferInferencer
from mmpartref.apis.results import ImageResults
from mmpartref.argument_checks import check_number
from mmpartref.errors import InputError
from mmpartref.files.atomic_write import write_text
from mmpartref.masks.iou import Overlap

COLUMNS = ('image', 'doubt', 'uncertain', 'empty', 'disagreement')
DIGITS = 4


@dataclass(frozen=True)
class Doubt:
    """The doubt about an image, each 0 to 1, mean over its expressions.

    Attributes:
        image: its name.
        uncertain: share of pixels between half the mask threshold and one and a half of it, among those above half of
            it; 0 where there is none.
        empty: share of expressions with an empty mask.
        disagreement: 1 minus the IoU of the masks of two wordings; None where there is one wording.
    """
    image: str
    uncertain: float
    empty: float
    disagreement: float | None = None

    @property
    def doubt(self) -> float:
        """Mean of what is known."""
        known = [self.uncertain, self.empty, *([] if self.disagreement is None else [self.disagreement])]
        return float(np.mean(known))


def image_doubt(results: ImageResults, threshold: float, reworded: ImageResults | None = None) -> Doubt:
    """Return the doubt about an image.

    Args:
        results: with heat maps.
        threshold: of the masks, above 0.
        reworded: of the same expressions in other words, in the same order.

    Raises:
        InputTypeError, InputError: there is no expression or heat map, the threshold is out of range, or ``reworded``
            has another number of expressions.
    """
    threshold = check_number(threshold, 'threshold', 0, 1)
    if not results:
        raise InputError('an image without expressions has no doubt; predict at least one')
    uncertain = [uncertain_share(each.heat_map, threshold) for each in results]
    disagreement = None
    if reworded is not None:
        if len(reworded) != len(results):
            raise InputError(f'there are {len(results)} expressions but {len(reworded)} in other words; give one for '
                             'each')
        disagreement = float(np.mean([1 - mask_iou(one.mask, other.mask)
                                      for one, other in zip(results, reworded, strict=True)]))
    return Doubt(results.image.name, float(np.mean(uncertain)),
                 float(np.mean([not each.mask.any() for each in results])), disagreement)


def uncertain_share(heat_map: np.ndarray, threshold: float) -> float:
    """Return the share of doubtful pixels of a heat map (h, w), see ``Doubt``."""
    above = heat_map > threshold / 2
    return float((above & (heat_map < 1.5 * threshold)).sum() / max(1, above.sum()))


def mask_iou(one: np.ndarray, other: np.ndarray) -> float:
    """Return the IoU of two masks (h, w) bool; 1 where both are empty."""
    return Overlap(int((one & other).sum()), int((one | other).sum())).iou


class Ranking:
    """Collects the doubts about images.

    Args:
        inferencer: the model.
        expressions: the queries.
        rewording: template of a second wording of each, with ``{}`` for the expression; None for none.

    Attributes:
        doubts: of the images so far.
        rewordings: the second wordings, none without a template.
    """

    def __init__(self, inferencer: PartReferInferencer, expressions: Sequence[str], rewording: str | None) -> None:
        self.doubts: list[Doubt] = []
        self.rewordings = [] if rewording is None else [rewording.format(each) for each in expressions]
        self._inferencer = inferencer

    def add(self, name: str, results: ImageResults) -> None:
        """Add an image with its results, which have heat maps."""
        reworded = self._inferencer(results.image, self.rewordings) if self.rewordings else None
        self.doubts.append(self.record(name, results, reworded))

    def record(self, name: str, results: ImageResults, reworded: ImageResults | None) -> Doubt:
        """Return the doubt about an image, from its results for both wordings."""
        return replace(image_doubt(results, self._inferencer.threshold, reworded), image=name)

    def write(self, path: str | Path) -> list[Doubt]:
        """Write a CSV with a line per image, the most doubtful first; returns the doubts in that order."""
        ranked = sorted(self.doubts, key=lambda each: (-each.doubt, each.image))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator='\n')
        writer.writerow(COLUMNS)
        for each in ranked:
            values = (each.doubt, each.uncertain, each.empty, each.disagreement)
            writer.writerow([each.image, *('' if value is None else round(value, DIGITS) for value in values)])
        write_text(path, text.getvalue())
        return ranked

"""Entries of a gallery: the expressions of a dump with their scores and failure kinds."""
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from mmpartref.errors import InputError
from mmpartref.evaluation.diagnosis.failure_kinds import failure_kind
from mmpartref.evaluation.dumps.dump import PredictionDump
from mmpartref.evaluation.dumps.predictions import ImagePredictions, Prediction, as_text
from mmpartref.evaluation.scoring.iou_metrics import size_name
from mmpartref.masks.iou import ExpressionScore, score_rles
from mmpartref.masks.rle import union

# Names of the values of ``Entry.metrics``, for the page.
METRICS = ('iou', 'inter', 'area', 'score', 'presence', 'kind')


@dataclass(frozen=True)
class Entry:
    """One expression of an image.

    Attributes:
        prediction: from the dump.
        score: its pixel counts.
        kind: its failure kind, one of ``failure_kinds.FAILURE_KINDS``.
    """
    prediction: Prediction
    score: ExpressionScore
    kind: str

    @property
    def key(self) -> str:
        """Name of the query, the same in every dump."""
        return f"{self.prediction.ref_id} '{self.prediction.expression}'"

    @property
    def present(self) -> bool:
        """Whether the part is in the image; absent parts do not count in mean IoUs."""
        return self.prediction.absent is None

    def query(self) -> dict[str, Any]:
        """Return expression and ground truth as a dict for the page's script.

        ``truth`` is the area in pixels, ``anns`` the number of annotations; ``absent`` is the kind of absence.
        """
        prediction = self.prediction
        return {'ref': prediction.ref_id, 'text': prediction.expression, 'part': prediction.part,
                'super': prediction.super_category, 'size': size_name(self.score.true_area),
                'truth': self.score.true_area, 'anns': len(prediction.ann_ids),
                **({} if self.present else {'absent': prediction.absent})}

    def metrics(self) -> list[Any]:
        """Return the values named in ``METRICS``."""
        overlap, prediction = self.score.overlap, self.prediction
        presence = None if prediction.presence is None else round(prediction.presence, 6)
        return [round(overlap.iou, 6), overlap.inter, self.score.pred_area, round(prediction.score, 6), presence,
                self.kind]

    def truth_rle(self) -> dict:
        """Return the union of the annotations, ``counts`` as a string."""
        return as_text(union(self.prediction.truth, self.prediction.pred['size']))

    def truth_mask(self) -> np.ndarray:
        """Return the union of the annotations, (h, w) bool."""
        return coco_mask.decode(self.truth_rle()).astype(bool)

    def pred_mask(self) -> np.ndarray:
        """Return the predicted mask, (h, w) bool."""
        return coco_mask.decode(self.prediction.pred).astype(bool)


@dataclass(frozen=True)
class ImageEntries:
    """An image and the entries of its expressions."""
    image: ImagePredictions
    entries: list[Entry]


def all_entries(images: Sequence[ImageEntries]) -> list[Entry]:
    """Return the entries of all images."""
    return [entry for each in images for entry in each.entries]


def read_entries(dump: PredictionDump) -> list[ImageEntries]:
    """Score and classify the expressions of each image that has any.

    Raises:
        ValueError: no expression has its part in the image.
    """
    images = [ImageEntries(image, image_entries(image)) for image in dump.images if image.expressions]
    if not any(entry.present for entry in all_entries(images)):
        raise InputError('the dump has no expression whose part is in the image; check the dataset and its ann_file')
    return images


def image_entries(image: ImagePredictions) -> list[Entry]:
    """Score and classify the expressions of an image."""
    entries = []
    for number, each in enumerate(image.expressions):
        siblings = [other for index, other in enumerate(image.expressions)
                    if index != number and other.super_category == each.super_category]
        entries.append(Entry(each, score_rles(each.pred, each.truth), failure_kind(each, siblings)))
    return entries


def draw_sample(images: Sequence[ImageEntries], limit: int | None, seed: int = 0) -> list[ImageEntries]:
    """Return the images with ``limit`` random expressions, in their original order; images without one are dropped.

    All are returned if ``limit`` is None or not below their number.

    Raises:
        ValueError: the limit is not positive.
    """
    if limit is None:
        return list(images)
    if limit < 1:
        raise InputError(f'--limit is {limit}; it must be at least 1')
    total = len(all_entries(images))
    if limit >= total:
        return list(images)
    chosen = set(np.random.default_rng(seed).choice(total, limit, replace=False).tolist())
    sample, start = [], 0
    for each in images:
        entries = [entry for number, entry in enumerate(each.entries, start) if number in chosen]
        start += len(each.entries)
        if entries:
            sample.append(replace(each, entries=entries))
    return sample

"""What a gallery shows of a dump: one entry per expression, with what it is sorted and filtered by."""
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from mmpartref.errors import InputError
from mmpartref.evaluation.diagnosis.failure_kinds import failure_kind
from mmpartref.evaluation.dumps.dump import PredictionDump
from mmpartref.evaluation.dumps.predictions import PhotoPredictions, Prediction, as_text
from mmpartref.evaluation.scoring.grouped_metrics import size_name
from mmpartref.masks.iou import ExpressionScore, score_rles
from mmpartref.masks.rle import union

# The figures of an entry as the page gets them; ``Entry.figures`` has them in this order.
FIGURES = ('iou', 'inter', 'area', 'score', 'presence', 'kind')


@dataclass(frozen=True)
class Entry:
    """One expression of a photo.

    Attributes:
        prediction: from the dump.
        score: its counted pixels.
        kind: how it fails, one of ``failure_kinds.FAILURE_KINDS``.
    """
    prediction: Prediction
    score: ExpressionScore
    kind: str

    @property
    def key(self) -> str:
        """The same question has the same key in every dump."""
        return f"{self.prediction.ref_id} '{self.prediction.expression}'"

    @property
    def there(self) -> bool:
        """Whether the photo shows the part; mean IoUs are of such expressions alone, as everywhere in this project."""
        return self.prediction.absent is None

    def question(self) -> dict[str, Any]:
        """Return what was asked and what is true, for the page; ``absent`` says why the part is not there."""
        asked = self.prediction
        return {'ref': asked.ref_id, 'text': asked.expression, 'part': asked.part, 'super': asked.super_category,
                'size': size_name(self.score.true_area), 'truth': self.score.true_area, 'anns': len(asked.ann_ids),
                **({} if self.there else {'absent': asked.absent})}

    def figures(self) -> list[Any]:
        """Return what the model made of it, in the order of ``FIGURES``."""
        overlap, said = self.score.overlap, self.prediction
        presence = None if said.presence is None else round(said.presence, 6)
        return [round(overlap.iou, 6), overlap.inter, self.score.pred_area, round(said.score, 6), presence, self.kind]

    def truth_rle(self) -> dict:
        """Return the union of the annotations, ``counts`` as a string."""
        return as_text(union(self.prediction.truth, self.prediction.pred['size']))

    def truth_mask(self) -> np.ndarray:
        """Return the union of the annotations, (h, w) bool."""
        return decode(self.truth_rle())

    def pred_mask(self) -> np.ndarray:
        """Return the predicted mask, (h, w) bool."""
        return decode(self.prediction.pred)


@dataclass(frozen=True)
class PhotoEntries:
    """A photo and those of its expressions that are shown."""
    photo: PhotoPredictions
    entries: list[Entry]


def decode(rle: dict) -> np.ndarray:
    """Return (h, w) bool."""
    return coco_mask.decode(rle).astype(bool)


def all_entries(photos: Sequence[PhotoEntries]) -> list[Entry]:
    """Return the entries of all photos."""
    return [entry for each in photos for entry in each.entries]


def read_entries(dump: PredictionDump) -> list[PhotoEntries]:
    """Score and classify every expression; photos without any are left out.

    A photo that the data set gave expression by expression becomes one again: what the others name decides how an
    expression fails.

    Raises:
        ValueError: no expression of a part that is there.
    """
    photos = []
    for _, parts in groupby(dump.photos, key=lambda photo: photo.img_id):
        first, *rest = parts
        whole = replace(first, expressions=[each for part in (first, *rest) for each in part.expressions])
        if whole.expressions:
            photos.append(PhotoEntries(whole, photo_entries(whole)))
    if not any(entry.there for entry in all_entries(photos)):
        raise InputError('the dump holds no expression of a part that is in its photo; check the data set and its '
                         'ann_file')
    return photos


def photo_entries(photo: PhotoPredictions) -> list[Entry]:
    """Score and classify a photo's expressions."""
    entries = []
    for number, each in enumerate(photo.expressions):
        siblings = [other for place, other in enumerate(photo.expressions)
                    if place != number and other.super_category == each.super_category]
        entries.append(Entry(each, score_rles(each.pred, each.truth), failure_kind(each, siblings)))
    return entries


def draw_sample(photos: Sequence[PhotoEntries], limit: int | None, seed: int = 0) -> list[PhotoEntries]:
    """Return ``limit`` of all expressions, drawn at random, in the order they came in; all of them without a limit.

    Raises:
        ValueError: the limit is not positive.
    """
    if limit is None:
        return list(photos)
    if limit < 1:
        raise InputError(f'--limit is {limit}; ask for at least one expression')
    total = len(all_entries(photos))
    if limit >= total:
        return list(photos)
    chosen = set(np.random.default_rng(seed).choice(total, limit, replace=False).tolist())
    kept, place = [], 0
    for each in photos:
        entries = [entry for number, entry in enumerate(each.entries) if place + number in chosen]
        place += len(each.entries)
        if entries:
            kept.append(replace(each, entries=entries))
    return kept

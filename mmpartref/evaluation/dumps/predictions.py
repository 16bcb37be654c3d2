"""What a model said of a photo, in the form in which it is scored and dumped: run lengths, names, numbers."""
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mmpartref.errors import InputError
from mmpartref.masks.iou import encode_masks

NEEDED = ('img_id', 'ori_shape', 'refs', 'expressions', 'pred_masks', 'pred_scores')


@dataclass(frozen=True)
class Candidate:
    """A mask the model would have given at another threshold.

    At threshold t the prediction is the union of all candidates whose score is at least t: a detector's instances with
    their scores, or the nested masks of a probability map, each with the level it was cut at as its score.
    """
    score: float
    mask: dict


@dataclass(frozen=True)
class Prediction:
    """One expression: where it comes from, what was predicted, what is true.

    Attributes:
        ref_id, part, super_category, ann_ids: from the data set's ref.
        expression: the words the model was asked with.
        score: the model's own confidence, 0 to 1.
        pred: compressed COCO RLE of the predicted mask, ``counts`` as an ASCII string.
        truth: the same of each annotation, in the order of ``ann_ids``.
        candidates: best first; None where the model was not asked for them.
        absent: the kind of a part that is not in the photo (``truth`` is empty then), None for one that is.
        presence: the model's word on whether the part is there, 0 to 1; None where it gives none.
        source: the data set that the expression comes from, where that is known.
        level: ``'object'`` or ``'subpart'``; None for a part.
    """
    ref_id: str
    expression: str
    part: str
    super_category: str
    ann_ids: list[int]
    score: float
    pred: dict
    truth: list[dict]
    candidates: list[Candidate] | None = None
    absent: str | None = None
    presence: float | None = None
    source: str | None = None
    level: str | None = None


@dataclass(frozen=True)
class PhotoPredictions:
    """One photo (``ori_shape`` is (h, w) in pixels) and its K expressions."""
    img_id: int | str
    img_path: str
    ori_shape: tuple[int, int]
    expressions: list[Prediction]


def as_text(rle: Mapping) -> dict:
    """Return an RLE with ``counts`` as an ASCII string."""
    counts = rle['counts']
    return {'size': [int(side) for side in rle['size']],
            'counts': counts.decode('ascii') if isinstance(counts, bytes) else counts}


def checked_masks(sample: Mapping[str, Any], where: str) -> np.ndarray:
    """Return ``pred_masks`` as a (K, h, w) bool array.

    Raises:
        ValueError: K or the size is wrong, or the masks are not boolean.
    """
    masks = sample['pred_masks']
    masks = masks.detach().cpu().numpy() if isinstance(masks, torch.Tensor) else np.asarray(masks)
    refs, expressions, scores = sample['refs'], sample['expressions'], sample['pred_scores']
    if not len(refs) == len(expressions) == len(scores) == len(masks):
        raise InputError(f'{where} has {len(refs)} refs and {len(expressions)} expressions but the model returned '
                         f'{len(masks)} masks and {len(scores)} scores; return one of each per expression')
    if masks.dtype != np.bool_:
        raise InputError(f'{where}: pred_masks are {masks.dtype}, not bool; threshold them in the model, so that the '
                         'threshold is known')
    size = tuple(sample['ori_shape'][:2])
    if masks.ndim != 3 or masks.shape[1:] != size:
        raise InputError(f'{where} is {size[0]} x {size[1]} pixels (height x width) but pred_masks are {masks.shape}; '
                         'undo the letterbox in predict()')
    return masks


def read_sample(sample: Mapping[str, Any]) -> PhotoPredictions:
    """Take what counts from a predicted ``ReferringDataSample`` in the form of a dict.

    Raises:
        ValueError: something is missing, or masks, scores, refs, expressions and the photo's size do not go together.
    """
    where = f"photo {sample.get('img_path') or sample.get('img_id')}"
    missing = [key for key in NEEDED if sample.get(key) is None]
    if missing:
        raise InputError(f"{where} comes without {', '.join(missing)}; a data set gives img_id, ori_shape, refs and "
                         "expressions, the model's predict() pred_masks and pred_scores")
    masks = checked_masks(sample, where)
    encoded = encode_masks(masks)
    img_id = sample['img_id'] if isinstance(sample['img_id'], str) else int(sample['img_id'])
    height, width = (int(side) for side in sample['ori_shape'][:2])
    columns = zip(sample['refs'], sample['expressions'], encoded, sample['pred_scores'],
                  sample.get('pred_candidates') or [None] * len(encoded), checked_presence(sample, len(encoded), where),
                  strict=True)
    expressions = [
        read_expression(ref, text, pred, score, candidates, (height, width), where, presence)
        for ref, text, pred, score, candidates, presence in columns
    ]
    return PhotoPredictions(img_id, str(sample.get('img_path') or ''), (height, width), expressions)


def checked_presence(sample: Mapping[str, Any], count: int, where: str) -> list[float] | list[None]:
    """Return ``pred_presence`` as a list of K numbers, of None where the model gives none.

    Raises:
        ValueError: there are not K of them, or one is not between 0 and 1.
    """
    presence = sample.get('pred_presence')
    if presence is None:
        return [None] * count
    values = [float(value) for value in presence]
    if len(values) != count:
        raise InputError(f'{where} has {count} expressions but the model returned {len(values)} pred_presence; return '
                         'one of each per expression')
    wrong = [value for value in values if not 0 <= value <= 1]
    if wrong:
        raise InputError(f'{where}: pred_presence is {wrong[0]}, not a number from 0 to 1; look for NaN in the '
                         "model's outputs")
    return values


def read_candidates(candidates: tuple[torch.Tensor, torch.Tensor] | None) -> list[Candidate] | None:
    """Encode scores (C,) and masks (C, h, w)."""
    if candidates is None:
        return None
    scores, masks = (torch.as_tensor(each).detach().cpu() for each in candidates)
    return [Candidate(float(score), mask) for score, mask in zip(scores, encode_masks(masks.numpy()), strict=True)]


def read_expression(ref: Mapping[str, Any], text: str, pred: dict, score: float,
                    candidates: tuple[torch.Tensor, torch.Tensor] | None, size: tuple[int, int],
                    where: str, presence: float | None = None) -> Prediction:
    """Pair one ref, the words asked, with its predicted RLE; ``size`` is the photo's (h, w)."""
    if not math.isfinite(score):
        raise InputError(f"{where}, ref {ref['ref_id']}: the model's score is {float(score)}, not a finite number; "
                         'look for NaN in its outputs')
    truth = [as_text(rle) for rle in ref['rles']]
    for rle in truth:
        if tuple(rle['size']) != size:
            raise InputError(f"{where}, ref {ref['ref_id']}: the photo is {size[0]} x {size[1]} pixels (height x "
                             f"width) but an annotation is {rle['size']}; correct the json")
    absent = ref.get('absent')
    if absent is not None and truth:
        raise InputError(f"{where}, ref {ref['ref_id']}: it is marked as absent ({absent!r}) but has {len(truth)} "
                         'annotations; drop one of the two')
    return Prediction(
        ref_id=ref['ref_id'],
        expression=text,
        part=ref['part'],
        super_category=ref['super_category'],
        ann_ids=[int(ann_id) for ann_id in ref['ann_ids']],
        score=float(score),
        pred=pred,
        truth=truth,
        candidates=read_candidates(candidates),
        absent=absent,
        presence=presence,
        source=ref.get('source'),
        level=ref.get('level'))

"""The predictions of an image in the form in which they are scored and dumped: RLEs, names and numbers."""
import math
from collections.abc import Mapping, Sized
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import torch

from mmpartref.errors import InputError, InputTypeError
from mmpartref.masks.iou import encode_masks
from mmpartref.masks.rle import union
from mmpartref.text import shown, shown_name

# Which candidates at a threshold are the prediction: their union, or the best of them alone.
Rule = Literal['union', 'top1']
RULES: tuple[str, ...] = get_args(Rule)
REQUIRED = ('img_id', 'ori_shape', 'refs', 'expressions', 'pred_masks', 'pred_scores')


@dataclass(frozen=True)
class Candidate:
    """A mask that is part of the prediction at every threshold up to ``score``.

    At threshold t the prediction is the union of all candidates whose score is at least t: a detector's instances with
    their scores, or the nested masks of a probability map, each with its level as the score.
    """
    score: float
    mask: dict


@dataclass(frozen=True)
class Prediction:
    """One expression with its predicted mask and its ground truth.

    Attributes:
        ref_id, part, super_category, ann_ids: from the dataset's ref.
        expression: the text that the model got.
        score: the model's confidence, 0 to 1.
        pred: compressed COCO RLE of the predicted mask, ``counts`` as an ASCII string.
        truth: the same of each annotation, in the order of ``ann_ids``.
        candidates: best first; None where the model did not return them.
        absent: the kind of absence of a part that is not in the image (``truth`` is empty then), otherwise None.
        presence: predicted probability that the part is in the image; None where the model does not predict it.
        source: the dataset of the expression, where known.
        level: ``'object'`` or ``'subpart'``; None for a part.
        position: of the object among several of its kind, e.g. ``'left'`` (``Expressions(instances='object')``).
        truncated: last words of the expression, which the model did not see because they exceed the text encoder's
            rows; None where all fit.
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
    position: str | None = None
    truncated: str | None = None


@dataclass(frozen=True)
class ImagePredictions:
    """One image (``ori_shape`` is (h, w) in pixels) and its K expressions."""
    img_id: int | str
    img_path: str
    ori_shape: tuple[int, int]
    expressions: list[Prediction]


def as_text(rle: Mapping) -> dict:
    """Return an RLE with ``counts`` as an ASCII string."""
    counts = rle['counts']
    return {'size': [int(side) for side in rle['size']],
            'counts': counts.decode('ascii') if isinstance(counts, bytes) else counts}


def prediction_at(prediction: Prediction, threshold: float, rule: Rule = 'union') -> Prediction:
    """Return the prediction at another threshold.

    Args:
        prediction: with its candidates.
        threshold: candidates whose score is at least this much count.
        rule: see ``Rule``.

    Raises:
        ValueError: the prediction has no list of candidates.
    """
    if prediction.candidates is None:
        raise InputError(f'ref {shown_name(prediction.ref_id)} has no candidates; write the dump with '
                         'tools/test.py --dump FILE --candidates')
    chosen = [each for each in prediction.candidates if each.score >= threshold]
    if rule == 'top1':
        chosen = sorted(chosen, key=lambda each: -each.score)[:1]
    return replace(prediction, pred=as_text(union([each.mask for each in chosen], prediction.pred['size'])),
                   score=max((each.score for each in chosen), default=0.0))


def read_sample(sample: Mapping[str, Any]) -> ImagePredictions:
    """Convert a predicted ``ReferringDataSample`` in the form of a dict.

    Raises:
        InputTypeError: masks, scores, refs or expressions are not several values.
        ValueError: a key is missing, or masks, scores, refs, expressions and the image's size do not fit together.
    """
    where = f"image {shown_name(str(sample.get('img_path') or sample.get('img_id')))}"
    missing = [key for key in REQUIRED if sample.get(key) is None]
    if missing:
        raise InputError(f"{where} lacks {', '.join(missing)}; the dataset has to set img_id, ori_shape, refs and "
                         "expressions, the model's predict() pred_masks and pred_scores")
    encoded = encode_masks(_checked_masks(sample, where))
    img_id = sample['img_id'] if isinstance(sample['img_id'], str) else int(sample['img_id'])
    height, width = (int(side) for side in sample['ori_shape'][:2])
    presences = _checked_presence(sample, len(encoded), where)
    nothing = [None] * len(encoded)
    columns = zip(sample['refs'], sample['expressions'], encoded, sample['pred_scores'],
                  sample.get('pred_candidates') or nothing, presences, sample.get('truncated') or nothing, strict=True)
    expressions = [
        make_prediction(ref, text, pred, score, (height, width), where, candidates=candidates, presence=presence,
                        truncated=truncated or None)
        for ref, text, pred, score, candidates, presence, truncated in columns
    ]
    return ImagePredictions(img_id, str(sample.get('img_path') or ''), (height, width), expressions)


def make_prediction(ref: Mapping[str, Any], text: str, pred: dict, score: float, size: tuple[int, int], where: str, *,
                    candidates: tuple[torch.Tensor, torch.Tensor] | None = None,
                    presence: float | None = None, truncated: str | None = None) -> Prediction:
    """Combine a ref, its expression and the predicted RLE; ``Prediction`` describes them.

    Args:
        size: (h, w) of the image.
        where: name of the image in messages.
        candidates: scores (C,) and bool masks (C, h, w).

    Raises:
        ValueError: the score is not finite, an annotation has another size, or an absent part has annotations.
    """
    where = f"{where}, ref {shown_name(ref['ref_id'])}"
    if not math.isfinite(score):
        raise InputError(f"{where}: the predicted score is {float(score)}, not a finite number; look for NaN in the "
                         "model's outputs")
    truth = [as_text(rle) for rle in ref['rles']]
    for rle in truth:
        if tuple(rle['size']) != size:
            raise InputError(f"{where}: the image is {size[0]} x {size[1]} pixels (height x width) but an annotation "
                             f"is {rle['size']}; correct the json")
    absent = ref.get('absent')
    if absent is not None and truth:
        raise InputError(f'{where}: it is marked as absent ({absent!r}) but has {len(truth)} annotations; drop one of '
                         'the two')
    return Prediction(
        ref_id=ref['ref_id'],
        expression=text,
        part=ref['part'],
        super_category=ref['super_category'],
        ann_ids=[int(ann_id) for ann_id in ref['ann_ids']],
        score=float(score),
        pred=pred,
        truth=truth,
        candidates=_encode_candidates(candidates),
        absent=absent,
        presence=presence,
        source=ref.get('source'),
        level=ref.get('level'),
        position=ref.get('position'),
        truncated=truncated)


def _checked_masks(sample: Mapping[str, Any], where: str) -> np.ndarray:
    """Return ``pred_masks`` as a (K, h, w) bool array."""
    for key in ('refs', 'expressions', 'pred_masks', 'pred_scores'):
        if not isinstance(sample[key], Sized):
            raise InputTypeError(f'{where}: {key} is {shown(sample[key])}; return one per expression')
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


def _checked_presence(sample: Mapping[str, Any], count: int, where: str) -> list[float] | list[None]:
    """Return ``pred_presence`` as a list of K numbers, K times None where there is none."""
    presence = sample.get('pred_presence')
    if presence is None:
        return [None] * count
    values = [float(value) for value in presence]
    if len(values) != count:
        raise InputError(f'{where} has {count} expressions but the model returned {len(values)} pred_presence; return '
                         'one per expression')
    wrong = [value for value in values if not 0 <= value <= 1]
    if wrong:
        raise InputError(f'{where}: pred_presence is {wrong[0]}, not a number from 0 to 1; look for NaN in the '
                         "model's outputs")
    return values


def _encode_candidates(candidates: tuple[torch.Tensor, torch.Tensor] | None) -> list[Candidate] | None:
    if candidates is None:
        return None
    scores, masks = (torch.as_tensor(each).detach().cpu() for each in candidates)
    return [Candidate(float(score), mask) for score, mask in zip(scores, encode_masks(masks.numpy()), strict=True)]

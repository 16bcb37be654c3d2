"""Predicted data samples of a few rectangles."""
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from mmpartref.evaluation.dumps.predictions import Prediction
from mmpartref.masks.iou import encode_masks
from mmpartref.structures import ReferringDataSample

# Columns of a strip: first, and the one after the last.
Run = tuple[int, int]
STRIP = (1, 60)
Box = tuple[int, int, int, int]


def draw(boxes: Sequence[Box], size: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(size, dtype=np.uint8)
    for y0, y1, x0, x1 in boxes:
        mask[y0:y1, x0:x1] = 1
    return mask


def make_sample(img_id: int, parts: Sequence[tuple[str, str, Sequence[Box], Sequence[Box]]],
                size: tuple[int, int] = (10, 20)) -> dict:
    """``parts``: super-category, part, annotations, predicted boxes."""
    sample = ReferringDataSample(metainfo={'img_id': img_id, 'img_path': f'images/{img_id}.jpg', 'ori_shape': size})
    sample.refs = [{
        'ref_id': f'{img_id}:{number}',
        'category_id': number,
        'part': part,
        'super_category': super_category,
        'class_name': None,
        'expressions': [f'{super_category} {part}'],
        'ann_ids': [100 * img_id + 10 * number + each for each in range(len(truth))],
        'rles': [coco_mask.encode(np.asfortranarray(draw([box], size))) for box in truth]
    } for number, (super_category, part, truth, _) in enumerate(parts)]
    sample.expressions = [ref['expressions'][0] for ref in sample.refs]
    sample.pred_masks = torch.from_numpy(np.stack([draw(boxes, size) for *_, boxes in parts])).bool()
    sample.pred_scores = torch.linspace(0.9, 0.3, len(parts))
    return sample.to_dict()


@pytest.fixture
def sample_of() -> Callable[..., dict]:
    return make_sample


def strip_rle(runs: Sequence[Run], size: tuple[int, int] = STRIP) -> dict:
    mask = np.zeros(size, dtype=bool)
    for start, stop in runs:
        mask[:, start:stop] = True
    return encode_masks(mask[None])[0]


def make_prediction(part: str, truth: Sequence[Run], pred: Sequence[Run] = (), *, owner: str = 'bird',
                    expression: str | None = None, ref_id: str | None = None, absent: str | None = None) -> Prediction:
    """A prediction on an image of one row and 60 columns, so that areas are lengths; one annotation per run."""
    return Prediction(
        ref_id=ref_id or f'1:{part}', expression=expression or f'{owner} {part}', part=part, super_category=owner,
        ann_ids=list(range(len(truth))), score=0.5, pred=strip_rle(pred), truth=[strip_rle([run]) for run in truth],
        absent=absent)


@pytest.fixture
def strip() -> Callable[..., Prediction]:
    return make_prediction


@pytest.fixture
def random_samples() -> list[dict]:
    """Images of several sizes with one to four expressions of one or two annotations."""
    rng = np.random.default_rng(5)
    names = [('bird', 'head'), ('fish', 'head'), ('car', 'tire'), ('bird', 'wing'), ('car', 'body')]

    def boxes(count: int) -> list[Box]:
        return [(y, y + int(rng.integers(1, 6)), x, x + int(rng.integers(1, 9)))
                for y, x in rng.integers(0, 8, (count, 2)).tolist()]

    return [
        make_sample(img_id, [(*names[int(rng.integers(len(names)))], boxes(int(rng.integers(1, 3))), boxes(1))
                             for _ in range(int(rng.integers(1, 5)))], (10 + img_id, 20)) for img_id in range(9)
    ]

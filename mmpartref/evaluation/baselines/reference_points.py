"""Floors and ceilings without a trained model, in the form of a model's dump.

- ``mean-mask``: the part's mean mask on the train split; what is known without looking at the photo.
- ``whole-object``: everything annotated of the same super-category; what a model gets that finds the object but not
  the part in it.
- ``decode-ceiling``: the training target, decoded; the most that a network can be expected to reach.

Photos are never read: sizes and masks come from the json.
"""
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmpartref.datasets.referring.part_refer_dataset import PartReferDataset
from mmpartref.datasets.transforms.letterbox import Letterbox
from mmpartref.errors import InputError
from mmpartref.evaluation.baselines.mean_mask import MeanMaskAnswer, fit_mean_masks
from mmpartref.evaluation.dumps.dump import PredictionDump, in_order
from mmpartref.evaluation.dumps.predictions import PhotoPredictions, as_text, read_expression
from mmpartref.masks.iou import encode_masks
from mmpartref.masks.rle import decode_refs, union
from mmpartref.models.segmentors.mask_decode import LOGIT_STRIDE, MaskDecode, get_decode
from mmpartref.registry import DATASETS, MODELS, SCOPE, TRANSFORMS, argument

KINDS = ('mean-mask', 'whole-object', 'decode-ceiling')
# A line of progress after this many photos.
PROGRESS_EVERY = 1000
# From a data set's entry to one RLE and one score per ref.
Answer = Callable[[dict], list[tuple[dict, float]]]


def reference_dump(kind: str, cfg: Config, split: str = 'test') -> PredictionDump:
    """Make one of the reference points for a split of a config; prints progress, and what got an empty mask.

    Args:
        kind: one of ``KINDS``.
        cfg: as ``load_config`` returns it.
        split: ``'test'`` or ``'val'``.

    Raises:
        FileNotFoundError: there is no json.
        ValueError: the config lacks what the reference point needs, or a record of the json cannot be used.
    """
    if kind not in KINDS:
        raise InputError(f'there is no reference point {kind!r}; choose one of {", ".join(KINDS)}')
    asked = split_config(cfg, split)
    header: dict[str, Any] = {
        'name': kind.replace('-', ' '),
        'config': os.path.basename(cfg.filename or ''),
        'reference_point': kind,
        'ann_file': asked.get('ann_file')
    }
    answer: Answer = whole_objects
    if kind == 'decode-ceiling':
        answer = DecodeCeiling(*decode_of(cfg, asked, split))
        header |= {'name': f'{header["name"]} {answer.decode.name}', 'decode': answer.decode.name,
                   'threshold': answer.decode.threshold}
    dataset = build_dataset(asked, f'{split}_dataloader')
    if kind == 'mean-mask':
        train = train_config(cfg, asked)
        header['train_ann_file'] = train['ann_file']
        seen = build_dataset(train, 'train_dataloader')
        answer = MeanMaskAnswer(fit_mean_masks(partial(read_photos, seen)))
    dump = PredictionDump(header, in_order(predict(dataset, answer, kind)))
    if isinstance(answer, MeanMaskAnswer):
        print(answer.summary())
    return dump


# What the config says.


def split_config(cfg: Mapping[str, Any], split: str) -> Mapping[str, Any]:
    """Return the data set's config of a split.

    Raises:
        ValueError: there is none.
    """
    found = (cfg.get(f'{split}_dataloader') or {}).get('dataset')
    if not found:
        raise InputError(f'the config has no {split}_dataloader with a dataset; reference points take their '
                         'photos from there')
    return found


def build_dataset(config: Mapping[str, Any], where: str) -> PartReferDataset:
    """Build a data set that gives whole photos and runs no transform.

    Raises:
        ValueError: it is no ``PartReferDataset``, or ``indices`` count expressions.
    """
    if config.get('group_by') == 'expression' and config.get('indices') is not None:
        raise InputError(f'{where}: reference points go photo by photo, but indices count single expressions where '
                         "group_by='expression'; drop one of the two")
    with DefaultScope.overwrite_default_scope(SCOPE):
        # What is not there has no mask to compare with.
        asked = {key: value for key, value in config.items() if key != 'absent'}
        dataset = DATASETS.build({**asked, 'group_by': 'image', 'pipeline': []})
    if not isinstance(dataset, PartReferDataset):
        raise InputError(f'{where}: its dataset is a {type(dataset).__name__}; reference points need a '
                         'PartReferDataset or one derived from it, without a wrapper')
    return dataset


def train_config(cfg: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config with which the train split's json is read just as the split asked for.

    From the config's train data set come ``ann_file``, ``data_root``, ``data_prefix`` and ``indices``, nothing else: it
    may be a detector's ``CocoDataset`` or lie in a wrapper (``dataset=dict(...)``), and its names must mean the same as
    the other split's. Photos that a wrapper repeats count once.

    Raises:
        ValueError: there is no train data set, or no single ``ann_file`` in it.
    """
    outer = split_config(cfg, 'train')
    inner = outer
    while not inner.get('ann_file') and isinstance(inner.get('dataset'), Mapping):
        inner = inner['dataset']
    if not isinstance(inner.get('ann_file'), str):
        raise InputError('train_dataloader: its dataset names no single ann_file; mean masks are taken from one json')
    # The outermost data_root is where --data-root is written.
    places = {key: value for key in ('ann_file', 'data_root', 'data_prefix', 'indices')
              if (value := outer.get(key, inner.get(key))) is not None}
    kept = {key: value for key, value in asked.items() if key not in ('data_root', 'data_prefix', 'indices')}
    return {**kept, **places, 'instances': 'merged'}


def decode_of(cfg: Mapping[str, Any], asked: Mapping[str, Any], split: str) -> tuple[MaskDecode, Letterbox, int]:
    """Return the decode, the letterbox and the size divisor with which a config's model would be tested.

    Raises:
        ValueError: the model has no decode, or the pipeline not exactly one ``Letterbox``.
    """
    model = cfg.get('model') or {}
    if model.get('type') != 'ReferringSegmentor':
        raise InputError(f"the config's model is a {model.get('type')}; only a ReferringSegmentor is trained on a "
                         'target that is decoded')
    steps = [step for step in asked.get('pipeline') or [] if str(step.get('type')).split('.')[-1] == 'Letterbox']
    if len(steps) != 1:
        raise InputError(f'{split}_dataloader: its pipeline has {len(steps)} Letterbox steps; a decode ceiling needs '
                         'exactly one')
    with DefaultScope.overwrite_default_scope(SCOPE):
        letterbox = TRANSFORMS.build(steps[0])
    name, threshold, divisor = (argument(MODELS, model, key) for key in ('decode', 'threshold', 'size_divisor'))
    return get_decode(name, threshold), letterbox, divisor


# What is answered.


def read_photos(dataset: PartReferDataset, task: str) -> Iterator[dict]:
    """Yield the entries of a data set, with a line of progress now and then."""
    total = len(dataset)
    for number in range(total):
        yield dataset.get_data_info(number)
        if (number + 1) % PROGRESS_EVERY == 0 or number + 1 == total:
            print(f'{task}: {number + 1:,} of {total:,} photos', file=sys.stderr, flush=True)


def predict(dataset: PartReferDataset, answer: Answer, task: str) -> list[PhotoPredictions]:
    """Answer every ref of a data set; expressions are worded as in a test, by the first template."""
    photos = []
    for entry in read_photos(dataset, task):
        size = (entry['height'], entry['width'])
        where = f"photo {entry['img_path']}"
        expressions = [
            read_expression(ref, ref['expressions'][0], pred, score, None, size, where)
            for ref, (pred, score) in zip(entry['refs'], answer(entry), strict=True)
        ]
        photos.append(PhotoPredictions(entry['img_id'], entry['img_path'], size, expressions))
    return photos


def whole_objects(entry: dict) -> list[tuple[dict, float]]:
    """Return, for each ref of a photo, the union of all annotated parts of its super-category, with score 1.

    That is the object as far as it is annotated, and all objects of one kind where a photo shows several.
    PartImageNet's own whole-object maps are not needed for it.
    """
    rles: dict[str, list[dict]] = {}
    for ref in entry['refs']:
        rles.setdefault(ref['super_category'], []).extend(ref['rles'])
    objects = {owner: as_text(union(parts, (entry['height'], entry['width']))) for owner, parts in rles.items()}
    return [(objects[ref['super_category']], 1.0) for ref in entry['refs']]


class DecodeCeiling:
    """Answers every expression with its training target, decoded as the model's probabilities are.

    The same steps as in ``ReferringSegmentor.loss`` and ``predict``, with the target in the place of the network.

    Args:
        decode: how targets are made and predictions read.
        letterbox: from photo to network input.
        size_divisor: the network's input is padded to a multiple of this many pixels.
    """

    def __init__(self, decode: MaskDecode, letterbox: Letterbox, size_divisor: int) -> None:
        self.decode = decode
        self.letterbox = letterbox
        self.size_divisor = size_divisor

    def target(self, masks: torch.Tensor) -> torch.Tensor:
        """Return (K, H/4, W/4), rounded up, from masks (K, H, W) in 0 to 1 at the network's input size."""
        height, width = masks.shape[1:]
        padded = F.pad(masks[:, None], (0, -width % self.size_divisor, 0, -height % self.size_divisor))
        size = (padded.size(2) // LOGIT_STRIDE, padded.size(3) // LOGIT_STRIDE)
        target = self.decode.shrink_target(padded, size)[:, 0]
        return target[:, :-(-height // LOGIT_STRIDE), :-(-width // LOGIT_STRIDE)]

    def __call__(self, entry: dict) -> list[tuple[dict, float]]:
        """Return an RLE and a score, the mean of the decoded target inside the mask, per ref of a photo."""
        size = (entry['height'], entry['width'])
        # A blank photo stands for the real one: the letterbox only asks for its size.
        placed = self.letterbox.transform({
            'img': np.zeros(size, dtype=np.uint8),
            'gt_masks': decode_refs(entry['refs']) * 255
        })
        target = self.target(torch.from_numpy(placed['gt_masks']).float() / 255)
        on_photo = self.decode.to_photo(target, placed['img_shape'], placed['letterbox_matrix'], size)
        masks = on_photo > self.decode.threshold  # (K, h, w)
        scores = (on_photo * masks).sum(dim=(1, 2)) / masks.sum(dim=(1, 2)).clamp(min=1)
        return list(zip(encode_masks(masks.numpy()), scores.tolist(), strict=True))

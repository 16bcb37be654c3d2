"""Baselines and upper bounds without a trained model, as dumps.

- ``mean-mask``: the part's mean mask on the train split; a baseline that does not look at the image.
- ``whole-object``: all annotations of the same super-category; a baseline that finds the object but not its part.
- ``decode-ceiling``: the training target, decoded; the most that a network is expected to reach.

Sizes and masks come from the json; images are not read.
"""
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmpartref.argument_checks import check_choice, check_instance
from mmpartref.datasets.referring.part_refer_dataset import PartReferDataset
from mmpartref.datasets.transforms.letterbox import Letterbox
from mmpartref.errors import InputError
from mmpartref.evaluation.baselines.mean_mask import MeanMaskPredictor, fit_mean_masks
from mmpartref.evaluation.dumps.dump import PredictionDump, unite_images
from mmpartref.evaluation.dumps.predictions import ImagePredictions, as_text, make_prediction
from mmpartref.masks.iou import encode_masks
from mmpartref.masks.rle import decode_refs, union
from mmpartref.models.segmentors.mask_decode import LOGIT_STRIDE, MaskDecode, get_decode
from mmpartref.models.segmentors.referring_segmentor import ReferringSegmentor
from mmpartref.progress import track
from mmpartref.registry import DATASETS, MODELS, SCOPE, TRANSFORMS, argument, resolve

REFERENCE_POINTS = ('mean-mask', 'whole-object', 'decode-ceiling')
# Maps a dataset's entry to one RLE and one score per ref.
Predictor = Callable[[dict], list[tuple[dict, float]]]


def reference_dump(kind: str, cfg: Config, split: str = 'test') -> PredictionDump:
    """Make a reference point of a config's split; prints progress, and which categories have empty mean masks.

    Args:
        kind: one of ``REFERENCE_POINTS``.
        cfg: as ``load_config`` returns it.
        split: ``'test'`` or ``'val'``.

    Raises:
        InputTypeError: ``cfg`` is of another type.
        FileNotFoundError: the json does not exist.
        ValueError: there is no such reference point, the config lacks what it needs, or a record of the json cannot be
            used.
    """
    check_choice(kind, 'kind', REFERENCE_POINTS)
    check_instance(cfg, 'cfg', Config, 'read one with load_config')
    config = split_config(cfg, split)
    header: dict[str, Any] = {
        'name': kind.replace('-', ' '),
        'config': os.path.basename(cfg.filename or ''),
        'reference_point': kind,
        'ann_file': config.get('ann_file')
    }
    predictor: Predictor = whole_objects
    if kind == 'decode-ceiling':
        predictor = DecodeCeilingPredictor(*decode_of(cfg, config, split))
        header |= {'name': f'{header["name"]} {predictor.decode.name}', 'decode': predictor.decode.name,
                   'threshold': predictor.decode.threshold}
    dataset = build_dataset(config, f'{split}_dataloader')
    if kind == 'mean-mask':
        train = train_config(cfg, config)
        header['train_ann_file'] = train['ann_file']
        train_dataset = build_dataset(train, 'train_dataloader')
        predictor = MeanMaskPredictor(fit_mean_masks(partial(read_entries, train_dataset)))
    dump = PredictionDump(header, unite_images(predict(dataset, predictor, kind)))
    if isinstance(predictor, MeanMaskPredictor):
        print(predictor.summary())
    return dump


def split_config(cfg: Mapping[str, Any], split: str) -> Mapping[str, Any]:
    """Return the dataset's config of a split.

    Raises:
        ValueError: the config has none.
    """
    found = (cfg.get(f'{split}_dataloader') or {}).get('dataset')
    if not found:
        raise InputError(f'the config has no {split}_dataloader with a dataset, which reference points are made of; '
                         'choose another config or split')
    return found


def build_dataset(config: Mapping[str, Any], where: str) -> PartReferDataset:
    """Build a dataset with one entry per image and without transforms and absent parts.

    Raises:
        ValueError: it is not a ``PartReferDataset``, or ``indices`` count expressions.
    """
    if config.get('group_by') == 'expression' and config.get('indices') is not None:
        raise InputError(f"{where}: reference points need one entry per image, but with group_by='expression' indices "
                         'count expressions; drop one of the two')
    with DefaultScope.overwrite_default_scope(SCOPE):
        # An absent part has no mask to compare with.
        entries = {**(config.get('entries') or {}), 'absent': None}
        dataset = DATASETS.build({**config, 'entries': entries, 'group_by': 'image', 'pipeline': []})
    if not isinstance(dataset, PartReferDataset):
        raise InputError(f'{where}: its dataset is a {type(dataset).__name__}; reference points need a '
                         'PartReferDataset or one derived from it, without a wrapper')
    return dataset


def train_config(cfg: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config that reads the train split's json exactly as another split's config reads its own.

    Only ``ann_file``, ``data_root``, ``data_prefix`` and ``indices`` come from the config's train dataset, which may be
    a detector's ``CocoDataset`` or inside a wrapper (``dataset=dict(...)``); category names must mean the same in both
    splits. Images that a wrapper repeats count once.

    Raises:
        ValueError: there is no train dataset, or it has no single ``ann_file``.
    """
    outer = split_config(cfg, 'train')
    inner = outer
    while not inner.get('ann_file') and isinstance(inner.get('dataset'), Mapping):
        inner = inner['dataset']
    if not isinstance(inner.get('ann_file'), str):
        raise InputError('train_dataloader: its dataset has no single ann_file; mean masks need one json')
    # --data-root sets the outermost data_root.
    places = {key: value for key in ('ann_file', 'data_root', 'data_prefix', 'indices')
              if (value := outer.get(key, inner.get(key))) is not None}
    kept = {key: value for key, value in config.items() if key not in ('data_root', 'data_prefix', 'indices')}
    entries = dict(config.get('entries') or {})
    if entries.get('expressions', {}) is not None:
        entries['expressions'] = {**entries.get('expressions', {}), 'instances': 'merged'}
    return {**kept, **places, 'entries': entries}


def decode_of(cfg: Mapping[str, Any], config: Mapping[str, Any], split: str) -> tuple[MaskDecode, Letterbox, int]:
    """Return the decode, the letterbox and the size divisor with which a config's model is tested.

    Raises:
        ValueError: the model is not a ``ReferringSegmentor``, or the pipeline has not exactly one ``Letterbox``.
    """
    model = cfg.get('model') or {}
    if resolve(MODELS, model.get('type')) is not ReferringSegmentor:
        raise InputError(f"the config's model is a {model.get('type')}; only a ReferringSegmentor has a "
                         'training target that is decoded')
    steps = [step for step in config.get('pipeline') or [] if resolve(TRANSFORMS, step.get('type')) is Letterbox]
    if len(steps) != 1:
        raise InputError(f'{split}_dataloader: its pipeline has {len(steps)} Letterbox steps; a decode ceiling needs '
                         'exactly one')
    with DefaultScope.overwrite_default_scope(SCOPE):
        letterbox = TRANSFORMS.build(steps[0])
    name, threshold, divisor = (argument(MODELS, model, key) for key in ('decode', 'threshold', 'size_divisor'))
    stride = argument(MODELS, model.get('decode_head') or {}, 'logit_stride') or LOGIT_STRIDE
    return get_decode(name, threshold, stride), letterbox, divisor


def read_entries(dataset: PartReferDataset, task: str) -> Iterator[dict]:
    """Yield the entries of a dataset, with progress on stderr."""
    for number in track(range(len(dataset)), f'{task}: images'):
        yield dataset.get_data_info(number)


def predict(dataset: PartReferDataset, predictor: Predictor, task: str) -> list[ImagePredictions]:
    """Return one mask and score per ref of a dataset; the expression is the first one, as in a test.

    Args:
        dataset: in evaluation mode.
        predictor: called with each entry.
        task: name of the work, for the progress bar.
    """
    images = []
    for entry in read_entries(dataset, task):
        size = (entry['height'], entry['width'])
        expressions = [make_prediction(ref, ref['expressions'][0], pred, score, size, f"image {entry['img_path']}")
                       for ref, (pred, score) in zip(entry['refs'], predictor(entry), strict=True)]
        images.append(ImagePredictions(entry['img_id'], entry['img_path'], size, expressions))
    return images


def whole_objects(entry: dict) -> list[tuple[dict, float]]:
    """Return, for each ref of an image, the union of all annotated parts of its super-category, with score 1.

    That is the annotated area of the object, and of all objects of one kind where an image has several.
    """
    rles: dict[str, list[dict]] = {}
    for ref in entry['refs']:
        rles.setdefault(ref['super_category'], []).extend(ref['rles'])
    objects = {owner: as_text(union(parts, (entry['height'], entry['width']))) for owner, parts in rles.items()}
    return [(objects[ref['super_category']], 1.0) for ref in entry['refs']]


class DecodeCeilingPredictor:
    """Predicts the training target of every expression, decoded as the model's probabilities are.

    The same steps as in ``ReferringSegmentor.loss`` and ``predict``, with the target in place of the network's output.

    Args:
        decode: target, resizing and threshold.
        letterbox: from image to network input.
        size_divisor: the network's input is padded to a multiple of this many pixels.
    """

    def __init__(self, decode: MaskDecode, letterbox: Letterbox, size_divisor: int) -> None:
        self.decode = decode
        self.letterbox = letterbox
        self.size_divisor = size_divisor

    def target(self, masks: torch.Tensor) -> torch.Tensor:
        """Return (K, H/s, W/s), rounded up, from masks (K, H, W) in 0 to 1 at the network's input size."""
        height, width = masks.shape[1:]
        padded = F.pad(masks[:, None], (0, -width % self.size_divisor, 0, -height % self.size_divisor))
        target = self.decode.shrink_target(padded, self.decode.logits_size(padded.shape[2:]))[:, 0]
        rows, columns = self.decode.logits_size((height, width))
        return target[:, :rows, :columns]

    def __call__(self, entry: dict) -> list[tuple[dict, float]]:
        """Return an RLE and a score, the mean of the decoded target inside the mask, per ref of an image."""
        size = (entry['height'], entry['width'])
        # The letterbox needs only the size of the image.
        placed = self.letterbox.transform({
            'img': np.zeros(size, dtype=np.uint8),
            'gt_masks': decode_refs(entry['refs']) * 255
        })
        target = self.target(torch.from_numpy(placed['gt_masks']).float() / 255)
        probabilities = self.decode.to_image(target, placed['img_shape'], placed['letterbox_matrix'], size)
        masks = probabilities > self.decode.threshold  # (K, h, w)
        scores = (probabilities * masks).sum(dim=(1, 2)) / masks.sum(dim=(1, 2)).clamp(min=1)
        return list(zip(encode_masks(masks.numpy()), scores.tolist(), strict=True))

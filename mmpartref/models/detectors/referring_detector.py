"""Referring segmentation with any mmdet instance segmentation model."""
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from mmengine.config import ConfigDict
from mmengine.model import BaseModel

from mmpartref.errors import InputError
from mmpartref.models.detectors.category_vocabulary import CategoryVocabulary, PartCategory
from mmpartref.models.detectors.coco_objects import coco_labels
from mmpartref.registry import MODELS
from mmpartref.structures import ReferringDataSample

RESOLVERS = ('oracle', 'text')
RULES = ('union', 'top1')
TARGETS = ('parts', 'coco_objects')


@MODELS.register_module()
class ReferringDetector(BaseModel):
    """Predict masks of expressions from the instances of an mmdet detector.

    ::

        training    mmdet's batches (CocoDataset, PackDetInputs) -> detector.loss()
        evaluation  images -> detector.predict() -> instances (label, score, mask)
                    expression --resolver--> labels --rule--> one mask per expression

    Predictions have the same fields as ``ReferringSegmentor``'s, for metric, dump, visualiser and inferencer.

    Args:
        detector: config of an mmdet detector with masks and a ``data_preprocessor``. Types inside are mmdet's.
        categories: the detector's classes in the order of its labels, each ``dict(name, super_category, part)``.
            ``tools/train.py`` and ``tools/test.py`` fill them in from the json where the config has none.
        resolver: how an expression is mapped to labels. ``'text'``: by its words (``CategoryVocabulary``), with an
            empty mask if it names no category. ``'oracle'``: by the annotation's category; results are marked so.
        rule: ``'union'`` of the instances at or above the threshold, or ``'top1'``, the best of them.
        score_threshold: minimum score of an instance, 0 to 1.
        targets: ``'parts'``: the classes are parts. ``'coco_objects'``: the classes are COCO's 80 objects, and the mask
            of an expression is that of its whole object (see ``coco_objects``).
        keep_candidates: also return every instance of the expression's labels, for ``tools/evaluate.py --sweep``.
        init_cfg: mmengine's initialisation config.

    Raises:
        ValueError: the value of an argument is unknown, or the detector's number of classes differs from
            ``categories``.
    """

    def __init__(self,
                 *,
                 detector: dict,
                 categories: Sequence[Mapping[str, str]] | None = None,
                 resolver: Literal['oracle', 'text'] = 'text',
                 rule: Literal['union', 'top1'] = 'union',
                 score_threshold: float = 0.5,
                 targets: Literal['parts', 'coco_objects'] = 'parts',
                 keep_candidates: bool = False,
                 init_cfg: dict | list | None = None) -> None:
        for name, value, known in (('resolver', resolver, RESOLVERS), ('rule', rule, RULES),
                                   ('targets', targets, TARGETS)):
            if value not in known:
                raise InputError(f'{name}={value!r} is unknown; choose one of {known}')
        if not 0 <= score_threshold <= 1:
            raise InputError(f'score_threshold={score_threshold} should be a score, 0 to 1')
        if categories is None:
            raise InputError('ReferringDetector has no categories; give them as dict(name=..., super_category=..., '
                             'part=...), or start through tools/train.py or tools/test.py, which read them from the '
                             'json')
        # ConfigDict, because mmdet reads train_cfg and test_cfg by attribute.
        inner = ConfigDict({'_scope_': 'mmdet', **detector})
        preprocessor = inner.pop('data_preprocessor')
        super().__init__(data_preprocessor=MODELS.build({'_scope_': 'mmdet', **preprocessor}), init_cfg=init_cfg)
        self.detector = MODELS.build(inner)
        self.vocabulary = CategoryVocabulary([PartCategory(**each) for each in categories])
        self.resolver = resolver
        self.rule = rule
        self.score_threshold = score_threshold
        self.targets = targets
        self.keep_candidates = keep_candidates
        self._check_classes()

    def _check_classes(self) -> None:
        heads = getattr(getattr(self.detector, 'roi_head', self.detector), 'bbox_head', None)
        for head in heads if isinstance(heads, torch.nn.ModuleList) else [heads]:
            classes = getattr(head, 'num_classes', None)
            if self.targets == 'parts' and classes is not None and classes != len(self.vocabulary.categories):
                raise InputError(f'the detector has {classes} classes but there are '
                                 f'{len(self.vocabulary.categories)} categories: set num_classes of its heads')

    def forward(self, inputs: torch.Tensor, data_samples: list, mode: str = 'tensor') -> Any:
        """Compute losses (with mmdet's ``data_samples``), predictions (with ``ReferringDataSample``) or raw outputs."""
        if mode == 'loss':
            return self.detector.loss(inputs, data_samples)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        if mode == 'tensor':
            return self.detector._forward(inputs, data_samples)
        raise InputError(f"mode must be 'loss', 'predict' or 'tensor', got {mode!r}")

    @torch.no_grad()
    def predict(self, inputs: torch.Tensor, data_samples: list[ReferringDataSample]) -> list[ReferringDataSample]:
        """Write ``pred_masks`` (K, h, w) bool and ``pred_scores`` (K,) on each sample, at the image's own size.

        The score is that of the best instance in the mask, or 0. ``pred_presence`` (K,) is the score of the best
        instance of the expression's labels whatever the threshold, or 0. With ``keep_candidates`` also
        ``pred_candidates``: K pairs of scores (C,) and masks (C, h, w) bool, best first. ``pred_instances``, the
        detector's output, is the input of ``heat_map``.
        """
        from mmdet.structures import DetDataSample
        found = self.detector.predict(inputs, [DetDataSample(metainfo=each.metainfo) for each in data_samples])
        for sample, result in zip(data_samples, found, strict=True):
            sample.pred_instances = result.pred_instances
            labels, scores, masks = best_first(sample)
            outputs = [self._select(sample, index, labels, scores, masks) for index in range(len(sample.expressions))]
            sample.pred_masks = torch.stack([mask for mask, _, _ in outputs])
            sample.pred_scores = torch.stack([score for _, score, _ in outputs])
            sample.pred_presence = torch.stack([best_score(candidates[0]) for _, _, candidates in outputs])
            if self.keep_candidates:
                sample.pred_candidates = [candidates for _, _, candidates in outputs]
        return data_samples

    @torch.no_grad()
    def heat_map(self, sample: ReferringDataSample, index: int) -> torch.Tensor:
        """Return (h, w) float32: the highest score of the instances of an expression's labels at each pixel.

        0 where there is no instance; the score threshold is not applied.
        """
        scores, labels, masks = sample.pred_instances.scores, sample.pred_instances.labels, instance_masks(sample)
        heat = torch.zeros(masks.shape[1:], device=scores.device)
        for number in self._are_wanted(sample, index, labels).nonzero()[:, 0].tolist():
            heat[masks[number]] = heat[masks[number]].clamp(min=scores[number])
        return heat

    @torch.no_grad()
    def instances(self, sample: ReferringDataSample, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return scores (C,) and masks (C, h, w) bool of the instances that an expression's mask unites, best first."""
        _, _, (scores, masks) = self._select(sample, index, *best_first(sample))
        chosen = self._are_chosen(scores)
        return scores[chosen], masks[chosen]

    def _are_wanted(self, sample: ReferringDataSample, index: int, labels: torch.Tensor) -> torch.Tensor:
        """Return (C,) bool: which of the instances' labels (C,) belong to one expression."""
        wanted = torch.tensor(self.labels_of(sample, index), device=labels.device, dtype=labels.dtype)
        return torch.isin(labels, wanted)

    def _select(self, sample: ReferringDataSample, index: int, labels: torch.Tensor, scores: torch.Tensor,
                masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """Return mask (h, w), score and candidates of one expression."""
        wanted = self._are_wanted(sample, index, labels)
        candidates = (scores[wanted], masks[wanted])
        chosen = self._are_chosen(candidates[0])
        mask = candidates[1][chosen].any(dim=0)  # (h, w)
        return mask, best_score(candidates[0][chosen]), candidates

    def _are_chosen(self, scores: torch.Tensor) -> torch.Tensor:
        """Return (C,) bool: which candidates of these scores, best first, the mask unites."""
        chosen = scores >= self.score_threshold
        if self.rule == 'top1':
            chosen[1:] = False
        return chosen

    def labels_of(self, sample: ReferringDataSample, index: int) -> list[int]:
        """Return the detector's labels for an expression of an image, empty if it names no category.

        Raises:
            ValueError: ``resolver='oracle'`` for an image without annotations.
        """
        if self.resolver == 'oracle':
            if 'refs' not in sample:
                raise InputError("resolver='oracle' needs the annotation's category, which this image does not have; "
                                 "use resolver='text'")
            ref = sample.refs[index]
            owner, label = ref['super_category'], self.vocabulary.label_of(ref['super_category'], ref['part'])
        else:
            expression = sample.expressions[index]
            label = self.vocabulary.find(expression)
            owners = self.vocabulary.find_objects(expression)
            owner = self.vocabulary.categories[label].super_category if label is not None else (owners or [''])[0]
        if self.targets == 'coco_objects':
            return coco_labels(owner)
        return [] if label is None else [label]


def best_score(scores: torch.Tensor) -> torch.Tensor:
    """Return the highest of (C,) scores, or 0 for C = 0."""
    return torch.cat([scores, scores.new_zeros(1)]).max()


def best_first(sample: ReferringDataSample) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return labels (C,), scores (C,) and masks (C, h, w) bool of a sample's ``pred_instances``, best first."""
    order = sample.pred_instances.scores.argsort(descending=True, stable=True)
    return sample.pred_instances.labels[order], sample.pred_instances.scores[order], instance_masks(sample)[order]


def instance_masks(sample: ReferringDataSample) -> torch.Tensor:
    """Return the masks (C, h, w) bool of a sample's ``pred_instances``, on the device of their scores."""
    instances = sample.pred_instances
    height, width = sample.ori_shape[:2]
    return torch.as_tensor(instances.masks).to(instances.scores.device, torch.bool).reshape(-1, height, width)

"""Any mmdet detector as a referring model."""
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
    """A detector of part categories that answers expressions.

    ::

        training    mmdet's batches (CocoDataset, PackDetInputs) -> detector.loss()
        evaluation  photos -> detector.predict() -> instances (label, score, mask)
                    expression --resolver--> labels --rule--> one mask per expression

    What it predicts has the form of ``ReferringSegmentor``'s, so metric, dump, visualiser and inferencer are the same.

    Args:
        detector: config of an mmdet detector with masks; its own ``data_preprocessor`` is used. Names inside are
            mmdet's.
        categories: the detector's classes in the order of its labels, each ``dict(name, super_category, part)``.
            ``tools/train.py`` and ``tools/test.py`` fill them in from the json where the config has none.
        resolver: ``'text'`` reads the expression (``CategoryVocabulary``); what names no category gets an empty mask.
            ``'oracle'`` is told the annotation's own category, and is labelled so in every result.
        rule: ``'union'`` of the instances at or above the threshold, or ``'top1'``, the best of them alone.
        score_threshold: of an instance's score, 0 to 1.
        targets: ``'parts'``: the classes are parts. ``'coco_objects'``: they are COCO's 80 objects, and an expression
            gets the whole objects of its super-category (``coco_objects`` has the table).
        keep_candidates: also return every instance of the expression's labels, for ``tools/evaluate.py --sweep``.
        init_cfg: mmengine's initialisation config.

    Raises:
        ValueError: an argument is unknown, or the detector's number of classes is not that of ``categories``.
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
        # Names inside a detector's config are mmdet's, whatever the scope of the run.
        # ConfigDict, because mmdet reads its train_cfg and test_cfg by attribute.
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
        """Run a batch; ``data_samples`` are mmdet's in ``'loss'`` and ours in ``'predict'``."""
        if mode == 'loss':
            return self.detector.loss(inputs, data_samples)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        if mode == 'tensor':
            return self.detector._forward(inputs, data_samples)
        raise InputError(f"mode must be 'loss', 'predict' or 'tensor', got {mode!r}")

    @torch.no_grad()
    def predict(self, inputs: torch.Tensor, data_samples: list[ReferringDataSample]) -> list[ReferringDataSample]:
        """Write ``pred_masks`` (K, h, w) bool and ``pred_scores`` (K,) on each sample, at the photo's own size.

        The score is the best chosen instance's, 0 where none is. ``pred_presence`` (K,) is the best instance's of the
        expression's labels, chosen or not, 0 where the detector found none. With ``keep_candidates`` also
        ``pred_candidates``: K pairs of scores (C,) and masks (C, h, w) bool, best first. ``pred_instances``, the
        detector's own answer, is what ``heat_map`` reads.
        """
        from mmdet.structures import DetDataSample
        found = self.detector.predict(inputs, [DetDataSample(metainfo=each.metainfo) for each in data_samples])
        for sample, result in zip(data_samples, found, strict=True):
            sample.pred_instances = instances = result.pred_instances
            height, width = sample.ori_shape[:2]
            masks = torch.as_tensor(instances.masks).to(instances.scores.device, torch.bool).reshape(-1, height, width)
            order = instances.scores.argsort(descending=True, stable=True)
            labels, scores, masks = instances.labels[order], instances.scores[order], masks[order]
            answers = [self._answer(sample, index, labels, scores, masks) for index in range(len(sample.expressions))]
            sample.pred_masks = torch.stack([mask for mask, _, _ in answers])
            sample.pred_scores = torch.stack([score for _, score, _ in answers])
            sample.pred_presence = torch.stack([best_score(candidates[0]) for _, _, candidates in answers])
            if self.keep_candidates:
                sample.pred_candidates = [candidates for _, _, candidates in answers]
        return data_samples

    @torch.no_grad()
    def heat_map(self, sample: ReferringDataSample, index: int) -> torch.Tensor:
        """Return (h, w) float32: the highest score of the instances of an expression's labels that cover a pixel.

        0 where none does. The score threshold is not asked.
        """
        instances = sample.pred_instances
        scores, labels = instances.scores, instances.labels
        height, width = sample.ori_shape[:2]
        masks = torch.as_tensor(instances.masks).to(scores.device, torch.bool).reshape(-1, height, width)
        wanted = torch.tensor(self.labels_of(sample, index), device=labels.device, dtype=labels.dtype)
        heat = torch.zeros(height, width, device=scores.device)
        for number in torch.isin(labels, wanted).nonzero()[:, 0].tolist():
            heat[masks[number]] = heat[masks[number]].clamp(min=scores[number])
        return heat

    def _answer(self, sample: ReferringDataSample, index: int, labels: torch.Tensor, scores: torch.Tensor,
                masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """Return mask (h, w), score and candidates of one expression."""
        wanted = torch.tensor(self.labels_of(sample, index), device=labels.device, dtype=labels.dtype)
        mine = torch.isin(labels, wanted)
        candidates = (scores[mine], masks[mine])
        chosen = candidates[0] >= self.score_threshold
        if self.rule == 'top1':
            chosen[1:] = False
        mask = candidates[1][chosen].any(dim=0)  # (h, w), empty where nothing is chosen
        return mask, best_score(candidates[0][chosen]), candidates

    def labels_of(self, sample: ReferringDataSample, index: int) -> list[int]:
        """Return the detector's labels for an expression of a photo; none where it names nothing it knows.

        Raises:
            ValueError: the oracle is asked about a photo without annotations.
        """
        if self.resolver == 'oracle':
            if 'refs' not in sample:
                raise InputError("resolver='oracle' needs the annotation's category, which a photo of one's own does "
                                 "not have; use resolver='text'")
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
    """Return the highest of (C,) scores, 0 where there is none."""
    return torch.cat([scores, scores.new_zeros(1)]).max()

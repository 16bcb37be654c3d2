import copy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData

from mmpartref.evaluation.dumps.predictions import read_sample
from mmpartref.models.detectors import ReferringDetector
from mmpartref.registry import MODELS
from mmpartref.structures import ReferringDataSample

pytestmark = pytest.mark.full_mmcv
CONFIG = Path(__file__).parents[3] / 'configs' / 'toyparts/mask_rcnn_tiny_toyparts.py'
CATEGORIES = [{'name': name, 'super_category': owner, 'part': part} for name, owner, part in (
    ('Car Tier', 'car', 'tire'), ('Car Body', 'car', 'body'), ('Bird Wing', 'bird', 'wing'))]


@pytest.fixture(scope='module')
def model_cfg() -> dict:
    cfg = Config.fromfile(CONFIG).model.to_dict()
    cfg['detector']['roi_head']['bbox_head']['num_classes'] = 3
    cfg['detector']['roi_head']['mask_head']['num_classes'] = 3
    return {**cfg, 'categories': CATEGORIES}


def build(model_cfg: dict, **changes) -> ReferringDetector:
    return MODELS.build({**copy.deepcopy(model_cfg), **changes}).eval()


def with_instances(model: ReferringDetector, monkeypatch) -> ReferringDetector:
    """Let the detector inside find two tires, a body and a wing, each a column of a 4 x 6 image, worst first."""
    masks = torch.zeros(4, 4, 6, dtype=torch.bool)
    for index in range(4):
        masks[index, :, index] = True
    instances = InstanceData(labels=torch.tensor([0, 2, 1, 0]), scores=torch.tensor([.2, .4, .6, .9]), masks=masks,
                             bboxes=torch.zeros(4, 4))

    def predict(inputs, data_samples):
        for sample in data_samples:
            sample.pred_instances = instances
        return data_samples

    monkeypatch.setattr(model.detector, 'predict', predict)
    return model


def predict(model: ReferringDetector, expressions: list[str], refs: list[dict] | None = None) -> ReferringDataSample:
    sample = ReferringDataSample(metainfo={'ori_shape': (4, 6), 'img_shape': (4, 6), 'img_id': 1})
    sample.expressions = expressions
    if refs is not None:
        sample.refs = refs
    return model.predict(torch.zeros(1, 3, 32, 32), [sample])[0]


def columns(sample: ReferringDataSample) -> list[list[int]]:
    """The columns each expression's mask consists of."""
    return [mask.all(dim=0).nonzero()[:, 0].tolist() for mask in sample.pred_masks]


@pytest.mark.parametrize(('rule', 'threshold', 'expected', 'scores'), [
    ('union', 0.1, [[0, 3], [2], [1], []], [.9, .6, .4, 0]),
    ('union', 0.5, [[3], [2], [], []], [.9, .6, 0, 0]),
    ('top1', 0.1, [[3], [2], [1], []], [.9, .6, .4, 0]),
    ('top1', 0.9, [[3], [], [], []], [.9, 0, 0, 0]),
    ('union', 1.0, [[], [], [], []], [0, 0, 0, 0]),
])
def test_rule_and_threshold_choose_the_instances(model_cfg, monkeypatch, rule, threshold, expected, scores):
    model = with_instances(build(model_cfg, rule=rule, score_threshold=threshold), monkeypatch)
    sample = predict(model, ['tire of the car', 'car body', 'bird wings', 'the moon'])
    assert columns(sample) == expected
    assert sample.pred_masks.shape == (4, 4, 6)
    assert sample.pred_masks.dtype == torch.bool
    torch.testing.assert_close(sample.pred_scores, torch.tensor(scores, dtype=torch.float32))


def test_the_oracle_uses_the_category_and_ignores_the_text(model_cfg, monkeypatch):
    model = with_instances(build(model_cfg, resolver='oracle', score_threshold=0.1), monkeypatch)
    refs = [{'super_category': 'bird', 'part': 'wing'}, {'super_category': 'fish', 'part': 'fin'}]
    assert columns(predict(model, ['the tire of the car', 'fish fin'], refs)) == [[1], []]
    with pytest.raises(ValueError, match=r"use resolver='text'"):
        predict(model, ['the tire of the car'])


def test_coco_predicts_the_whole_object(model_cfg, monkeypatch):
    """Label 2 of COCO's 80 is the car, for every part of a car."""
    model = with_instances(build(model_cfg, targets='coco_objects', score_threshold=0.1), monkeypatch)
    assert columns(predict(model, ['car tire', 'jeep', 'bird wing', 'snake head'])) == [[1], [1], [], []]


@pytest.mark.parametrize('threshold', [0.1, 0.95])
def test_presence_is_the_best_instance_of_the_category_chosen_or_not(model_cfg, monkeypatch, threshold):
    model = with_instances(build(model_cfg, score_threshold=threshold), monkeypatch)
    sample = predict(model, ['car tire', 'car body', 'bird wing', 'bird tire', 'the moon'])
    torch.testing.assert_close(sample.pred_presence, torch.tensor([.9, .6, .4, 0, 0]))


def test_candidates_are_all_instances_of_the_label_best_first(model_cfg, monkeypatch):
    model = with_instances(build(model_cfg, keep_candidates=True), monkeypatch)
    sample = predict(model, ['car tire', 'the moon'])
    scores, masks = sample.pred_candidates[0]
    torch.testing.assert_close(scores, torch.tensor([.9, .2]))
    assert [mask.all(dim=0).nonzero()[0, 0].item() for mask in masks] == [3, 0]
    assert len(sample.pred_candidates[1][0]) == 0
    sample.refs = [{'ref_id': str(index), 'part': 'tire', 'super_category': 'car', 'ann_ids': [], 'rles': []}
                   for index in range(2)]
    read = read_sample(sample.to_dict())
    assert [len(each.candidates) for each in read.expressions] == [2, 0]


def test_a_real_detector_predicts_and_learns(model_cfg):
    """mmdet's own Mask R-CNN: random weights find nothing useful, but shapes are right and the loss has gradients."""
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks
    model = build(model_cfg, score_threshold=0.0)
    sample = ReferringDataSample(metainfo={'ori_shape': (48, 64), 'img_shape': (96, 128), 'scale_factor': (2.0, 2.0)})
    sample.expressions = ['car tire', 'bird wing', 'the moon']
    batch = model.data_preprocessor({'inputs': [torch.zeros(3, 96, 128, dtype=torch.uint8)], 'data_samples': [sample]},
                                    False)
    found = model(**batch, mode='predict')[0]
    assert found.pred_masks.shape == (3, 48, 64)
    assert not found.pred_masks[2].any()

    truth = DetDataSample(metainfo={'ori_shape': (48, 64), 'img_shape': (96, 128), 'scale_factor': (2.0, 2.0)})
    mask = torch.zeros(1, 96, 128, dtype=torch.uint8)
    mask[:, 20:60, 20:70] = 1
    truth.gt_instances = InstanceData(bboxes=torch.tensor([[20., 20., 70., 60.]]), labels=torch.tensor([1]),
                                      masks=BitmapMasks(mask.numpy(), 96, 128))
    model.train()
    batch = model.data_preprocessor({'inputs': [torch.zeros(3, 96, 128, dtype=torch.uint8)], 'data_samples': [truth]},
                                    True)
    loss, logged = model.parse_losses(model(**batch, mode='loss'))
    loss.backward()
    assert {'loss_rpn_cls', 'loss_cls', 'loss_mask'} <= logged.keys()
    assert model.detector.roi_head.mask_head.conv_logits.weight.grad.abs().sum() > 0


def test_unknown_arguments_and_other_class_counts_are_rejected(model_cfg):
    for name in ('resolver', 'rule', 'targets'):
        with pytest.raises(ValueError, match=f"{name}='guess' is unknown; choose one of"):
            build(model_cfg, **{name: 'guess'})
    with pytest.raises(ValueError, match=r'score_threshold=2 should be a score, 0 to 1'):
        build(model_cfg, score_threshold=2)
    with pytest.raises(ValueError, match='has no categories; give them as'):
        build(model_cfg, categories=None)
    with pytest.raises(ValueError, match=r'the detector has 3 classes but there are 2 categories'):
        build(model_cfg, categories=CATEGORIES[:2])
    with pytest.raises(ValueError, match="mode must be 'loss', 'predict' or 'tensor'"):
        build(model_cfg)(torch.zeros(1, 3, 32, 32), [], mode='guess')

"""Metrics compared with those of pycocotools and mmdet, and by hand where the three differ."""
import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from mmpartref.evaluation import ReferringSegMetric
from mmpartref.masks.iou import encode_masks, score_rles


def test_iou_is_that_of_pycocotools():
    rng = np.random.default_rng(0)
    compared = 0
    for _ in range(60):
        height, width = rng.integers(1, 50, 2)
        masks = rng.random((6, height, width)) < rng.choice([0.02, 0.3, 0.7, 0.98], (6, 1, 1))
        rles = encode_masks(masks)
        # iscrowd = 0: the union is in the denominator.
        reference = coco_mask.iou(rles[:3], rles[3:], [0] * 3)
        for pred, mask, line in zip(rles[:3], masks[:3], reference, strict=True):
            ours = [overlap.iou for overlap in score_rles(pred, rles[3:]).per_annotation]
            for truth, mine, theirs in zip(masks[3:], ours, line.tolist(), strict=True):
                if mask.any() or truth.any():
                    # One division of the same integers, by C there and by Python here.
                    assert mine == pytest.approx(theirs, rel=1e-12)
                    compared += 1
    assert compared > 500


def test_pycocotools_gives_two_empty_masks_zero():
    nothing = encode_masks(np.zeros((1, 4, 4), dtype=bool))[0]
    assert coco_mask.iou([nothing], [nothing], [0])[0, 0] == 0
    assert score_rles(nothing, [nothing]).overlap.iou == 1


@pytest.fixture(scope='module')
def mmdet_metric() -> type:
    """mmdet's class from its file: its package imports all of mmdet, and a second registration would raise."""
    from mmdet import registry
    file = Path(importlib.util.find_spec('mmdet').origin).parent / 'evaluation/metrics/refseg_metric.py'
    spec = importlib.util.spec_from_file_location('mmdet_refseg_metric', file)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry.METRICS, 'register_module', lambda: lambda cls: cls)
        spec.loader.exec_module(module)
    return module.RefSegMetric


def theirs_of(metric_class: type, samples: list[dict]) -> dict:
    """Run mmdet's metric; it wants one truth per expression, the union of its annotations."""
    metric = metric_class()
    for sample in samples:
        truths = np.stack([coco_mask.decode(coco_mask.merge(ref['rles'])) for ref in sample['refs']])
        metric.process({}, [{
            'pred_instances': {'masks': sample['pred_masks']},
            'gt_masks': SimpleNamespace(to_tensor=lambda dtype, device, truths=truths: torch.from_numpy(truths)),
        }])
    return {name: float(value) / 100 for name, value in metric.evaluate(len(samples)).items()}


def ours_of(samples: list[dict], **kwargs) -> dict:
    metric = ReferringSegMetric(**kwargs)
    metric.process({}, samples)
    return {name.removeprefix('refer/'): value for name, value in metric.evaluate(len(samples)).items()}


@pytest.mark.full_mmcv
def test_mean_and_cumulative_iou_are_mmdets(mmdet_metric, random_samples):
    theirs = theirs_of(mmdet_metric, random_samples)
    ours = ours_of(random_samples)
    assert theirs.keys() == {'mIoU', 'cIoU'}
    # Single precision on their side.
    assert {name: ours[name] for name in theirs} == pytest.approx(theirs, rel=1e-6)
    assert 0 < ours['mIoU'] != ours['cIoU']
    # No row is empty on both sides, so that the rule does not matter.
    assert ours_of(random_samples, empty='zero') == ours


@pytest.mark.full_mmcv
def test_mmdet_gives_two_empty_masks_zero(mmdet_metric, sample_of):
    samples = [sample_of(1, [('bird', 'head', [(0, 2, 0, 10)], [(0, 1, 0, 10)]), ('bird', 'tail', [(0, 0, 0, 0)], [])])]
    theirs = theirs_of(mmdet_metric, samples)
    # IoU 10/20 and 0/0; the same pixels, so that the cumulative IoU agrees under every rule.
    assert theirs == pytest.approx({'mIoU': 0.25, 'cIoU': 0.5}, rel=1e-6)
    assert [ours_of(samples, empty=rule)['mIoU'] for rule in ('zero', 'one', 'skip')] == [0.25, 0.75, 0.5]
    assert {ours_of(samples, empty=rule)['cIoU'] for rule in ('zero', 'one', 'skip')} == {0.5}


@pytest.mark.full_mmcv
def test_expressions_that_mmdet_does_not_count(mmdet_metric, sample_of):
    # It has no Precision@X and no counting per annotation: by hand, IoU 1/2 and 8/10; two annotations of 2 x 2.
    samples = [sample_of(1, [('bird', 'head', [(0, 2, 0, 10)], [(0, 1, 0, 10)]),
                             ('bird', 'foot', [(5, 7, 0, 2), (5, 7, 6, 8)],
                              [(5, 7, 0, 2), (5, 7, 6, 8), (9, 10, 0, 2)])])]
    assert theirs_of(mmdet_metric, samples) == pytest.approx({'mIoU': 0.65, 'cIoU': 18 / 30})
    ours = ours_of(samples)
    assert (ours['P@0.5'], ours['P@0.7'], ours['P@0.8']) == (0.5, 0.5, 0)
    assert ours_of(samples, strict=False)['P@0.5'] == 1
    assert ours['ann_mIoU'] == pytest.approx((0.5 + 0.4 + 0.4) / 3)

import random
from fractions import Fraction

import pytest
import torch
from mmengine.evaluator import Evaluator

from mmpartref.evaluation import ReferringSegMetric
from mmpartref.evaluation.scoring.iou_metrics import Row, summarise
from mmpartref.masks.iou import ExpressionScore, Overlap
from mmpartref.registry import METRICS

# What each image of ``samples`` gives: IoU of the expressions, then of the annotated parts.
EXPRESSIONS = [(10, 20), (8, 10), (0, 12), (0, 4)]
ANNOTATIONS = [(10, 20), (4, 10), (4, 10), (0, 12), (0, 4)]


@pytest.fixture
def samples(sample_of) -> list[dict]:
    return [
        sample_of(1, [('bird', 'head', [(0, 2, 0, 10)], [(0, 1, 0, 10)]),
                      ('bird', 'foot', [(5, 7, 0, 2), (5, 7, 6, 8)], [(5, 7, 0, 2), (5, 7, 6, 8), (9, 10, 0, 2)])]),
        sample_of(2, [('fish', 'head', [(0, 2, 0, 4)], [(6, 8, 0, 2)])]),
        sample_of(3, [('bird', 'head', [(0, 2, 0, 2)], [])]),
    ]


def evaluate(samples: list[dict], **kwargs) -> dict:
    metric = ReferringSegMetric(**kwargs)
    for sample in samples:
        metric.process({}, [sample])
    return metric.evaluate(len(samples))


def test_every_metric_counted_by_hand(samples):
    metrics = evaluate(samples)
    ious = [inter / union for inter, union in EXPRESSIONS]
    assert ious == [0.5, 0.8, 0, 0]
    parts = [inter / union for inter, union in ANNOTATIONS]
    expected = {
        'mIoU': sum(ious) / 4,
        'cIoU': 18 / 46,
        'P@0.5': 1 / 4,  # 0.8; 0.5 itself does not count
        'P@0.6': 1 / 4,
        'P@0.7': 1 / 4,
        'P@0.8': 0,
        'P@0.9': 0,
        'P@0.5:0.95': 6 / 10 / 4,  # 0.8 is above 0.5, 0.55, ..., 0.75
        # Predicted 10, 10, 4 and 0 pixels of 20, 8, 8 and 4, of which 10, 8, 0 and 0 are right.
        'over_segmentation': (0 + 2 / 10 + 1 + 0) / 4,
        'under_segmentation': (10 / 20 + 0 + 1 + 1) / 4,
        'mIoU_part': ((0.5 + 0) / 2 + 0.8 + 0) / 3,
        'cIoU_part': (10 / 24 + 8 / 10 + 0) / 3,
        'mIoU_super': ((0.5 + 0.8 + 0) / 3 + 0) / 2,
        'mIoU_small': sum(ious) / 4,
        'ann_mIoU': sum(parts) / 5,
        'ann_cIoU': 18 / 56,
        **{f'ann_P@{threshold}': 0 for threshold in (0.5, 0.6, 0.7, 0.8, 0.9)},
        'expressions': 4,
        'annotated_parts': 5,
    }
    assert metrics == {f'refer/{name}': pytest.approx(value, abs=1e-15) for name, value in expected.items()}


def test_inclusive_counts_the_threshold(samples):
    metrics = evaluate(samples, strict=False)
    assert metrics['refer/P@0.5'] == 2 / 4
    assert metrics['refer/P@0.8'] == 1 / 4
    assert metrics['refer/P@0.5:0.95'] == (1 + 7) / 10 / 4
    assert metrics['refer/ann_P@0.5'] == 1 / 5
    assert evaluate(samples, strict=False, precision_thresholds=(0, ))['refer/P@0'] == 1


@pytest.mark.parametrize('tenths', [5, 6, 7, 8, 9])
def test_a_threshold_means_its_decimal_notation(sample_of, tenths):
    # 0.7 as a binary fraction is below 7/10, 0.6 as well; 9/10 and 0.9 differ the other way round.
    sample = sample_of(1, [('bird', 'head', [(0, 1, 0, 10)], [(0, 1, 0, tenths)])])
    assert Fraction(tenths / 10) != Fraction(tenths, 10) or tenths == 5
    assert evaluate([sample])[f'refer/P@0.{tenths}'] == 0
    assert evaluate([sample], strict=False)[f'refer/P@0.{tenths}'] == 1


def test_separate_instances_make_both_countings_agree(sample_of):
    sample = sample_of(1, [('bird', 'foot', [(5, 7, 0, 2)], [(5, 7, 0, 3)]),
                           ('bird', 'foot', [(5, 7, 6, 8)], [(5, 6, 6, 8)])])
    metrics = evaluate([sample])
    assert metrics['refer/ann_mIoU'] == metrics['refer/mIoU'] > 0
    assert metrics['refer/ann_cIoU'] == metrics['refer/cIoU'] > 0


def test_the_order_of_the_images_does_not_matter(random_samples):
    expected = evaluate(random_samples)
    assert len(set(expected.values())) > 5
    for seed in range(4):
        random.Random(seed).shuffle(random_samples)
        assert evaluate(random_samples) == expected


def test_one_entry_per_sample_and_no_masks_in_it(samples):
    metric = ReferringSegMetric()
    metric.process({}, samples)
    assert [len(entry) for entry in metric.results] == [2, 1, 1]
    assert not any(isinstance(value, torch.Tensor) for entry in metric.results for row in entry
                   for value in vars(row).values())


def test_samples_repeated_by_the_sampler_are_dropped(samples):
    metric = ReferringSegMetric()
    metric.process({}, [*samples, samples[0], samples[1]])
    assert metric.evaluate(len(samples)) == evaluate(samples)


def evaluate_share(shares: list[list[dict]], size: int) -> dict:
    metric = ReferringSegMetric()
    metric.process({}, shares[torch.distributed.get_rank()])
    return metric.evaluate(size)


def test_two_processes_with_uneven_shares_give_the_same_digits(random_samples, on_ranks, tmp_path):
    shares = [random_samples[::2], random_samples[1::2]]
    assert len(shares[0]) != len(shares[1])
    # The metrics are exact sums of the same masks, so that their order changes no digit.
    assert on_ranks(tmp_path, evaluate_share, shares, len(random_samples)) == [evaluate(random_samples)] * 2


def test_the_evaluator_builds_it_by_name_and_passes_data_samples(samples, sample_of):
    evaluator = Evaluator(METRICS.build({'type': 'ReferringSegMetric', 'prefix': 'val'}))
    evaluator.process(data_samples=samples, data_batch={})
    assert evaluator.evaluate(3)['val/expressions'] == 4


def change(sample: dict, **values) -> dict:
    return {**sample, **values}


@pytest.mark.parametrize(('values', 'message'), [
    ({'pred_masks': torch.zeros(2, 20, 10, dtype=torch.bool)}, r'1\.jpg is 10 x 20 pixels .*\(2, 20, 10\); undo the'),
    ({'pred_masks': torch.zeros(1, 10, 20, dtype=torch.bool)}, '2 refs and 2 expressions but .* 1 masks and 2 scores'),
    ({'pred_scores': torch.zeros(3)}, '2 masks and 3 scores'),
    ({'pred_scores': torch.tensor([0.5, float('nan')])}, 'ref 1:1: .* score is nan'),
    ({'pred_masks': torch.zeros(2, 10, 20)}, 'float32, not bool'),
    ({'refs': None}, 'lacks refs'),
    ({'pred_masks': None, 'pred_scores': None}, 'lacks pred_masks, pred_scores'),
    ({'ori_shape': (20, 10), 'pred_masks': torch.zeros(2, 20, 10, dtype=torch.bool)},
     r'ref 1:0: the image is 20 x 10 .* annotation is \[10, 20\]'),
])
def test_samples_that_do_not_fit_are_rejected(samples, values, message):
    with pytest.raises(ValueError, match=message):
        ReferringSegMetric().process({}, [change(samples[0], **values)])


def test_a_threshold_outside_zero_to_one_is_rejected():
    with pytest.raises(ValueError, match=r'precision_thresholds\[1\]=50 must be from 0 to 1'):
        ReferringSegMetric(precision_thresholds=(0.5, 50))


def test_truncated_expressions_are_counted_and_named(samples, monkeypatch):
    whole, logged = evaluate(samples), []
    assert 'refer/truncated_expressions' not in whole
    monkeypatch.setattr('mmpartref.evaluation.metrics.referring_seg_metric.print_log',
                        lambda message, logger: logged.append(message))
    samples[0]['truncated'] = ['', 'foot']
    samples[1]['truncated'] = ['head']
    metrics = evaluate(samples)
    assert metrics.pop('refer/truncated_expressions') == 2
    assert metrics == whole
    assert logged[0].endswith(
        '\n2 of 4 expressions are longer than the rows of the text encoder, and the model did not see their last '
        "words: 'bird foot' without 'foot'; 'fish head' without 'head'; raise the text encoder's word_length")


def test_the_mean_of_each_size_of_parts():
    found = [(0, 1), (512, 1023), (1024, 1024), (4607, 9214), (9216, 9216)]  # pixels of intersection and truth
    rows = [Row(1, str(number), 'x', 'head', 'bird',
                ExpressionScore(Overlap(inter, area), inter, area, (Overlap(inter, area), )))
            for number, (inter, area) in enumerate(found)]
    metrics = summarise(rows)
    assert metrics['mIoU_small'] == pytest.approx((0 + 512 / 1023) / 2)
    assert metrics['mIoU_medium'] == pytest.approx((1 + 0.5) / 2)
    assert metrics['mIoU_large'] == 1
    assert 'mIoU_large' not in summarise(rows[:3])
    assert ReferringSegMetric.may_return('mIoU_small')

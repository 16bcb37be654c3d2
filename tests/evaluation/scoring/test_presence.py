import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmpartref.evaluation import ReferringDump, ReferringSegMetric
from mmpartref.evaluation.dumps.dump import read_dump
from mmpartref.evaluation.scoring.iou_metrics import Row, summarise
from mmpartref.evaluation.scoring.presence import average_precision, format_presence, roc_auc, summarise_presence
from mmpartref.evaluation.scoring.presence_threshold import calibrate
from mmpartref.evaluation.scoring.score_dump import score_absent_parts, score_dump
from mmpartref.evaluation.scoring.threshold_sweep import dump_at
from mmpartref.masks.iou import ExpressionScore, Overlap

# super-category, part, true boxes, predicted boxes, kind of absence, presence
IMAGES = [
    [('bird', 'head', [(0, 2, 0, 10)], [(0, 1, 0, 10)], None, 0.9),  # IoU 10 / 20
     ('bird', 'foot', [(5, 7, 0, 2)], [(5, 7, 0, 2)], None, 0.3),  # IoU 1, but hardly there
     ('bird', 'hand', [], [(0, 1, 0, 6)], 'impossible', 0.4),
     ('fish', 'tail', [], [], 'other', 0.1)],
    [('fish', 'head', [(0, 2, 0, 4)], [], None, 0.5),  # missed: IoU 0 / 8
     ('car', 'tire', [], [(0, 1, 0, 4)], 'other', 0.6),
     ('fish', 'tail', [], [(3, 4, 0, 7)], 'unannotated', 0.8)],
]


@pytest.fixture
def samples(sample_of) -> list[dict]:
    found = []
    for img_id, rows in enumerate(IMAGES, 1):
        sample = sample_of(img_id, [each[:4] for each in rows])
        for ref, (*_, kind, _) in zip(sample['refs'], rows, strict=True):
            if kind is not None:
                ref.update(absent=kind, category_id=None)
        sample['pred_presence'] = torch.tensor([each[-1] for each in rows], dtype=torch.float64)
        found.append(sample)
    return found


def evaluate(samples: list[dict], **kwargs) -> dict[str, float]:
    metric = ReferringSegMetric(**kwargs)
    for sample in samples:
        metric.process({}, [sample])
    return {name.removeprefix('refer/'): value for name, value in metric.evaluate(len(samples)).items()}


def present_only(samples: list[dict]) -> list[dict]:
    kept = []
    for sample in samples:
        there = [number for number, ref in enumerate(sample['refs']) if 'absent' not in ref]
        kept.append({**sample, **{key: [sample[key][number] for number in there] for key in ('refs', 'expressions')},
                     **{key: sample[key][there] for key in ('pred_masks', 'pred_scores', 'pred_presence')}})
    return kept


def test_masks_without_a_threshold_counted_by_hand(samples):
    figures = evaluate(samples)
    expected = {
        'N_acc': 1 / 3,  # the fish's tail alone has no mask
        'T_acc': 2 / 3,  # the fish's head has no mask either
        'gIoU': (0.5 + 1 + 0 + 0 + 1 + 0) / 6,
        'cIoU_all': (10 + 4) / (20 + 4 + 8 + 6 + 0 + 4),
        # Pairs in order: .9 beats all three, .3 only .1, .5 beats .4 and .1.
        'presence_AUC': (3 + 1 + 2) / 9,
        # At .9: 1 of 1; .6; .5: 2 of 3; .4; .3: 3 of 5; .1.
        'presence_AP': (1 + 2 / 3 + 3 / 5) / 3,
        'N_acc_impossible': 0,
        'presence_AUC_impossible': 2 / 3,
        'absent_impossible': 1,
        'N_acc_other': 1 / 2,
        'presence_AUC_other': (2 + 1 + 1) / 6,
        'absent_other': 2,
        'N_acc_unannotated': 0,
        'presence_AUC_unannotated': 1 / 3,
        'absent_unannotated': 1,
    }
    assert {name: figures[name] for name in expected} == pytest.approx(expected, abs=1e-15)
    assert not any(name.startswith('mask_') for name in figures)


def test_a_threshold_empties_masks(samples):
    figures = evaluate(samples, presence_threshold=0.45)
    expected = {
        'N_acc': 2 / 3,  # the bird's hand is at .4
        'T_acc': 1 / 3,  # the bird's foot at .3 is lost
        'gIoU': (0.5 + 0 + 0 + 1 + 1 + 0) / 6,
        'cIoU_all': 10 / (20 + 4 + 8 + 0 + 0 + 4),
        'N_acc_impossible': 1,
        'N_acc_other': 1 / 2,
    }
    assert {name: figures[name] for name in expected} == pytest.approx(expected, abs=1e-15)
    plain = evaluate(samples)
    for name in ('N_acc', 'T_acc', 'gIoU', 'cIoU_all'):
        assert figures[f'mask_{name}'] == plain[name]
    for name in ('presence_AUC', 'presence_AP', 'presence_AUC_other', 'mIoU', 'cIoU', 'expressions'):
        assert figures[name] == plain[name]
    # A presence on the threshold is not below it.
    assert evaluate(samples, presence_threshold=0.4)['N_acc_impossible'] == 0


@pytest.mark.parametrize('settings', [{}, {'presence_threshold': 0.45}, {'strict': False, 'empty': 'zero'}])
def test_the_others_metrics_are_those_without_absent_parts(samples, settings):
    alone = evaluate(present_only(samples), **settings)
    assert not any('acc' in name or 'gIoU' in name or 'presence' in name for name in alone)
    together = evaluate(samples, **settings)
    assert {name: together[name] for name in alone} == alone
    assert alone['expressions'] == 3


def test_only_noisy_kinds_give_no_headline(samples):
    for sample in samples:
        for ref in sample['refs']:
            if 'absent' in ref:
                ref['absent'] = 'unannotated'
    figures = evaluate(samples)
    assert figures['absent_unannotated'] == 4
    assert figures['N_acc_unannotated'] == 1 / 4
    assert not {'N_acc', 'T_acc', 'gIoU', 'presence_AUC'} & figures.keys()


def test_a_model_without_presence_is_measured_by_its_masks(samples):
    for sample in samples:
        del sample['pred_presence']
    figures = evaluate(samples)
    assert figures['N_acc'] == 1 / 3
    assert not any('presence' in name for name in figures)
    with pytest.raises(ValueError, match='ref 1:0 has no presence score; the model has to return pred_presence'):
        evaluate(samples, presence_threshold=0.5)


def test_the_order_of_the_images_does_not_matter(samples):
    expected = evaluate(samples, presence_threshold=0.45)
    assert evaluate(samples[::-1], presence_threshold=0.45) == expected


def test_the_table_has_the_counts(samples, monkeypatch):
    printed = []
    monkeypatch.setattr('mmpartref.evaluation.metrics.referring_seg_metric.print_log',
                        lambda text, *_: printed.append(text))
    evaluate(samples, presence_threshold=0.45)
    lines = [' '.join(line.split()) for line in printed[0].splitlines()]
    for line in ('absent parts: 3 expressions, present parts: 3; metrics in percent',
                 'presence < 0.45 66.67 33.33 41.67 27.78', 'the mask is empty 33.33 66.67 41.67 33.33',
                 'presence: AUC 66.67, AP 75.56 (by chance 50.00)', 'impossible 1 100.00 66.67',
                 'unannotated (noisy) 1 0.00 33.33'):
        assert line in lines
    printed.clear()
    evaluate(present_only(samples))
    assert 'absent' not in printed[0]


def test_absent_parts_alone_cannot_be_judged(samples):
    rows = [row(0.5, kind='other')]
    for judge in (summarise_presence, format_presence):
        with pytest.raises(ValueError, match='all expressions are of absent parts'):
            judge(rows)
    assert summarise_presence([row(0.5)]) == {}
    assert format_presence([row(0.5)]) == ''


def row(presence: float, *, kind: str | None = None, iou: float = 1.0, empty: bool = False) -> Row:
    """A prediction of ten pixels, or of zero."""
    area = 0 if empty else 10
    true = 0 if kind else 10
    inter = 0 if kind or empty else round(10 * iou)
    overlap = Overlap(inter, area + true - inter)
    score = ExpressionScore(overlap, area, true, () if kind else (overlap, ))
    return Row(1, f'1:{presence}:{kind}', 'x', 'head', 'bird', score, kind, presence)


scores = st.lists(st.integers(0, 6).map(lambda value: value / 6), min_size=1, max_size=12).map(np.array)


@settings(deadline=None)
@given(scores, scores)
def test_auc_and_ap_are_their_definitions(present, absent):
    pairs = [(there > gone) + 0.5 * (there == gone) for there in present for gone in absent]
    assert roc_auc(present, absent) == pytest.approx(np.mean(pairs))
    steps = []
    recall = 0.0
    for level in sorted({*present, *absent}, reverse=True):
        right, wrong = (present >= level).sum(), (absent >= level).sum()
        steps.append((right / len(present) - recall) * right / (right + wrong))
        recall = right / len(present)
    assert average_precision(present, absent) == pytest.approx(sum(steps))


asked_rows = st.lists(
    st.builds(lambda presence, kind, iou, empty: row(presence / 8, kind=kind, iou=iou / 10, empty=empty),
              st.integers(0, 8), st.sampled_from([None, 'other', 'unannotated']), st.integers(0, 10), st.booleans()),
    max_size=12).map(lambda rows: [*rows, row(0.5), row(0.25, kind='impossible')])


@settings(max_examples=50, deadline=None)
@given(asked_rows, st.sampled_from(['balanced', 'gIoU']), st.randoms())
def test_no_other_threshold_is_better(rows, criterion, shuffler):
    def value(threshold: float) -> float:
        figures = summarise_presence(rows, threshold)
        return figures['gIoU'] if criterion == 'gIoU' else (figures['N_acc'] + figures['T_acc']) / 2

    found = calibrate(rows, criterion)
    assert found.value == pytest.approx(value(found.threshold))
    counted = [each.presence for each in rows if each.absent != 'unannotated']
    others = [threshold / 16 for threshold in range(17) if threshold / 16 <= max(counted)]
    assert found.value >= max(value(threshold) for threshold in others) - 1e-12
    # Of equal ones the lowest, that empties least.
    assert not any(value(threshold) >= found.value - 1e-12 and
                   sum(score < threshold for score in counted) < sum(score < found.threshold for score in counted)
                   for threshold in others)
    shuffler.shuffle(rows)
    assert calibrate(rows, criterion) == found


def test_the_threshold_is_between_the_scores_it_separates():
    rows = [row(0.2, kind='other'), row(0.4, kind='impossible'), row(0.7), row(0.9)]
    assert calibrate(rows).threshold == pytest.approx(0.55)
    assert calibrate(rows).value == 1.0
    assert calibrate([row(0.3), row(0.2, kind='other', empty=True)]).threshold == 0.0
    close = np.nextafter(0.5, 1)
    found = calibrate([row(0.5, kind='other'), row(close)])
    assert found.threshold == close
    assert found.value == 1.0


def test_rounding_does_not_decide_between_equal_thresholds():
    """Emptying five or twelve masks is worth the same; added up in floats, twelve seem a little better."""
    rows = [row(number / 20, kind='other' if letter == 'a' else None)
            for number, letter in enumerate('apaaapaapaaapa', 1)]
    assert calibrate(rows).threshold == pytest.approx(5.5 / 20)


def test_noisy_kinds_do_not_move_the_threshold():
    rows = [row(0.2, kind='other'), row(0.7), row(0.5, kind='unannotated'), row(0.65, kind='unannotated')]
    assert calibrate(rows) == calibrate(rows[:2])


@pytest.mark.parametrize(('rows', 'criterion', 'message'), [
    ([row(0.5)], 'balanced', 'there are 1 and 0'),
    ([row(0.5), row(0.5, kind='unannotated')], 'gIoU', 'there are 1 and 0'),
    ([row(0.5), replace(row(0.5, kind='other'), presence=None)], 'gIoU', 'has no presence score'),
    ([row(0.5), row(0.5, kind='other')], 'accuracy', "criterion='accuracy' is unknown"),
])
def test_dumps_that_cannot_be_calibrated_are_rejected(rows, criterion, message):
    with pytest.raises(ValueError, match=message):
        calibrate(rows, criterion)


@pytest.mark.parametrize(('change', 'message'), [
    ({'pred_presence': torch.tensor([0.5])}, r'1\.jpg has 4 expressions but the model returned 1 pred_presence'),
    ({'pred_presence': torch.tensor([0.5, 0.5, 0.5, float('nan')])}, 'pred_presence is nan, not a number from 0 to 1'),
    ({'pred_presence': torch.tensor([0.5, 0.5, 0.5, 1.5])}, r'pred_presence is 1\.5'),
])
def test_presence_that_does_not_fit_is_rejected(samples, change, message):
    with pytest.raises(ValueError, match=message):
        ReferringSegMetric().process({}, [{**samples[0], **change}])


def test_an_absent_part_with_annotations_is_rejected(samples):
    samples[0]['refs'][0]['absent'] = 'other'
    with pytest.raises(ValueError, match=r'ref 1:0: it is marked as absent .* has 1 annotations'):
        ReferringSegMetric().process({}, samples)


@pytest.fixture
def dump(samples, tmp_path) -> Path:
    metric = ReferringDump(out_file=str(tmp_path / 'dump.json'), header={'config': 'cris.py'})
    metric.process({}, samples)
    metric.evaluate(len(samples))
    return tmp_path / 'dump.json'


def test_a_dump_stores_presence_and_absence(dump, samples, tmp_path):
    read = read_dump(dump)
    expressions = [each for image in read.images for each in image.expressions]
    assert [(each.absent, each.presence) for each in expressions] == [row[4:] for rows in IMAGES for row in rows]
    assert summarise(score_dump(read))['expressions'] == 3
    again = summarise(score_dump(read))
    assert {name: value for name, value in evaluate(samples).items() if name in again} == again
    for threshold in (None, 0.45):
        figures = summarise_presence(score_dump(read) + score_absent_parts(read), threshold)
        assert figures.items() <= evaluate(samples, presence_threshold=threshold).items()
    read.write(tmp_path / 'again.json')
    assert (tmp_path / 'again.json').read_bytes() == dump.read_bytes()


def test_a_dump_without_either_reads_and_writes_as_ever(dump, tmp_path):
    content = json.loads(dump.read_text())
    for image in content['images']:
        image['expressions'] = [each for each in image['expressions'] if 'absent' not in each]
        for each in image['expressions']:
            del each['presence']
    content['header']['queries_hash'] = None
    dump.write_text(json.dumps(content))
    read = read_dump(dump)
    assert score_absent_parts(read) == []
    assert [each.presence for each in score_dump(read)] == [None] * 3
    read.write(dump)
    content['header']['queries_hash'] = read.queries_hash
    assert json.loads(dump.read_text()) == content


def test_another_mask_threshold_preserves_presence_and_absence(dump):
    read = read_dump(dump)
    images = [replace(image, expressions=[replace(each, candidates=[]) for each in image.expressions])
              for image in read.images]
    cut = dump_at(replace(read, images=images), 0.5)
    figures = summarise_presence(score_dump(cut) + score_absent_parts(cut))
    assert figures['N_acc'] == 1.0
    assert figures['T_acc'] == 0.0
    assert figures['presence_AUC'] == pytest.approx(6 / 9)


@pytest.mark.parametrize(('key', 'value', 'message'), [
    ('presence', 1.5, r'presence is 1\.5, not a number from 0 to 1'),
    ('presence', 'high', "presence is 'high', which has the wrong type"),
    ('presence', float('nan'), 'presence is nan'),
    ('absent', 'other', 'is absent but has 1 masks in truth'),
    ('absent', None, 'absent is None, which has the wrong type'),
])
def test_damaged_dumps_are_rejected(dump, key, value, message):
    content = json.loads(dump.read_text())
    content['images'][0]['expressions'][0][key] = value
    dump.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f'image number 0 .*expression number 0.*{message}'):
        read_dump(dump)


def test_the_threshold_goes_from_one_tool_to_the_other(run_tool, dump, tmp_path, samples):
    chosen, scored = tmp_path / 'chosen.json', tmp_path / 'scored.json'
    printed = run_tool('calibrate_presence', dump, '--criterion', 'gIoU', '--json', chosen)
    threshold = json.loads(chosen.read_text())['presence_threshold']
    assert f'--presence-threshold {threshold!r}' in printed
    assert 'on this split, on which it was chosen' in printed
    assert 'config cris.py' in printed
    printed = run_tool('evaluate', dump, '--presence-threshold', repr(threshold), '--json', scored)
    assert f'presence < {threshold:.6g}' in printed
    assert json.loads(scored.read_text()) == evaluate(samples, presence_threshold=threshold)


def test_errors_of_the_tool_are_one_sentence(run_tool, dump, samples):
    metric = ReferringDump(out_file=str(dump))
    metric.process({}, present_only(samples))
    metric.evaluate(2)
    with pytest.raises(SystemExit, match=r'there are 3 and 0; write the dump with absent parts'):
        run_tool('calibrate_presence', dump)
    with pytest.raises(SystemExit, match='has no expression of an absent part'):
        run_tool('evaluate', dump, '--presence-threshold', '0.5')
    assert 'absent' not in run_tool('evaluate', dump)


def test_many_images_in_any_order(samples):
    rows = [row(random.Random(number).random(), kind=['other', None][number % 2]) for number in range(200)]
    expected = summarise_presence(rows, 0.5)
    random.Random(0).shuffle(rows)
    assert summarise_presence(rows, 0.5) == expected

import json
from dataclasses import replace

import pytest

from mmpartref.evaluation import ReferringSegMetric
from mmpartref.evaluation.dumps.dump import PredictionDump
from mmpartref.evaluation.dumps.predictions import ImagePredictions, read_sample
from mmpartref.evaluation.scoring.conventions import EMPTY_RULES
from mmpartref.evaluation.scoring.iou_metrics import apply_empty_rule, format_table, group_metrics, summarise
from mmpartref.evaluation.scoring.score_dump import score_image
from mmpartref.evaluation.scoring.threshold_sweep import sweep


@pytest.fixture
def sample(sample_of) -> dict:
    """IoU 1/2, 0/0 and 0/4; the second has two annotations of no pixel, the third one of four."""
    return sample_of(1, [('bird', 'head', [(0, 2, 0, 10)], [(0, 1, 0, 10)]),
                         ('fish', 'fin', [(0, 0, 0, 0), (3, 3, 0, 0)], []),
                         ('bird', 'head', [(0, 2, 0, 2)], [])])


@pytest.fixture
def rows(sample) -> list:
    return score_image(read_sample(sample))


EXPECTED = {
    'one': {'mIoU': 1.5 / 3, 'P@0.5': 1 / 3, 'mIoU_part': (0.25 + 1) / 2, 'mIoU_super': (0.25 + 1) / 2,
            'ann_mIoU': 2.5 / 4, 'expressions': 3, 'annotated_parts': 4},
    'zero': {'mIoU': 0.5 / 3, 'P@0.5': 0, 'mIoU_part': 0.25 / 2, 'mIoU_super': 0.25 / 2, 'ann_mIoU': 0.5 / 4,
             'expressions': 3, 'annotated_parts': 4},
    'skip': {'mIoU': 0.5 / 2, 'P@0.5': 0, 'mIoU_part': 0.25, 'mIoU_super': 0.25, 'ann_mIoU': 0.5 / 2,
             'expressions': 2, 'annotated_parts': 2, 'skipped_empty': 1},
}


@pytest.mark.parametrize('empty', EMPTY_RULES)
def test_each_rule_counted_by_hand(rows, empty):
    found = summarise(rows, empty=empty)
    assert {name: found[name] for name in EXPECTED[empty]} == pytest.approx(EXPECTED[empty], abs=1e-15)
    assert found['cIoU'] == 10 / 24
    assert ('skipped_empty' in found) == (empty == 'skip')


def test_the_rule_holds_for_single_annotations_too(sample_of):
    # Nothing predicted for an annotation of four pixels and one of zero: 0/4 and 0/0.
    rows = score_image(read_sample(sample_of(1, [('bird', 'foot', [(0, 2, 0, 2), (5, 5, 0, 0)], [])])))
    found = {empty: summarise(rows, empty=empty) for empty in EMPTY_RULES}
    assert {empty: each['ann_mIoU'] for empty, each in found.items()} == {'one': .5, 'zero': 0, 'skip': 0}
    assert {empty: each['annotated_parts'] for empty, each in found.items()} == {'one': 2, 'zero': 2, 'skip': 1}
    assert found['skip']['skipped_empty'] == 0


def test_metrics_without_a_threshold(rows):
    assert summarise(rows) == summarise(rows, empty='one')
    # Only masks that are both empty are touched.
    for empty in EMPTY_RULES:
        assert summarise(rows[::2], empty=empty).items() >= summarise(rows[::2]).items()


def test_one_empty_mask_is_no_case_for_the_rule(rows):
    assert apply_empty_rule(rows[2:], 'skip') == rows[2:]


@pytest.mark.parametrize(('empty', 'expected'), [('one', (1, 1)), ('zero', (0, 0))])
def test_nothing_but_empty_masks(rows, empty, expected):
    found = summarise(rows[1:2], empty=empty, strict=False)
    assert (found['mIoU'], found['cIoU']) == expected
    assert found['P@0.9'] == expected[0]
    figures = group_metrics(apply_empty_rule(rows[1:2], empty), strict=True)
    assert figures == {'mIoU': expected[0], 'P@0.5': expected[0]}


def test_skipping_everything_is_an_error(rows):
    with pytest.raises(ValueError, match=r"empty='skip' drops every expression.* in all 1; choose 'one' or 'zero'"):
        summarise(rows[1:2], empty='skip')


def test_an_unknown_rule_is_rejected(rows):
    for call in (lambda: ReferringSegMetric(empty='nan'), lambda: summarise(rows, empty='nan')):
        with pytest.raises(ValueError, match=r"empty='nan' is unknown; choose one of \('one', 'zero', 'skip'\)"):
            call()


@pytest.mark.parametrize(('empty', 'words'), [('one', 'IoU 1'), ('zero', 'IoU 0'), ('skip', 'skipped')])
def test_the_first_line_names_the_conventions(rows, empty, words):
    for strict, sign in ((True, '>'), (False, '>=')):
        first = format_table(rows, strict=strict, empty=empty).splitlines()[0]
        assert first == (f'Precision@X counts IoU {sign} X; prediction and truth both empty: {words} (1 expression); '
                         'metrics in percent')
    assert '(0 expressions)' in format_table(rows[:1], empty=empty).splitlines()[0]


def test_the_table_has_the_counted_expressions(rows):
    assert 'fish' in format_table(rows)
    assert 'fish' not in format_table(rows, empty='skip')


@pytest.mark.parametrize('empty', EMPTY_RULES)
def test_the_metric_takes_the_rule(sample, rows, empty):
    metric = ReferringSegMetric(empty=empty)
    metric.process({}, [sample])
    found = {name.removeprefix('refer/'): value for name, value in metric.evaluate(1).items()}
    assert found == summarise(rows, empty=empty)


@pytest.mark.parametrize('empty', EMPTY_RULES)
def test_the_tool_takes_the_rule(run_tool, sample, rows, tmp_path, empty):
    PredictionDump({}, [read_sample(sample)]).write(tmp_path / 'dump.json')
    printed = run_tool('evaluate', tmp_path / 'dump.json', '--empty', empty, '--json', tmp_path / 'out.json')
    assert json.loads((tmp_path / 'out.json').read_text()) == summarise(rows, empty=empty)
    assert printed.splitlines() == format_table(rows, empty=empty).splitlines()


def test_a_sweep_takes_the_rule(strip):
    # Without a candidate every mask is empty.
    predictions = [replace(each, candidates=[]) for each in (strip('head', [(0, 4)]), strip('tail', [(7, 7)]))]
    dump = PredictionDump({}, [ImagePredictions(1, 'a.jpg', (1, 60), predictions)])
    assert sweep(dump, [.5], empty='one')[.5]['mIoU'] == .5
    assert sweep(dump, [.5], empty='zero')[.5]['mIoU'] == 0
    assert sweep(dump, [.5], empty='skip')[.5]['skipped_empty'] == 1

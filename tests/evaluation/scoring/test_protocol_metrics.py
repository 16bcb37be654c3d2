"""Seen, unseen and harmonic means, counted by hand."""
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from mmpartref.datasets.partimagenet.partimagenet_names import load_synsets
from mmpartref.datasets.protocols import load_protocol
from mmpartref.evaluation import ReferringDump, ReferringSegMetric
from mmpartref.evaluation.dumps.predictions import read_sample
from mmpartref.evaluation.scoring.protocol_metrics import format_protocol, harmonic_mean, summarise_protocol, tag_rows
from mmpartref.evaluation.scoring.score_dump import score_image

PROTOCOL = 'partimagenet_parts_25_15'
# Seen are quadruped head (IoU 1 and 0.5) and boat sail (0), unseen car body (0.8) and fish tail (0.6, 0.2).
EXPECTED = {
    'seen_mIoU': 0.5, 'seen_P@0.5': 1 / 3, 'seen_mIoU_part': (0.75 + 0) / 2, 'seen_P@0.5_part': (0.5 + 0) / 2,
    'unseen_mIoU': 1.6 / 3, 'unseen_P@0.5': 2 / 3, 'unseen_mIoU_part': (0.8 + 0.4) / 2,
    'unseen_P@0.5_part': (1 + 0.5) / 2,
    'harmonic_mIoU': 2 * 0.5 * (1.6 / 3) / (0.5 + 1.6 / 3), 'harmonic_P@0.5': 2 * (1 / 3) * (2 / 3),
    'harmonic_mIoU_part': 2 * 0.375 * 0.6 / 0.975, 'harmonic_P@0.5_part': 2 * 0.25 * 0.75,
    'seen_expressions': 3, 'seen_parts': 2, 'unseen_expressions': 3, 'unseen_parts': 2, 'outside_expressions': 0,
}


def part(super_category: str, name: str, row: int, tenths: int) -> tuple:
    """A part of ten pixels, of which the prediction hits so many."""
    return super_category, name, [(row, row + 1, 0, 10)], [(row, row + 1, 0, tenths)] if tenths else []


@pytest.fixture
def samples(sample_of: Callable[..., dict]) -> list[dict]:
    return [
        sample_of(1, [part('quadruped', 'head', 0, 10), part('car', 'body', 1, 8), part('fish', 'tail', 2, 6)]),
        sample_of(2, [part('quadruped', 'head', 0, 5), part('fish', 'tail', 1, 2), part('boat', 'sail', 2, 0)]),
    ]


def tagged(samples: list[dict], protocol: str = PROTOCOL, paths: dict | None = None) -> list:
    rows = [row for sample in samples for row in score_image(read_sample(sample))]
    return tag_rows(rows, load_protocol(protocol), paths or {sample['img_id']: '' for sample in samples})


def evaluate(samples: list[dict], **settings: object) -> dict:
    metric = ReferringSegMetric(**settings)
    for sample in samples:
        metric.process({}, [sample])
    return metric.evaluate(len(samples))


def test_every_metric_counted_by_hand(samples: list[dict]) -> None:
    assert summarise_protocol(tagged(samples)) == pytest.approx(EXPECTED, abs=1e-15)


def test_on_the_threshold(samples: list[dict]) -> None:
    figures = summarise_protocol(tagged(samples), strict=False)
    assert figures['seen_P@0.5'] == pytest.approx(2 / 3)
    assert figures['seen_P@0.5_part'] == pytest.approx(0.5)


@pytest.mark.parametrize(('seen', 'unseen', 'mean'), [(0.5, 0.5, 0.5), (1, 0, 0), (0, 1, 0), (0, 0, 0),
                                                      (0.6, 0.3, 0.4)])
def test_harmonic_mean(seen: float, unseen: float, mean: float) -> None:
    assert harmonic_mean(seen, unseen) == pytest.approx(mean)


def test_the_table(samples: list[dict]) -> None:
    lines = format_protocol(tagged(samples), load_protocol(PROTOCOL)).splitlines()
    assert lines[0] == 'protocol partimagenet_parts_25_15: 25 categories seen, 15 unseen'
    assert lines[2].split() == ['seen', '2', '3', '50.00', '33.33', '37.50', '25.00']
    assert lines[3].split() == ['unseen', '2', '3', '53.33', '66.67', '60.00', '75.00']
    assert lines[4].split() == ['harmonic', 'mean', '51.61', '44.44', '46.15', '37.50']
    assert len({len(line) for line in lines[1:]}) == 1


def test_a_side_without_expressions_has_no_metrics(sample_of: Callable[..., dict]) -> None:
    rows = tagged([sample_of(1, [part('quadruped', 'head', 0, 5)])])
    figures = summarise_protocol(rows)
    assert figures['seen_mIoU'] == 0.5
    assert figures['unseen_expressions'] == 0
    assert not [key for key in figures if key.startswith(('unseen_m', 'unseen_P', 'harmonic'))]
    lines = format_protocol(rows, load_protocol(PROTOCOL)).splitlines()
    assert lines[3].split() == ['unseen', '0', '0', '-', '-', '-', '-']
    assert lines[4].split()[2:] == ['-', '-', '-', '-']


def test_empty_masks_follow_the_rule(sample_of: Callable[..., dict]) -> None:
    nothing = ('car', 'body', [(0, 0, 0, 0)], [])
    samples = [sample_of(1, [part('quadruped', 'head', 0, 5), nothing])]
    assert summarise_protocol(tagged(samples))['unseen_mIoU'] == 1
    assert summarise_protocol(tagged(samples), empty='zero')['unseen_mIoU'] == 0
    assert summarise_protocol(tagged(samples), empty='zero')['harmonic_mIoU'] == 0
    assert summarise_protocol(tagged(samples), empty='skip')['unseen_expressions'] == 0


def test_classes_come_from_the_image(sample_of: Callable[..., dict]) -> None:
    by_name = {synset.class_name: wnid for wnid, synset in load_synsets().items()}
    classes = ['goose', 'albatross', 'bald eagle', 'redbone']
    samples = [sample_of(number, [part('bird', 'head', 0, hits), part('bird', 'head', 1, hits)])
               for number, hits in enumerate((10, 4, 5, 8))]
    paths = {number: f'images/{by_name[name]}_{number}.JPEG' for number, name in enumerate(classes)}
    rows = tagged(samples, 'partimagenet_classes_25_15', paths)
    figures = summarise_protocol(rows)
    assert (figures['seen_mIoU'], figures['unseen_mIoU']) == pytest.approx((0.7, 0.5))
    # A goose's head and an albatross's are two.
    assert (figures['seen_parts'], figures['seen_expressions'], figures['outside_expressions']) == (2, 4, 2)
    table = format_protocol(rows, load_protocol('partimagenet_classes_25_15'))
    assert '25 classes seen, 15 unseen' in table
    assert '2 expressions are of images whose class is on neither side' in table


def test_a_part_of_neither_side_is_rejected_at_once(sample_of: Callable[..., dict]) -> None:
    metric = ReferringSegMetric(protocol={'name': PROTOCOL})
    with pytest.raises(ValueError, match="'lamp shade' is neither seen nor unseen in protocol partimagenet_parts"):
        metric.process({}, [sample_of(1, [part('lamp', 'shade', 0, 5)])])


# The metric and the tool.


def test_the_metric_adds_the_protocols_metrics(samples: list[dict]) -> None:
    plain = evaluate(samples)
    metrics = evaluate(samples, protocol={'name': PROTOCOL})
    assert metrics == pytest.approx({**plain, **{f'refer/{key}': value for key, value in EXPECTED.items()}}, abs=1e-15)


def test_the_metric_prints_the_table(samples: list[dict], monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[str] = []
    monkeypatch.setattr('mmpartref.evaluation.metrics.referring_seg_metric.print_log',
                        lambda text, *_: printed.append(text))
    evaluate(samples, protocol={'name': 'leave_one_super_category_out', 'fold': 'car'})
    assert 'protocol leave_one_super_category_out, fold car: 37 categories seen, 3 unseen' in printed[0]


def test_absent_parts_count_on_neither_side(samples: list[dict]) -> None:
    absent = {**samples[0]['refs'][0], 'ref_id': '1:absent', 'part': 'wing', 'ann_ids': [], 'rles': [],
              'absent': 'impossible'}
    samples[0]['refs'][2] = absent
    metrics = evaluate(samples, protocol={'name': PROTOCOL})
    assert metrics['refer/unseen_expressions'] == 2
    assert metrics['refer/unseen_mIoU'] == pytest.approx(0.5)


@pytest.fixture
def tool(samples: list[dict], tmp_path: Path, run_tool: Callable[..., str]) -> Callable[..., str]:
    """Score a dump of the samples; returns what is printed."""
    dump = ReferringDump(out_file=str(tmp_path / 'dump.json'))
    dump.process({}, samples)
    dump.evaluate(len(samples))
    return partial(run_tool, 'evaluate', tmp_path / 'dump.json')


def test_evaluate_adds_the_metrics(tool: Callable[..., str], tmp_path: Path) -> None:
    out = tool('--protocol', PROTOCOL, '--json', tmp_path / 'out.json')
    assert 'protocol partimagenet_parts_25_15: 25 categories seen, 15 unseen' in out
    figures = json.loads((tmp_path / 'out.json').read_text())
    assert {key: figures[key] for key in EXPECTED} == pytest.approx(EXPECTED, abs=1e-15)
    assert 'mIoU' in figures
    assert 'seen' not in tool()


def test_evaluate_takes_a_fold(tool: Callable[..., str], tmp_path: Path) -> None:
    out = tool('--protocol', 'leave_one_super_category_out', '--fold', 'fish')
    assert 'fold fish: 36 categories seen, 4 unseen' in out


@pytest.mark.parametrize(('args', 'message'), [
    (('--protocol', 'nothing'), "there is no protocol 'nothing'"),
    (('--protocol', 'leave_one_super_category_out'), 'has no fold None'),
    (('--protocol', 'partimagenet_ood'), '--train-json'), (('--fold', 'fish'), 'needs --protocol'),
    (('--protocol', PROTOCOL, '--sweep'), 'remove --sweep'),
])
def test_evaluate_rejects_options_that_do_not_go_together(args: tuple, message: str, tool: Callable[..., str],
                                                          capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended:
        tool(*args)
    assert message in f'{ended.value.code}{capsys.readouterr().err}'

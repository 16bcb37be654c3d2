import json
from dataclasses import replace

import pytest

from mmpartref.evaluation.baselines.decode_ceiling import ceiling_metrics, check_ceiling, format_ceiling
from mmpartref.evaluation.dumps.dump import PredictionDump
from mmpartref.evaluation.dumps.predictions import ImagePredictions, read_sample
from mmpartref.evaluation.scoring.score_dump import score_dump

SIZE = (120, 120)


@pytest.fixture
def dump(sample_of) -> PredictionDump:
    """Two small parts, IoU 1/2 and 0, and a large one, IoU 3/4."""
    first = sample_of(1, [('car', 'tire', [(0, 10, 0, 10)], [(0, 5, 0, 10)]),
                          ('car', 'body', [(0, 100, 0, 100)], [(0, 75, 0, 100)])], SIZE)
    second = sample_of(2, [('car', 'tire', [(0, 10, 0, 10)], [])], SIZE)
    return PredictionDump({'decode': 'aligned'}, [read_sample(first), read_sample(second)])


@pytest.fixture
def ceiling(sample_of) -> PredictionDump:
    """IoU 8/10 and 9/10 for the small parts, 1 for the large one; another order of images and expressions."""
    first = sample_of(1, [('car', 'tire', [(0, 10, 0, 10)], [(0, 8, 0, 10)]),
                          ('car', 'body', [(0, 100, 0, 100)], [(0, 100, 0, 100)])], SIZE)
    second = sample_of(2, [('car', 'tire', [(0, 10, 0, 10)], [(0, 9, 0, 10)])], SIZE)
    images = [read_sample(second), read_sample(first)]
    images[1] = replace(images[1], expressions=images[1].expressions[::-1])
    return PredictionDump({'name': 'decode ceiling aligned', 'decode': 'aligned'}, images)


def test_each_size_next_to_its_ceiling(dump, ceiling):
    figures = ceiling_metrics(score_dump(dump), score_dump(ceiling))
    assert list(figures) == ['small', 'large', 'all']
    assert figures['small'] == pytest.approx(
        {'n': 2, 'mIoU': .25, 'P@0.5': 0, 'ceiling mIoU': .85, 'ceiling P@0.5': 1})
    assert figures['large'] == {'n': 1, 'mIoU': .75, 'P@0.5': 1, 'ceiling mIoU': 1, 'ceiling P@0.5': 1}
    assert figures['all'] == pytest.approx(
        {'n': 3, 'mIoU': 1.25 / 3, 'P@0.5': 1 / 3, 'ceiling mIoU': 2.7 / 3, 'ceiling P@0.5': 1})
    assert ceiling_metrics(score_dump(dump), score_dump(ceiling), strict=False)['small']['P@0.5'] == .5


def test_expressions_dropped_by_the_empty_rule_are_dropped_from_the_ceiling(sample_of):
    parts = [('car', 'tire', [(0, 10, 0, 10)], [(0, 5, 0, 10)]), ('car', 'body', [(0, 0, 0, 0)], [])]
    rows = score_dump(PredictionDump({}, [read_sample(sample_of(1, parts, SIZE))]))
    figures = {rule: ceiling_metrics(rows, rows, empty=rule)['all'] for rule in ('one', 'zero', 'skip')}
    assert {rule: each['ceiling mIoU'] for rule, each in figures.items()} == {'one': .75, 'zero': .25, 'skip': .5}
    assert all(each['mIoU'] == each['ceiling mIoU'] for each in figures.values())
    assert [each['n'] for each in figures.values()] == [2, 2, 1]


def test_the_table(dump, ceiling):
    lines = format_ceiling(ceiling_metrics(score_dump(dump), score_dump(ceiling)), ceiling).splitlines()
    assert lines[0] == 'ceiling: name decode ceiling aligned, decode aligned'
    assert lines[1].split() == ['mask', 'size', 'n', 'mIoU', 'ceiling', 'mIoU', 'P@0.5', 'ceiling', 'P@0.5']
    assert lines[2].split() == ['small', '2', '25.00', '85.00', '0.00', '100.00']
    assert lines[4].split() == ['all', '3', '41.67', '90.00', '33.33', '100.00']


def test_other_refs_are_rejected(dump, ceiling):
    short = replace(ceiling, images=ceiling.images[1:])
    with pytest.raises(ValueError, match=r'^c\.json lacks 1 refs of r\.json .* e\.g\. 2:0; compare dumps of the same'):
        check_ceiling(dump, short, 'r.json', 'c.json')
    with pytest.raises(ValueError, match=r'1 refs have no ceiling, e\.g\. 2:0; '):
        ceiling_metrics(score_dump(dump), score_dump(short))
    image = ceiling.images[0]
    moved = [replace(each, truth=[each.pred]) for each in image.expressions]
    with pytest.raises(ValueError, match=r'differ in the ground truth .* 1 refs, e\.g\. 2:0'):
        check_ceiling(dump, replace(ceiling, images=[replace(image, expressions=moved), ceiling.images[1]]), 'r', 'c')


def test_a_ceiling_of_another_decode_is_rejected(dump, ceiling):
    # Neither raises; a detector has no decode.
    check_ceiling(dump, ceiling, 'r.json', 'c.json')
    check_ceiling(replace(dump, header={}), ceiling, 'r.json', 'c.json')
    with pytest.raises(ValueError, match=r"r\.json was decoded as 'cris' but c\.json as 'aligned'; make the ceiling"):
        check_ceiling(replace(dump, header={'decode': 'cris'}), ceiling, 'r.json', 'c.json')


def test_absent_parts_need_no_ceiling(dump, ceiling, strip):
    absent = strip('wing', [], absent='other')
    images = [*dump.images, ImagePredictions(3, 'c.jpg', (1, 60), [absent])]
    # Does not raise.
    check_ceiling(replace(dump, images=images), ceiling, 'r.json', 'c.json')


def test_the_tool(run_tool, dump, ceiling, tmp_path, capsys):
    for name, each in (('dump', dump), ('ceiling', ceiling), ('short', replace(ceiling, images=ceiling.images[1:]))):
        each.write(tmp_path / f'{name}.json')
    files = [tmp_path / f'{name}.json' for name in ('dump', 'ceiling', 'short')]
    shown = run_tool('evaluate', files[0], '--ceiling', files[1], '--json', tmp_path / 'out.json')
    assert shown.splitlines()[-1].split() == ['all', '3', '41.67', '90.00', '33.33', '100.00']
    found = json.loads((tmp_path / 'out.json').read_text())
    assert found['ceiling']['small']['ceiling mIoU'] == pytest.approx(.85)
    assert found['mIoU'] == found['ceiling']['all']['mIoU']
    with pytest.raises(SystemExit, match=r'short\.json lacks 1 refs'):
        run_tool('evaluate', files[0], '--ceiling', files[2])
    with pytest.raises(SystemExit):
        run_tool('evaluate', files[0], '--ceiling', files[1], '--sweep')
    assert '--ceiling needs one threshold' in capsys.readouterr().err

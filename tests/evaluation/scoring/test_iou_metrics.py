import pytest

from mmpartref.evaluation.dumps.dump import PredictionDump, read_dump
from mmpartref.evaluation.dumps.predictions import read_sample
from mmpartref.evaluation.scoring.iou_metrics import format_table, summarise
from mmpartref.evaluation.scoring.score_dump import score_dump, score_image


@pytest.fixture
def rows(sample_of) -> list:
    return score_image(read_sample(sample_of(1, [
        ('bird', 'head', [(0, 2, 0, 10)], [(0, 1, 0, 10)]),
        ('bird', 'foot', [(5, 7, 0, 2), (5, 7, 6, 8)], [(5, 7, 0, 2), (5, 7, 6, 8)]),
        ('fish', 'head', [(0, 2, 0, 4)], [(6, 8, 0, 2)]),
    ])))


def cells(table: str, title: str) -> list[str]:
    line = next(line for line in table.splitlines() if line.strip().startswith(title))
    return line.strip()[len(title):].split()


def test_the_table_shows_both_countings_and_the_groups_in_percent(rows):
    table = format_table(rows, note='decode aligned, threshold 0.5')
    assert table.splitlines()[0] == 'decode aligned, threshold 0.5'
    assert 'IoU > X' in table
    assert cells(table, 'per expression')[:3] == ['3', '50.00', '45.00']
    assert cells(table, 'per annotated part')[:2] == ['4', '37.50']
    assert cells(table, 'bird') == ['2', '75.00', '50.00']
    assert cells(table, 'fish') == ['1', '0.00', '0.00']
    assert 'bird foot' not in table


def test_the_table_by_part_and_inclusive(rows):
    table = format_table(rows, strict=False, by_part=True)
    assert 'IoU >= X' in table
    assert cells(table, 'bird foot') == ['1', '100.00', '100.00']
    assert cells(table, 'bird head') == ['1', '50.00', '100.00']
    assert cells(table, 'macro mean')[:1] == ['37.50']


def test_the_columns_line_up(rows):
    lines = format_table(rows, by_part=True).splitlines()
    start = next(number for number, line in enumerate(lines) if line.strip().startswith('super-category'))
    block = lines[start:start + 4]
    assert len({len(line) for line in block[:3]}) == 1


def test_nothing_to_score_is_an_error():
    with pytest.raises(ValueError, match='no annotated expression'):
        summarise([])


def test_sources_and_levels_have_separate_lines_and_an_object_is_one_annotation(sample_of, tmp_path):
    sample = sample_of(1, [
        ('bird', 'head', [(0, 2, 0, 10)], [(0, 1, 0, 10)]),
        ('bird', '', [(5, 7, 0, 2), (5, 7, 6, 8)], [(5, 7, 0, 2), (5, 7, 6, 8)]),
        ('fish', 'head', [(0, 2, 0, 4)], [(6, 8, 0, 2)]),
    ])
    plain = format_table(score_image(read_sample(sample)))
    assert 'source' not in plain
    assert 'level' not in plain
    changes = ({'source': 'A', 'position': 'left'}, {'source': 'B', 'level': 'object'}, {})
    for ref, more in zip(sample['refs'], changes, strict=True):
        ref.update(more)
    PredictionDump({}, [read_sample(sample)]).write(tmp_path / 'dump.json')
    rows = score_dump(read_dump(tmp_path / 'dump.json'))
    assert [(row.source, row.level, row.position) for row in rows] == [
        ('A', None, 'left'), ('B', 'object', None), (None, None, None)]
    summary = summarise(rows)
    assert {key: value for key, value in summary.items() if key.startswith(
            ('mIoU_level', 'mIoU_source', 'mIoU_position'))} == {
        'mIoU_position_left': 0.5, 'mIoU_position_(single)': 0.5,
        'mIoU_level_object': 1.0, 'mIoU_level_part': 0.25, 'mIoU_source_A': 0.5, 'mIoU_source_B': 1.0,
        'mIoU_source_(none)': 0.0}
    assert (summary['annotated_parts'], summary['ann_mIoU']) == (3, 0.5)
    table = format_table(rows)
    assert cells(table, 'object') == ['1', '100.00', '100.00']
    assert cells(table, 'A') == ['1', '50.00', '0.00']
    assert cells(table, '(single)') == ['2', '50.00', '50.00']

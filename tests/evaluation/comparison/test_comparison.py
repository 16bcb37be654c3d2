import csv
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from mmpartref.evaluation.comparison.compare_dumps import read_comparison
from mmpartref.evaluation.comparison.comparison_plots import draw_sizes
from mmpartref.evaluation.dumps.dump import PredictionDump, read_dump
from mmpartref.evaluation.dumps.predictions import ImagePredictions, Prediction, as_text
from mmpartref.evaluation.scoring.grouped_metrics import (
    by_instances,
    by_part,
    by_size,
    by_super_category,
    largest_groups,
)
from mmpartref.evaluation.scoring.iou_metrics import summarise
from mmpartref.evaluation.scoring.score_dump import score_dump
from mmpartref.visualization import fonts

PARTS = [('car', 'tire'), ('car', 'body'), ('bird', 'head')]
HEADER = {'config': 'configs/cris.py', 'decode': 'aligned', 'device': 'CPU', 'parameters': 5_040_000,
          'gflops_per_expression': 1.25, 'seconds_per_image': 0.125}


def box_rle(size: int, x: int, y: int, width: int, height: int) -> dict:
    mask = np.zeros((size, size), dtype=np.uint8, order='F')
    mask[y:y + height, x:x + width] = 1
    return as_text(coco_mask.encode(mask))


@pytest.fixture
def write(tmp_path) -> Callable[..., str]:
    """Write a dump of 12 images whose predictions are the truth moved by up to ``shift`` pixels."""
    def make(file: str, shift: int, seed: int = 0, **header: object) -> str:
        rng = np.random.default_rng(seed)
        images = []
        for img_id in range(12):
            expressions = []
            for number, (owner, part) in enumerate(PARTS):
                side = (8, 40, 100)[(img_id + number) % 3]
                count = 1 + img_id % 5
                boxes = [(2 * each, 3, side, side) for each in range(count)]
                moved = int(rng.integers(0, shift + 1))
                expressions.append(Prediction(
                    f'{img_id}:{number}', f'the {part} of the {owner}', part, owner, list(range(count)), 0.5,
                    box_rle(128, moved, 3, side + 2 * (count - 1), side), [box_rle(128, *box) for box in boxes]))
            images.append(ImagePredictions(img_id, f'{img_id}.jpg', (128, 128), expressions))
        path = tmp_path / file
        PredictionDump({**HEADER, **header}, images).write(path)
        return str(path)

    return make


@pytest.fixture
def compare(run_tool) -> Callable[..., str]:
    return partial(run_tool, 'compare')


# Groups.


def test_breakdowns_hold_every_expression_once(write):
    rows = score_dump(read_dump(write('a.json', 0)))
    groups = {'super': by_super_category(rows), 'part': by_part(rows), 'size': by_size(rows),
              'instances': by_instances(rows)}
    assert {name: sum(map(len, each.values())) for name, each in groups.items()} == dict.fromkeys(groups, 36)
    assert list(groups['super']) == ['bird', 'car']
    assert list(groups['part']) == ['bird head', 'car body', 'car tire']
    assert list(groups['instances']) == ['1', '2', '3', '4+']
    assert [len(each) for each in groups['instances'].values()] == [9, 9, 6, 12]
    assert list(groups['size']) == ['small', 'medium', 'large']
    # The union counts: 8 x 8 and 16 x 8 are small, 40 x 40 to 48 x 40 medium, 100 x 100 large.
    assert [len(each) for each in groups['size'].values()] == [12, 12, 12]


def test_the_borders_of_size_are_cocos(write):
    row = score_dump(read_dump(write('a.json', 0)))[0]
    areas = {1023: 'small', 1024: 'medium', 9215: 'medium', 9216: 'large'}
    for area, name in areas.items():
        assert list(by_size([replace(row, score=replace(row.score, true_area=area))])) == [name]


def test_largest_groups_stay_in_order():
    assert largest_groups({'a': [1], 'b': [1, 2], 'c': [1, 2, 3], 'd': [1, 2]}, 2) == ['b', 'c']


# Names and pairing.


def test_names_come_from_header_config_file_and_path(write, tmp_path):
    (tmp_path / 'sub').mkdir()
    files = [write('a.json', 1, name='Ours'), write('b.json', 2, config='x/y.py'), write('c.json', 3, config='z/y.py'),
             write('d.json', 3, config='', resolver='oracle'), write('sub/b.json', 1, config='y.py')]
    names = [entry.name for entry in read_comparison(files).entries]
    assert names == ['Ours', files[1], 'c', 'd (oracle)', files[4]]
    named = read_comparison(files[:2], names=['one', 'two']).entries
    assert [entry.name for entry in named] == ['one', 'two']
    with pytest.raises(ValueError, match='2 dumps but 1 names'):
        read_comparison(files[:2], names=['one'])
    with pytest.raises(ValueError, match=r'two dumps have the name .*one name for all runs of one model'):
        read_comparison([files[0], files[0]])


def test_dumps_of_one_name_are_runs_of_one_model(write):
    files = [write('a.json', 5), write('b.json', 9, 1, seconds_per_image=0.375), write('c.json', 30, 2)]
    single = read_comparison(files).entries
    one, two = read_comparison(files, names=['one', 'one', 'two']).entries
    assert (one.name, two.name, len(one.runs), len(two.runs)) == ('one', 'two', 2, 1)
    for key, value in one.summary.items():
        assert value == pytest.approx((single[0].summary[key] + single[1].summary[key]) / 2)
    # The dumps of a name need not be next to one another.
    apart = read_comparison([files[0], files[2], files[1]], names=['one', 'two', 'one'])
    assert [entry.summary for entry in apart.entries] == [one.summary, two.summary]
    assert apart.resample(resamples=10).runs == (2, 1)
    with pytest.raises(ValueError, match=r"a.json is given twice as a run of 'one'; give each dump once"):
        read_comparison([files[0], files[0]], names=['one', 'one'])
    with pytest.raises(ValueError, match=r"named 'one' differ in decode \('aligned', 'cris'\); runs of one model"):
        read_comparison([files[0], write('d.json', 3, decode='cris')], names=['one', 'one'])


def test_tables_of_runs_have_their_means(write, compare):
    files = [write('a.json', 5), write('b.json', 9, 1, seconds_per_image=0.375), write('c.json', 30, 2)]
    summaries = [summarise(score_dump(read_dump(file))) for file in files]
    shown = compare(*files, '--names', 'one', 'one', 'two', '--resamples', '40')
    (line, ) = [each for each in shown.splitlines() if each.startswith('| one ')][:1]
    cells = [each.strip() for each in line.split('|')]
    assert cells[2] == '2'
    assert cells[3].startswith(f"{50 * (summaries[0]['mIoU'] + summaries[1]['mIoU']):.2f} [")
    assert cells[-2] == '0.2500'
    sizes = shown[shown.index('### By mask size'):]
    (line, ) = [each for each in sizes.splitlines() if each.startswith('| small ')]
    assert [each.strip() for each in line.split('|')][2:4] == [
        '12', f"{50 * (summaries[0]['mIoU_small'] + summaries[1]['mIoU_small']):.2f}"]
    assert "over each model's runs (2, 1)" in shown


def changed(file: str, change: Callable[[ImagePredictions], ImagePredictions | None]) -> str:
    dump = read_dump(file)
    images = [other for image in dump.images if (other := change(image)) is not None]
    PredictionDump(dump.header, images).write(file + '.changed')
    return file + '.changed'


def test_dumps_of_other_expressions_are_rejected(write):
    file = write('a.json', 1)
    fewer = changed(file, lambda image: None if image.img_id == 3 else image)
    with pytest.raises(ValueError, match=r'lacks 3 refs of .* has 0 others, e\.g\. 3:0; compare dumps of the same'):
        read_comparison([file, fewer])
    grown = changed(file, lambda image: replace(image, expressions=[
        replace(each, truth=[box_rle(128, 0, 0, 9, 9)] * len(each.truth)) if each.ref_id == '5:1' else each
        for each in image.expressions]))
    with pytest.raises(ValueError, match=r'differ in the ground truth .* of 1 refs, e\.g\. 5:1'):
        read_comparison([file, grown])
    doubled = changed(file, lambda image: replace(image, expressions=[*image.expressions, *image.expressions]))
    with pytest.raises(ValueError, match="contains the ref '0:0' twice, in image 0; write"):
        read_comparison([doubled])
    with pytest.raises(ValueError, match='contains no expression'):
        read_comparison([changed(file, lambda image: None)])
    reworded = changed(file, lambda image: replace(image, expressions=[
        replace(each, expression='the rim') if each.ref_id == '5:1' else each for each in image.expressions]))
    with pytest.raises(ValueError, match=r"differ in the queries of 1 refs, e\.g\. 5:1: 'the rim' on the image 5 and "
                                         r"'the body of the car' on the image 5; compare models on the same"):
        read_comparison([file, reworded])
    # The same expression for all refs is a text-blind control.
    blind = changed(file, lambda image: replace(image, expressions=[replace(each, expression='part')
                                                                    for each in image.expressions]))
    read_comparison([file, blind])
    # Annotations in another order are the same truth: this does not raise.
    turned = changed(file, lambda image: replace(image, expressions=[
        replace(each, truth=each.truth[::-1], ann_ids=each.ann_ids[::-1]) for each in image.expressions]))
    read_comparison([file, turned])


# The tool.


@pytest.mark.slow
def test_a_name_that_no_font_can_draw_is_its_row(write, monkeypatch):
    monkeypatch.setattr(fonts, 'system_fonts', list)
    fonts._system_font.cache_clear()
    comparison = read_comparison([write('a.json', 2, name='good'), write('b.json', 9, name='犬')])
    figure = draw_sizes(comparison)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ['good', '#2']
    fonts._system_font.cache_clear()


def test_tables_and_plots_are_reproducible(write, compare, tmp_path):
    files = [write('good.json', 2, name='good'), write('bad.json', 30, 1, name='bad $x$', resolver='oracle'),
             write('odd.json', 10, 2, name='_odd', parameters=None)]
    out, again = tmp_path / 'out', tmp_path / 'again'
    shown = compare(*files, '--out', str(out), '--resamples', '40')
    compare(*files, '--out', str(again), '--resamples', '40')
    summary = summarise(score_dump(read_dump(files[0])))
    (line, ) = [each for each in shown.splitlines() if each.startswith('| good ')][:1]
    cells = [each.strip() for each in line.split('|')]
    assert cells[2].startswith(f"{100 * summary['mIoU']:.2f} [")
    assert cells[3:5] == [f"{100 * summary['cIoU']:.2f}", f"{100 * summary['P@0.5']:.2f}"]
    assert cells[-4:-1] == ['5.04', '1.25', '0.1250']
    assert 'bad $x$ (oracle)' in shown
    assert 'good: decode aligned; device CPU' in shown
    assert shown.count('\n### By ') == 4
    # Three models, three pairs, six metrics.
    significance = list(csv.DictReader((out / 'significance.csv').open(encoding='utf-8')))
    assert len(significance) == 18
    assert float(significance[0]['difference']) > 0
    main = list(csv.DictReader((out / 'table.csv').open(encoding='utf-8')))
    assert float(main[0]['mIoU']) == summary['mIoU']
    assert main[2]['parameters (M)'] == '-'
    breakdown = list(csv.DictReader((out / 'breakdown.csv').open(encoding='utf-8')))
    assert sum(int(each['n']) for each in breakdown if each['breakdown'] == 'part') == 3 * 36
    assert (out / 'table.md').read_text(encoding='utf-8').strip() == shown.strip()
    assert (out / 'table.tex').read_text(encoding='utf-8').count(r'\begin{tabular}') == 6
    for name in ('miou', 'precision', 'miou_by_size', 'miou_by_super_category'):
        picture = cv2.imread(str(out / f'{name}.png'))
        assert picture.shape[1] >= 1000
        assert picture.std() > 5
        assert ElementTree.parse(out / f'{name}.svg').getroot().tag.endswith('svg')
        # Drawn twice: a pixel of an edge may be rounded differently.
        assert np.abs(picture.astype(int) - cv2.imread(str(again / f'{name}.png'))).mean() < 0.01
    # The sums behind the tables are exact (see bootstrap.py), hence so are the digits; the pictures bear no date.
    tables = sorted(each.name for each in out.iterdir() if each.suffix in ('.csv', '.md', '.tex'))
    assert len(tables) == 5
    assert all((out / name).read_bytes() == (again / name).read_bytes() for name in tables)
    assert Image.open(out / 'miou.png').info == Image.open(again / 'miou.png').info


def test_inclusive_counts_the_border(tmp_path, write, compare):
    file = write('a.json', 0)
    # Half of each mask: an IoU of exactly 0.5.
    dump = read_dump(file)
    images = [replace(image, expressions=[
        replace(each, ann_ids=[1], truth=[box_rle(128, 0, 0, 8, 8)], pred=box_rle(128, 0, 0, 8, 4))
        for each in image.expressions]) for image in dump.images]
    PredictionDump(dump.header, images).write(file)
    assert ',0.5,0.0,' in compare(file, '--format', 'csv')
    assert ',0.5,1.0,' in compare(file, '--format', 'csv', '--inclusive')


def test_bad_input_is_one_sentence(write, compare, tmp_path):
    with pytest.raises(SystemExit, match=r'there is no dump .*nowhere.json'):
        compare(str(tmp_path / 'nowhere.json'))
    with pytest.raises(SystemExit, match="the header of the dump cris has parameters 'many'"):
        compare(write('a.json', 0, parameters='many'))

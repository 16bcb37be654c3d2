import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmpartref.evaluation import ReferringDump, ReferringSegMetric
from mmpartref.evaluation.dumps.dump import PredictionDump, read_dump
from mmpartref.evaluation.scoring.iou_metrics import summarise
from mmpartref.evaluation.scoring.score_dump import score_dump

ROOT = Path(__file__).parents[3]
HEADER = {'config': 'cris.py', 'checkpoint': 'epoch_1.pth', 'decode': 'aligned', 'threshold': 0.5, 'ann_file': None}


@pytest.fixture
def written(random_samples, tmp_path) -> Path:
    file = tmp_path / 'out' / 'dump.json'
    metric = ReferringDump(out_file=str(file), header=HEADER)
    for sample in random_samples[::-1]:
        metric.process({}, [sample])
    assert len(metric.results) == len(random_samples)
    assert metric.evaluate(len(random_samples)) == {}
    return file


def scores_of(samples: list[dict], **kwargs) -> dict:
    metric = ReferringSegMetric(**kwargs)
    metric.process({}, samples)
    return {name.removeprefix('refer/'): value for name, value in metric.evaluate(len(samples)).items()}


def test_a_dump_scores_exactly_as_the_metric(written, random_samples):
    assert summarise(score_dump(read_dump(written))) == scores_of(random_samples)


def test_a_dump_holds_header_names_and_masks(written, random_samples):
    dump = read_dump(written)
    assert dump.header == HEADER
    assert [image.img_id for image in dump.images] == list(range(9))
    for image, sample in zip(dump.images, random_samples, strict=True):
        assert image.img_path == sample['img_path']
        assert image.ori_shape == sample['ori_shape']
        for number, each in enumerate(image.expressions):
            ref = sample['refs'][number]
            assert (each.ref_id, each.part, each.ann_ids) == (ref['ref_id'], ref['part'], ref['ann_ids'])
            assert each.expression == sample['expressions'][number]
            assert each.score == sample['pred_scores'][number].item()
            assert np.array_equal(coco_mask.decode(each.pred), sample['pred_masks'][number].numpy())
            assert np.array_equal(coco_mask.decode(each.truth), coco_mask.decode(ref['rles']))


def test_the_header_reserves_a_hash_of_the_queries(written, tmp_path):
    header = json.loads(written.read_text())['header']
    assert (header['version'], header['queries_hash']) == (2, None)
    PredictionDump({**HEADER, 'queries_hash': 'abc'}, []).write(tmp_path / 'known.json')
    assert read_dump(tmp_path / 'known.json').header == {**HEADER, 'queries_hash': 'abc'}


def test_writing_again_gives_the_same_bytes(written, tmp_path):
    read_dump(written).write(tmp_path / 'again.json')
    assert (tmp_path / 'again.json').read_bytes() == written.read_bytes()


def test_a_failed_write_leaves_the_old_file_and_no_other(written, monkeypatch):
    before = written.read_bytes()
    dump = read_dump(written)

    def fail(*args: object) -> None:
        raise OSError('disk full')

    monkeypatch.setattr(os, 'replace', fail)
    with pytest.raises(OSError, match='disk full'):
        dump.write(written)
    assert written.read_bytes() == before
    assert [file.name for file in written.parent.iterdir()] == [written.name]


@pytest.fixture
def tool(monkeypatch) -> Callable[..., None]:
    spec = importlib.util.spec_from_file_location('evaluate', ROOT / 'tools/evaluate.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def call(*args: str) -> None:
        monkeypatch.setattr(sys, 'argv', ['evaluate.py', *args])
        module.main()
    return call


def test_the_tool_agrees_with_the_metric(tool, written, random_samples, tmp_path, capsys):
    out = tmp_path / 'scores.json'
    capsys.readouterr()
    tool(str(written), '--inclusive', '--json', str(out), '--by-part')
    assert json.loads(out.read_text()) == scores_of(random_samples, strict=False)
    printed = capsys.readouterr().out
    assert printed.startswith('config cris.py, checkpoint epoch_1.pth, decode aligned, threshold 0.5\n')
    assert 'IoU >= X' in printed
    assert 'bird head' in printed


def test_the_tool_is_strict_by_default(tool, written, random_samples, tmp_path):
    tool(str(written), '--json', str(tmp_path / 'scores.json'))
    assert json.loads((tmp_path / 'scores.json').read_text()) == scores_of(random_samples)


def test_errors_of_the_tool_are_one_sentence(tool, tmp_path):
    with pytest.raises(SystemExit, match=f'^there is no dump {tmp_path}/none.json; tools/test.py writes one'):
        tool(str(tmp_path / 'none.json'))


def edit(path: list, value: object):
    def change(content: dict) -> None:
        for step in path[:-1]:
            content = content[step]
        content[path[-1]] = value
    return change


def drop(path: list):
    def change(content: dict) -> None:
        for step in path[:-1]:
            content = content[step]
        del content[path[-1]]
    return change


FIRST = ['images', 0, 'expressions', 0]


@pytest.mark.parametrize(('change', 'message'), [
    (edit(['header', 'format'], 'other'), "its header has no format 'mmpartref-dump'"),
    (drop(['header']), "its header has no format 'mmpartref-dump'"),
    (edit(['header', 'version'], 1), 'version 1 but only version 2 can be read; make a new one by testing the model '
                                     'again with tools/test.py --dump'),
    (drop(['images']), "no list 'images'"),
    (edit(['images', 0], 3), 'image number 0 is a int'),
    (drop(['images', 1, 'ori_shape']), 'image number 1 has wrong keys .missing: ori_shape; unknown: none'),
    (edit(['images', 1, 'extra'], 1), 'image number 1 has wrong keys .missing: none; unknown: extra'),
    (edit(['images', 0, 'ori_shape'], [3]), r'\(img_id 0\): ori_shape is \[3\]'),
    (edit(['images', 0, 'ori_shape'], [10, 21]), r'expression number 0 \(ref_id 0:0\): its RLE has size \[10, 20\]'),
    (drop([*FIRST, 'score']), 'expression number 0 has wrong keys .missing: score'),
    (edit([*FIRST, 'score'], 'high'), "score is 'high'.* wrong type"),
    (edit([*FIRST, 'score'], float('nan')), 'score is nan'),
    (edit([*FIRST, 'ann_ids'], []), '0 ann_ids but'),
    (edit([*FIRST, 'pred', 'counts'], '~'), 'counts are damaged'),
    (edit([*FIRST, 'pred', 'counts'], '12'), 'add up to'),
    (edit([*FIRST, 'truth', 0], 'x'), 'not an RLE'),
])
def test_damaged_dumps_are_rejected_with_the_record(written, change, message):
    content = json.loads(written.read_text())
    change(content)
    written.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f'^{written}.*{message}'):
        read_dump(written)


def test_half_a_file_is_rejected(written):
    written.write_text(written.read_text()[:200])
    with pytest.raises(ValueError, match='not a complete json'):
        read_dump(written)


@pytest.mark.parametrize(('header', 'message'), [({'version': 3}, "sets \\['version'\\]"),
                                                 ({'masks': np.zeros(2)}, 'cannot be written as JSON')])
def test_a_header_that_cannot_be_written_is_rejected_at_once(tmp_path, header, message):
    with pytest.raises(ValueError, match=message):
        ReferringDump(out_file=str(tmp_path / 'dump.json'), header=header)
    with pytest.raises(ValueError, match=message):
        PredictionDump(header, []).write(tmp_path / 'dump.json')


def test_a_folder_as_file_is_rejected_at_once(tmp_path):
    with pytest.raises(ValueError, match='is a folder'):
        ReferringDump(out_file=str(tmp_path))

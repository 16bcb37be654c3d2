import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmpartref.errors import InputError
from mmpartref.evaluation import ReferringDump, ReferringSegMetric
from mmpartref.evaluation.dumps.dump import PredictionDump, read_dump
from mmpartref.evaluation.scoring.iou_metrics import summarise
from mmpartref.evaluation.scoring.score_dump import score_dump

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


def test_the_header_has_the_hash_of_the_queries(written, tmp_path):
    content = json.loads(written.read_text())
    assert (content['header']['version'], content['header']['queries_hash']) == (2, read_dump(written).queries_hash)
    # What the docs of the format say, by hand.
    lines = sorted(json.dumps([image['img_id'], each['ref_id'], each['expression']])
                   for image in content['images'] for each in image['expressions'])
    assert read_dump(written).queries_hash == hashlib.sha256('\n'.join(lines).encode()).hexdigest()
    with pytest.raises(InputError, match="header of a dump sets 'queries_hash', which the file format sets itself"):
        PredictionDump({**HEADER, 'queries_hash': 'abc'}, []).write(tmp_path / 'own.json')
    # Dumps of earlier versions have no hash.
    content['header']['queries_hash'] = None
    written.write_text(json.dumps(content))
    assert read_dump(written).header == HEADER


def test_expressions_that_were_changed_later_are_noticed(written):
    content = json.loads(written.read_text())
    content['images'][2]['expressions'][0]['expression'] = 'another'
    written.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r'its queries_hash is .* but that of its expressions .* they were changed'):
        read_dump(written)


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


def test_the_tool_agrees_with_the_metric(run_tool, written, random_samples, tmp_path):
    out = tmp_path / 'scores.json'
    printed = run_tool('evaluate', written, '--inclusive', '--json', out, '--by-part')
    assert json.loads(out.read_text()) == scores_of(random_samples, strict=False)
    assert printed.startswith('config cris.py, checkpoint epoch_1.pth, decode aligned, threshold 0.5\n')
    assert 'IoU >= X' in printed
    assert 'bird head' in printed


def test_the_tool_is_strict_by_default(run_tool, written, random_samples, tmp_path):
    run_tool('evaluate', written, '--json', tmp_path / 'scores.json')
    assert json.loads((tmp_path / 'scores.json').read_text()) == scores_of(random_samples)


def test_errors_of_the_tool_are_one_sentence(run_tool, tmp_path):
    with pytest.raises(SystemExit, match=f'^there is no dump {tmp_path}/none.json; make one with tools/test.py --dump'):
        run_tool('evaluate', tmp_path / 'none.json')


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
    (edit(['header', 'version'], 1), 'version 1 but only version 2 can be read; make a new one with tools/test.py'),
    (drop(['images']), "should have the header and a list 'images'"),
    (edit(['more'], 1), "should have the header and a list 'images', and nothing else"),
    (edit(['header', 'version'], True), 'version True but'),
    (edit(['header', 'version'], 2.0), 'version 2.0 but'),
    (edit(['header', 'config'], {'a': 1}), r"header: 'config' is {'a': 1}, not a string or a finite number"),
    (edit(['header', 'threshold'], float('inf')), "header: 'threshold' is inf, not a string or a finite number"),
    (edit(['header', 'seconds'], 10**400), "header: 'seconds' is 1000.*000, not a string or a finite number"),
    (edit(['images', 0], 3), 'image number 0 is a int'),
    (drop(['images', 1, 'ori_shape']), 'image number 1 has wrong keys .missing: ori_shape; unknown: none'),
    (edit(['images', 1, 'extra'], 1), 'image number 1 has wrong keys .missing: none; unknown: extra'),
    (edit(['images', 0, 'ori_shape'], [3]), r'\(img_id 0\): ori_shape is \[3\]'),
    (edit(['images', 0, 'ori_shape'], [10, 21]), r'expression number 0 \(ref_id 0:0\): its RLE has size \[10, 20\]'),
    (drop([*FIRST, 'score']), 'expression number 0 has wrong keys .missing: score'),
    (edit([*FIRST, 'score'], 'high'), "score is 'high'.* wrong type"),
    (edit(['images', 0, 'ori_shape'], [True, 20]), r'ori_shape is \[True, 20\]'),
    (edit(['images', 0, 'ori_shape'], [10, 10**9]), r'ori_shape is \[10, 1000000000\]'),
    (edit([*FIRST, 'score'], float('nan')), 'score is nan'),
    (edit([*FIRST, 'score'], 10**400), 'score is 1000.*000, not a finite number'),
    (edit([*FIRST, 'score'], True), 'score is True, which has the wrong type'),
    (edit([*FIRST, 'presence'], 10**400), 'presence is 1000.*000, not a number from 0 to 1'),
    (edit([*FIRST, 'ann_ids', 0], True), r'ann_ids is \[True.*\], not a list of integers'),
    (edit([*FIRST, 'expression'], 'a\ud800'), 'expression .* contains half a character'),
    (edit([*FIRST, 'truncated'], 3), 'truncated is 3, which has the wrong type'),
    (edit(['images', 1, 'img_id'], 0), 'contains the image 0 twice'),
    (edit(['images', 1, 'expressions', 0, 'ref_id'], '0:0'), "contains the ref '0:0' twice, in image 0 and 1; "),
    (lambda content: content['images'][0]['expressions'].append(content['images'][0]['expressions'][0]),
     "contains the ref '0:0' twice, in image 0; write the"),
    (edit([*FIRST, 'ann_ids'], []), '0 ann_ids but'),
    (edit([*FIRST, 'pred', 'counts'], '~'), 'counts are damaged'),
    (edit([*FIRST, 'pred', 'counts'], '12'), 'add up to'),
    (edit([*FIRST, 'truth', 0], 'x'), 'not an RLE'),
])
def test_damaged_dumps_are_rejected_with_the_record(written, change, message):
    content = json.loads(written.read_text())
    change(content)
    written.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f'^{written}.*{message}') as caught:
        read_dump(written)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(('tool', 'options'), [('evaluate', ()), ('diagnose', ()), ('calibrate_presence', ()),
                                               ('compare', ('--out', 'out')), ('gallery', ('--out', 'out'))])
def test_repeated_images_are_rejected_by_every_tool(run_tool, written, tool, options, capsys):
    """The first four images appended again were scored as 94 of 61 expressions."""
    content = json.loads(written.read_text())
    content['images'] += content['images'][:4]
    written.write_text(json.dumps(content))
    with pytest.raises(SystemExit) as ended:
        run_tool(tool, written, *options)
    assert f'{written} contains the image 0 twice' in f'{ended.value.code} {capsys.readouterr().err}'


@pytest.mark.parametrize('depth', [10, 900, 3000, 100_000])
@pytest.mark.parametrize('place', ['"config": ', '"expressions": '])
def test_nested_values_are_rejected(written, place, depth):
    content = written.read_text()
    start = content.index(place) + len(place)
    written.write_text(content[:start] + '[' * depth + ']' * depth + ', "x": ' + content[start:])
    with pytest.raises(InputError, match=f'{written}.*(nested too deeply|not a string or|wrong keys)'):
        read_dump(written)


@pytest.mark.parametrize('key', ['"header"', '"version"', '"img_id"', '"score"', '"counts"'])
def test_a_key_twice_is_rejected(written, key):
    written.write_text(written.read_text().replace(f'{key}:', f'{key}: 1, {key}:', 1))
    with pytest.raises(InputError, match=f"{written} has a record with the key '{key[1:-1]}' twice"):
        read_dump(written)


def test_an_image_evaluated_expression_by_expression_is_one_image_of_the_dump(written, random_samples, tmp_path):
    """As ``group_by='expression'`` gives it."""
    metric = ReferringDump(out_file=str(tmp_path / 'single.json'), header=HEADER)
    of_expressions = ('refs', 'expressions', 'pred_masks', 'pred_scores')
    for sample in random_samples:
        for number in range(len(sample['refs'])):
            metric.process({}, [{key: value[number:number + 1] if key in of_expressions else value
                                 for key, value in sample.items()}])
    metric.evaluate(len(metric.results))
    assert (tmp_path / 'single.json').read_bytes() == written.read_bytes()


def test_an_expression_evaluated_twice_is_not_written(random_samples, tmp_path):
    metric = ReferringDump(out_file=str(tmp_path / 'dump.json'))
    metric.process({}, random_samples + random_samples[:1])
    with pytest.raises(InputError, match="the evaluated dataset contains the ref '0:0' twice, in image 0"):
        metric.evaluate(len(metric.results))
    assert not (tmp_path / 'dump.json').exists()
    random_samples[1]['img_id'] = 0
    metric = ReferringDump(out_file=str(tmp_path / 'dump.json'))
    metric.process({}, random_samples)
    with pytest.raises(InputError, match=r'two images have the id 0, images/0.jpg and images/1.jpg'):
        metric.evaluate(len(metric.results))


def test_the_words_that_the_model_did_not_see_are_scored_and_shown_alike(run_tool, random_samples, tmp_path):
    random_samples[0]['truncated'] = ['head', *[''] * (len(random_samples[0]['refs']) - 1)]
    metric = ReferringDump(out_file=str(tmp_path / 'dump.json'))
    metric.process({}, random_samples)
    metric.evaluate(len(random_samples))
    printed = run_tool('evaluate', tmp_path / 'dump.json', '--json', tmp_path / 'scores.json')
    scores = json.loads((tmp_path / 'scores.json').read_text())
    assert scores == scores_of(random_samples)
    assert scores['truncated_expressions'] == 1
    assert "without 'head'; raise the text encoder's word_length" in printed


def test_half_a_file_is_rejected(written):
    written.write_text(written.read_text()[:200])
    with pytest.raises(ValueError, match='not a complete json'):
        read_dump(written)


@pytest.mark.parametrize(('header', 'message'), [({'version': 3}, "sets \\['version'\\]"),
                                                 ({'masks': np.zeros(2)}, 'not a string or a finite number'),
                                                 ({'seconds': float('nan')}, 'not a string or a finite number')])
def test_a_header_that_cannot_be_written_is_rejected_at_once(tmp_path, header, message):
    with pytest.raises(ValueError, match=message):
        ReferringDump(out_file=str(tmp_path / 'dump.json'), header=header)
    with pytest.raises(ValueError, match=message):
        PredictionDump(header, []).write(tmp_path / 'dump.json')


def test_a_folder_as_file_is_rejected_at_once(tmp_path):
    with pytest.raises(ValueError, match='is a folder'):
        ReferringDump(out_file=str(tmp_path))

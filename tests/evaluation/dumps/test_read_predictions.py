"""Masks of another program: the same dump from each form, faults counted or named."""
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from mmpartref.errors import InputError
from mmpartref.evaluation.dumps.dump import read_dump
from mmpartref.evaluation.dumps.queries import Query, QuerySet, read_queries
from mmpartref.evaluation.dumps.query_index import QueryIndex
from mmpartref.evaluation.dumps.read_predictions import dump_predictions
from mmpartref.evaluation.scoring.iou_metrics import summarise
from mmpartref.evaluation.scoring.score_dump import score_dump
from mmpartref.masks.iou import encode_masks

# The annotation's rows and columns by (image id, category id): two wheels in the first image.
BOXES = {(1, 1): [(0, 2, 0, 4), (4, 6, 0, 4)], (1, 2): [(0, 6, 4, 8)], (2, 1): [(1, 3, 1, 5)]}
SIZES = {1: (6, 8), 2: (4, 10)}
EXPRESSIONS = {(1, 1): 'car wheel', (1, 2): 'car door', (2, 1): 'car wheel'}


def box_mask(img_id: int, boxes: list[tuple[int, int, int, int]]) -> np.ndarray:
    mask = np.zeros(SIZES[img_id], dtype=bool)
    for y0, y1, x0, x1 in boxes:
        mask[y0:y1, x0:x1] = True
    return mask


def rle(img_id: int, *boxes: tuple[int, int, int, int]) -> dict:
    return encode_masks(box_mask(img_id, list(boxes))[None])[0]


@pytest.fixture
def ann_file(tmp_path) -> Path:
    annotations = [{'id': 10 * img_id + category_id + 100 * number, 'image_id': img_id, 'category_id': category_id,
                    'segmentation': rle(img_id, box)}
                   for (img_id, category_id), boxes in BOXES.items() for number, box in enumerate(boxes)]
    document = {'images': [{'id': img_id, 'file_name': f'{"ab"[img_id - 1]}.jpg', 'height': height, 'width': width}
                           for img_id, (height, width) in SIZES.items()],
                'categories': [{'id': 1, 'name': 'wheel', 'supercategory': 'car'},
                               {'id': 2, 'name': 'door', 'supercategory': 'car'}], 'annotations': annotations}
    path = tmp_path / 'parts.json'
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
def index(ann_file) -> QueryIndex:
    return QueryIndex(ann_file)


# Half of each part.
HALVES: dict[tuple[int, int], dict] = {(1, 1): rle(1, (0, 2, 0, 4)), (1, 2): rle(1, (0, 3, 4, 8)),
                                       (2, 1): rle(2, (1, 3, 1, 3))}
# Each form: how a prediction of (image id, category id) is written.
FORMS = {
    'coco.json': lambda key, mask: {'image_id': key[0], 'category_id': key[1], 'segmentation': mask, 'score': 0.5,
                                    'bbox': [0, 0, 1, 1]},
    'refs.json': lambda key, mask: {'image_id': key[0], 'ref_id': f'{key[0]}:{key[1]}', 'segmentation': mask,
                                    'score': 0.5},
    'lines.jsonl': lambda key, mask: {'image': f'{"ab"[key[0] - 1]}.jpg', 'expression': f' {EXPRESSIONS[key].upper()}',
                                      'mask': mask, 'score': 0.5},
    'only_refs.jsonl': lambda key, mask: {'ref_id': f'{key[0]}:{key[1]}', 'mask': mask, 'score': 0.5},
}


def write(path: Path, records: list[Any]) -> Path:
    path.write_text('\n'.join(map(json.dumps, records)) if path.suffix == '.jsonl' else json.dumps(records))
    return path


def write_masks(folder: Path, pattern: str = '{0}/{0}_{1}.png', value: int = 255) -> Path:
    for key, mask in HALVES.items():
        path = folder / pattern.format(*key)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(coco_mask.decode(mask) * np.uint8(value)).save(path)
    return folder


def masks_of(dump) -> dict:
    return {each.ref_id: each.pred for image in dump.images for each in image.expressions}


@pytest.mark.parametrize('form', FORMS)
def test_each_form_gives_the_same_masks(index, tmp_path, form):
    file = write(tmp_path / form, [FORMS[form](key, mask) for key, mask in HALVES.items()])
    dump, report = dump_predictions(file, index)
    assert masks_of(dump) == {'1:1': HALVES[1, 1], '1:2': HALVES[1, 2], '2:1': HALVES[2, 1]}
    assert [each.score for image in dump.images for each in image.expressions] == [0.5] * 3
    assert report == '3 of 3 queries have a prediction'
    # By hand: each mask is half of its part.
    assert summarise(score_dump(dump))['mIoU'] == 0.5
    assert dump.header == {'name': file.stem, 'predictions': form, 'ann_file': 'parts.json', 'missing_predictions': 0,
                           'double_predictions': 0, 'extra_predictions': 0}


@pytest.mark.parametrize(('pattern', 'own'), [
    ('{img_id}/{ref_id}.png', '{0}/{0}_{1}.png'), ('{image}-{part}.png', None), ('{image}/{expression}.png', None)])
@pytest.mark.parametrize('value', [1, 255])
def test_a_folder_of_masks_gives_them_too(index, tmp_path, pattern, own, value):
    folder = tmp_path / 'masks'
    if own is None:
        for key, mask in HALVES.items():
            part = EXPRESSIONS[key].split()[1]
            own_path = folder / pattern.format(image='ab'[key[0] - 1], part=part, expression=f'car_{part}')
            own_path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(coco_mask.decode(mask) * np.uint8(value)).save(own_path)
    else:
        write_masks(folder, own, value)
    dump, report = dump_predictions(folder, index, pattern=pattern)
    assert masks_of(dump) == {'1:1': HALVES[1, 1], '1:2': HALVES[1, 2], '2:1': HALVES[2, 1]}
    assert report == '3 of 3 queries have a prediction'
    assert all(each.candidates is None for image in dump.images for each in image.expressions)


def test_missing_double_and_extra_predictions_are_counted_and_named(index, tmp_path):
    form = FORMS['coco.json']
    records = [form((1, 1), HALVES[1, 1]), form((1, 1), HALVES[1, 1]), form((2, 1), HALVES[2, 1]),
               form((2, 2), HALVES[2, 1]), form((9, 1), HALVES[2, 1])]
    dump, report = dump_predictions(write(tmp_path / 'x.json', records), index)
    assert report == (
        '2 of 3 queries have a prediction; 1 without, scored as empty masks (e.g. 1:2); '
        '1 double, counted once (e.g. image 1, category_id 1); '
        '2 of no query, ignored (e.g. image 2, category_id 2; image 9, category_id 1)')
    assert [dump.header[f'{kind}_predictions'] for kind in ('missing', 'double', 'extra')] == [1, 1, 2]
    assert summarise(score_dump(dump))['mIoU'] == pytest.approx(1 / 3)


def test_several_masks_of_an_expression_need_a_rule(index, tmp_path):
    form = FORMS['coco.json']
    wheels = [rle(1, box) for box in BOXES[1, 1]]
    records = [{**form((1, 1), wheels[0]), 'score': 0.3}, {**form((1, 1), wheels[1]), 'score': 0.9},
               {**form((1, 1), rle(1, (0, 6, 0, 8))), 'score': 0.1}]
    file = write(tmp_path / 'x.json', records)
    with pytest.raises(InputError, match=r'several masks for 1 expressions, e\.g\. 1:1; choose with --rule: union'):
        dump_predictions(file, index)
    expected = {('union', None): rle(1, (0, 6, 0, 8)), ('union', 0.2): rle(1, *BOXES[1, 1]), ('top1', None): wheels[1],
                ('top1', 0.95): rle(1)}
    for (rule, threshold), mask in expected.items():
        dump, _ = dump_predictions(file, index, rule=rule, score_threshold=threshold)
        assert masks_of(dump)['1:1'] == mask
        assert (dump.header['rule'], dump.header.get('score_threshold')) == (rule, threshold)
    scores = [each.score for each in dump.images[0].expressions[0].candidates]
    assert scores == [0.9, 0.3, 0.1]


def test_queries_choose_what_is_scored_and_reword_it(ann_file, tmp_path):
    queries = QuerySet([Query(1, 'a.jpg', 'mine', 'a rim', 'wheel', 'car', [111]),
                        Query(2, 'b.jpg', 'other', 'nothing', 'door', 'car', [], absent='other')])
    index = QueryIndex(ann_file, queries)
    lines = [{'image': 1, 'expression': 'a rim', 'mask': rle(1, (4, 6, 0, 4))},
             {'image': 2, 'expression': 'nothing', 'mask': {'size': [4, 10], 'counts': [40]}}]
    dump, report = dump_predictions(write(tmp_path / 'x.jsonl', lines), index)
    assert summarise(score_dump(dump))['mIoU'] == 1
    assert dump.queries_hash == queries.hash
    assert report == '2 of 2 queries have a prediction'
    # A category's masks are of the ref of that category, present or absent.
    results = [{'image_id': 2, 'category_id': 2, 'segmentation': rle(2, (0, 1, 0, 1)), 'score': 1}]
    dump, _ = dump_predictions(write(tmp_path / 'x.json', results), index)
    assert masks_of(dump)['other'] == rle(2, (0, 1, 0, 1))
    with pytest.raises(InputError, match=r'has no annotation 5 of the image 1, which the query mine names'):
        QueryIndex(ann_file, QuerySet([Query(1, 'a.jpg', 'mine', 'a rim', 'wheel', 'car', [5])]))
    with pytest.raises(InputError, match=r'has no annotation 21 of the image 1'):
        QueryIndex(ann_file, QuerySet([Query(1, 'a.jpg', 'mine', 'a rim', 'wheel', 'car', [21])]))
    with pytest.raises(InputError, match=r'has no image 3, which the query mine names'):
        QueryIndex(ann_file, QuerySet([Query(3, 'a.jpg', 'mine', 'a rim', 'wheel', 'car', [5])]))


def changed(**more: Any) -> dict:
    record = {**FORMS['coco.json']((1, 1), HALVES[1, 1]), **more}
    return {key: value for key, value in record.items() if value is not None}


@pytest.mark.parametrize(('name', 'record', 'message'), [
    ('x.json', changed(segmentation=None), r"result number 0 has no 'segmentation'; write an RLE"),
    ('x.json', changed(segmentation=rle(2, (0, 1, 0, 1))), r'result number 0: its RLE has size \[4, 10\] but the'),
    ('x.json', changed(segmentation={'size': [6, 8], 'counts': [3]}), 'its RLE counts add up to 3 pixels'),
    ('x.json', changed(segmentation='abc'), 'its segmentation is a str; write polygons or an RLE'),
    ('x.json', changed(category_id=None), "needs 'image_id' and 'ref_id' or 'category_id'"),
    ('x.json', changed(category_id='1'), "category_id is '1', which has the wrong type"),
    ('x.json', changed(image_id=True), 'image_id is True, which has the wrong type'),
    ('x.json', changed(score='0.5'), "score is '0.5', which has the wrong type"),
    ('x.json', changed(score=10**400), 'score is 1000.*, not a finite number'),
    ('x.json', [1], 'result number 0 is a list, not an object with image_id'),
    ('x.jsonl', {'image': 1, 'mask': rle(1)}, "line 1 needs 'image' and 'ref_id' or 'expression'"),
    ('x.jsonl', {'image': 1, 'expression': 'car wheel'}, "line 1 has no 'mask'"),
    ('x.jsonl', {'expression': 'car wheel', 'mask': rle(1)}, "line 1 needs 'image'"),
    ('x.jsonl', {'image': 7, 'expression': 'car wheel', 'mask': rle(1)}, r'no prediction of .* is of one of the 3'),
    ('x.jsonl', {'image': 2, 'ref_id': '1:1', 'mask': rle(1)}, r'no prediction of .* is of one of the 3 queries'),
])
def test_wrong_records_are_named(index, tmp_path, name, record, message):
    with pytest.raises(InputError, match=message):
        dump_predictions(write(tmp_path / name, [record]), index)


def test_other_wrong_files_are_named(index, tmp_path):
    (tmp_path / 'x.jsonl').write_text('{"image": 1,\n')
    with pytest.raises(InputError, match=r'x.jsonl, line 1 is not a complete json'):
        dump_predictions(tmp_path / 'x.jsonl', index)
    with pytest.raises(InputError, match='should be a list of COCO results with image_id'):
        dump_predictions(write(tmp_path / 'x.json', {'a': 1}), index)
    with pytest.raises(InputError, match=r'is a COCO json with its own images and categories, whose ids are not those'):
        dump_predictions(write(tmp_path / 'x.json', {'annotations': [changed()], 'images': []}), index)
    several = [changed(score=None), changed(score=None, segmentation=rle(1, (0, 1, 0, 1)))]
    with pytest.raises(InputError, match='has no scores by which the best of several masks is chosen'):
        dump_predictions(write(tmp_path / 'x.json', several), index, rule='top1')
    with pytest.raises(InputError, match=r'no prediction of .* is of one of the 3 queries'):
        dump_predictions(write(tmp_path / 'x.json', []), index)
    with pytest.raises(InputError, match=r'result number 1 has no score, unlike the ones before'):
        dump_predictions(write(tmp_path / 'x.json', [changed(), changed(category_id=2, score=None)]), index)
    with pytest.raises(FileNotFoundError, match='there are no predictions'):
        dump_predictions(tmp_path / 'none', index)
    (tmp_path / 'x.txt').write_text('')
    with pytest.raises(InputError, match=r'should be a folder or end in \.json'):
        dump_predictions(tmp_path / 'x.txt', index)
    without = [changed(score=None)]
    with pytest.raises(InputError, match='has no scores to compare with --score-threshold'):
        dump_predictions(write(tmp_path / 'x.json', without), index, score_threshold=0.5)


def test_wrong_masks_and_patterns_are_named(index, tmp_path):
    folder = write_masks(tmp_path / 'masks')
    with pytest.raises(InputError, match=r"pattern '\{img_id\}\.png' gives .*1\.png for 1:1 and 1:2; add a field"):
        dump_predictions(folder, index, pattern='{img_id}.png')
    for pattern in ('{nothing}.png', '{', '{img_id.x}', '{0}', '{}', '{ref_id:>9999999999}', '{ref_id!r}'):
        with pytest.raises(InputError, match=r'cannot be used; its fields are \{expression\}, \{image\}'):
            dump_predictions(folder, index, pattern=pattern)
    for pattern in ('../masks/{img_id}/{ref_id}.png', '/x/{ref_id}.png'):
        with pytest.raises(InputError, match='which is not below the folder; change it'):
            dump_predictions(folder, index, pattern=pattern)
    with pytest.raises(InputError, match='gives a name of more than 255 bytes for 1:1'):
        dump_predictions(folder, index, pattern='{ref_id}' + 'x' * 255)
    file = folder / '1/1_1.png'
    for image, message in ((Image.new('L', (6, 8)), r'is 8 x 6 pixels \(height x width\) but its image 6 x 8'),
                           (Image.new('RGB', (8, 6), (0, 0, 255)), 'is not a mask: it has colours'),
                           (Image.new('L', (8, 6), 128), 'has the value 128; masks have 0 and 255, or 0 and 1')):
        image.save(file)
        with pytest.raises(InputError, match=message):
            dump_predictions(folder, index)
    file.write_bytes(b'no image')
    with pytest.raises(InputError, match=r'1_1\.png'):
        dump_predictions(folder, index)
    Image.new('L', (8, 6)).save(file)
    content = file.read_bytes()
    short = zlib.compress(b'\0' * 9 * 2)
    chunk = b'IDAT' + short
    start, end = content.index(b'IDAT') - 4, content.index(b'IEND') - 4
    file.write_bytes(content[:start] + len(short).to_bytes(4, 'big') + chunk + zlib.crc32(chunk).to_bytes(4, 'big')
                     + content[end:])
    with pytest.raises(InputError, match='fewer than its 6 rows'):
        dump_predictions(folder, index)
    file.unlink()
    (folder / 'more.png').write_bytes(b'')
    dump, report = dump_predictions(folder, index)
    assert report == (f'2 of 3 queries have a prediction; 1 without, scored as empty masks (e.g. 1:1); '
                      f'1 of no query, ignored (e.g. {folder}/more.png)')
    assert dump.header['missing_predictions'] == dump.header['extra_predictions'] == 1


def test_names_of_two_images_are_rejected(ann_file, tmp_path):
    document = json.loads(ann_file.read_text())
    document['images'][0]['file_name'], document['images'][1]['file_name'] = 'x/a.jpg', 'y/a.jpg'
    ann_file.write_text(json.dumps(document))
    index = QueryIndex(ann_file)
    line = {'image': 'a.jpg', 'expression': 'car wheel', 'mask': rle(1)}
    with pytest.raises(InputError, match=r'a\.jpg is the name of 2 images of .*parts\.json, e\.g\. 1 and 2; give'):
        dump_predictions(write(tmp_path / 'x.jsonl', [line]), index)
    dump, _ = dump_predictions(write(tmp_path / 'x.jsonl', [{**line, 'image': 'x/a'}]), index)
    assert dump.header['missing_predictions'] == 2


# The tool.


def test_the_tool_scores_predictions_and_writes_a_dump(run_tool, ann_file, tmp_path):
    file = write(tmp_path / 'x.json', [FORMS['coco.json'](key, mask) for key, mask in HALVES.items()])
    out, scores = tmp_path / 'dump.json', tmp_path / 'scores.json'
    printed = run_tool('evaluate', '--predictions', file, '--ann-file', ann_file, '--out', out, '--json', scores)
    dump = read_dump(out)
    assert printed.startswith(f'3 of 3 queries have a prediction\nqueries {dump.queries_hash}\n'
                              'name x, predictions x.json, ann_file parts.json')
    assert json.loads(scores.read_text())['mIoU'] == 0.5
    # The dump is like any other.
    assert run_tool('evaluate', out).splitlines() == printed.splitlines()[2:]
    assert '0.5' in run_tool('evaluate', '--predictions', file, '--ann-file', ann_file, '--sweep')


def test_the_tool_checks_the_queries(run_tool, ann_file, tmp_path):
    file = write(tmp_path / 'x.json', [FORMS['coco.json'](key, mask) for key, mask in HALVES.items()])
    out, own = tmp_path / 'dump.json', tmp_path / 'q.json'
    run_tool('evaluate', '--predictions', file, '--ann-file', ann_file, '--out', out)
    QuerySet([Query(1, 'a.jpg', '1:1', 'car wheel', 'wheel', 'car', [11, 111])]).write(own)
    with pytest.raises(SystemExit, match=r"dump.json lacks 0 refs of .*q.json and has 2 others, e\.g\. 1:2 \('car d"):
        run_tool('evaluate', out, '--queries', own)
    printed = run_tool('evaluate', '--predictions', file, '--ann-file', ann_file, '--queries', own)
    assert printed.startswith('1 of 1 queries have a prediction; 2 of no query, ignored')
    assert f'queries {read_queries(own).hash}' in printed


@pytest.mark.parametrize(('arguments', 'message'), [
    ([], 'give either a dump or --predictions'),
    (['dump.json', '--predictions', 'x.json', '--ann-file', 'y.json'], 'give either a dump or --predictions'),
    (['--predictions', 'x.json'], '--predictions needs --ann-file'),
    (['dump.json', '--ann-file', 'y.json'], '--ann-file needs --predictions'),
    (['dump.json', '--pattern', '{ref_id}.png'], '--pattern needs --predictions'),
    (['dump.json', '--score-threshold', '0'], '--score-threshold needs --predictions'),
    (['--predictions', 'x.json', '--ann-file', 'y.json', '--threshold', '0.5'], 'use --score-threshold'),
    (['--predictions', 'x.json', '--ann-file', 'y.json', '--sweep', '--out', 'z.json'], 'remove one of them'),
    (['--predictions', 'x.json', '--ann-file', 'y.json', '--sweep', '--score-threshold', '0'], 'remove --score-thresh'),
    (['--predictions', 'x.json', '--ann-file', 'y.json', '--pattern', '{ref_id}.png'], '--pattern is for a folder'),
    (['--predictions', 'x.json', '--ann-file', 'y.json', '--out', 'y.json'], 'is an input (--ann-file)'),
    (['--predictions', 'x.json', '--ann-file', 'y.json', '--json', 'x.json'], 'is an input (--predictions)'),
    (['x.json', '--object', 'given', '--object-ann', 'o.json', '--json', 'o.json'], 'is an input (--object-ann)'),
    (['--predictions', '.', '--ann-file', 'y.json', '--out', 'new.json'], 'new.json is in the folder ., which is read'),
])
def test_options_that_do_not_go_together(run_tool, capsys, arguments, message):
    with pytest.raises(SystemExit):
        run_tool('evaluate', *arguments)
    assert message in capsys.readouterr().err

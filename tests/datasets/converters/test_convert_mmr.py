"""MMR: questions with targets that are parts, objects or both."""
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmpartref.datasets import PartReferDataset
from mmpartref.datasets.converters import convert_mmr
from mmpartref.datasets.converters.standard_json import write_documents

SIZE = (6, 8)


def target(name: str, rows: slice, columns: slice) -> dict[str, Any]:
    pixels = np.zeros(SIZE, np.uint8, order='F')
    pixels[rows, columns] = 1
    rle = coco_mask.encode(pixels)
    return {'bbox': coco_mask.toBbox(rle).tolist(), 'image_id': 9, 'category_name': name, 'category_id': 402,
            'sorted_category_id': 1, 'segmentation': {'size': list(SIZE), 'counts': rle['counts'].decode()}}


LEFT, RIGHT = (target('cup:handle', slice(0, 2), columns) for columns in (slice(0, 2), slice(4, 7)))
CUP, NOTHING = target('cup', slice(0, 6), slice(0, 3)), target('cup', slice(0, 0), slice(0, 0))


@pytest.fixture
def records() -> list[dict[str, Any]]:
    """Two images in the format of the README of jdg900/MMR, as ``ValDataset`` (``utils/dataset.py``) reads it.

    ``answers`` has a list of targets for each of ``questions``.
    """
    first = {'file_name': 'train2017/000000000009.jpg', 'height': 6, 'width': 8, 'image_id': 9,
             'not_exhaustive_category_ids': [], 'neg_category_ids': [3], 'annotations': [],
             'coco_url': 'http://images.cocodataset.org/train2017/000000000009.jpg',
             'questions': ['Where would I hold both?', 'Where would I hold the left one?', 'What do I drink from?',
                           'What holds tea, and where is it held?'],
             'answers': [[LEFT, RIGHT], [LEFT], [CUP], [CUP, LEFT]],
             'text_answers': ['{seg} and {seg}.', '{seg}.', '{seg}.', '{seg} and {seg}.'], 'raw_answers': [''] * 4}
    second = {**first, 'file_name': 'val2017/000000000010.jpg', 'image_id': 10, 'questions': ['What is held?'],
              'answers': [[target('bow_(weapon):grip', slice(1, 3), slice(1, 3))]], 'text_answers': ['{seg}.']}
    return json.loads(json.dumps([first, second]))  # without shared targets


def convert(folder: Path, records: object, **options: Any) -> tuple[dict, list[str]]:
    (folder / 'MMR_val.json').write_text(json.dumps(records))
    return convert_mmr(folder / 'MMR_val.json', **options)


def test_questions_share_the_masks_of_their_targets(tmp_path: Path, records: list) -> None:
    documents, lines = convert(tmp_path, records)
    assert lines == [
        '5 questions, but 8,194 are published', '2 images, 2 of them with questions that are written',
        'questions: 5 read, 5 written; dropped: 0 blank, 0 without a target, 0 with empty masks only, 0 with an object '
        'as target',
        'questions by their targets: 1 objects and parts, 1 one object, 2 one part, 1 several parts',
        'targets of these: 7 read, 7 written; dropped: 0 with an empty mask, 0 twice in a question; 4 distinct masks']
    path, = write_documents(documents, tmp_path / 'out')
    assert path.name == 'MMR_val.json'
    dataset = PartReferDataset(ann_file=str(path))
    assert [(ref['ref_id'], ref['ann_ids'], ref['source'], ref.get('level'), ref['super_category'], ref['part'])
            for index in range(2) for ref in dataset.get_data_info(index)['refs']] == [
        ('0:0', [1, 2], 'MMR several parts', None, 'cup', 'handle'),
        ('0:1', [1], 'MMR one part', None, 'cup', 'handle'),
        ('0:2', [3], 'MMR one object', 'object', 'cup', ''),
        ('0:3', [3, 1], 'MMR objects and parts', None, '', ''),
        ('1:0', [4], 'MMR one part', None, 'bow', 'grip')]
    assert [each['name'] for each in documents['MMR_val']['categories']] == ['bow_(weapon):grip', 'cup', 'cup:handle']
    assert [each['area'] for each in json.loads(path.read_text())['annotations']] == [4, 6, 18, 4]


def test_only_questions_for_parts(tmp_path: Path, records: list) -> None:
    documents, lines = convert(tmp_path, records, targets='part')
    document = documents['MMR_val_parts']
    assert [each['id'] for each in document['referring']] == ['0:0', '0:1', '1:0']
    assert (len(document['annotations']), [each['name'] for each in document['categories']]) == (
        3, ['bow_(weapon):grip', 'cup:handle'])
    assert lines[2].endswith('3 written; dropped: 0 blank, 0 without a target, 0 with empty masks only, 2 with an '
                             'object as target')
    with pytest.raises(ValueError, match="targets='object' is unknown"):
        convert(tmp_path, records, targets='object')


def test_what_cannot_be_used_is_dropped_and_counted(tmp_path: Path, records: list) -> None:
    records[0].update(questions=['Which?', ' ', 'What?', 'Nothing?'],
                      answers=[[LEFT, LEFT, NOTHING], [LEFT], [], [NOTHING]])
    del records[1]
    documents, lines = convert(tmp_path, records)
    assert lines[2:] == [
        'questions: 4 read, 1 written; dropped: 1 blank, 1 without a target, 1 with empty masks only, 0 with an object '
        'as target', 'questions by their targets: 1 one part',
        'targets of these: 3 read, 1 written; dropped: 1 with an empty mask, 1 twice in a question; 1 distinct masks']
    assert documents['MMR_val']['referring'] == [
        {'id': '0:0', 'image_id': 9, 'ann_ids': [1], 'expressions': ['Which?'], 'source': 'MMR one part'}]


@pytest.mark.parametrize(('change', 'message'), [
    (lambda r: r[0].update(answers=[[LEFT]]), 'record 0 has 4 questions, but 1 answers'),
    (lambda r: r[0].update(answers=[LEFT] * 4), r'record 0, answers\[0\] is not a list'),
    (lambda r: r[0]['questions'].__setitem__(1, 5), r'answers\[1\] is not a list with a question that is a text'),
    (lambda r: r[0]['answers'][1][0].update(category_name='cup:'), r"answers\[1\]\[0\]: 'category_name' is 'cup:'"),
    (lambda r: r[0]['answers'][1][0].update(category_name=':handle'), "'category_name' is ':handle', not like 'cup'"),
    (lambda r: r[0]['answers'][1][0]['segmentation'].update(size=[8, 6]), r'answers\[1\]\[0\]: its RLE has size'),
    (lambda r: r[0]['answers'][1][0].pop('segmentation'), r"answers\[1\]\[0\] has no 'segmentation'"),
    (lambda r: r[1].update(image_id=9), 'record 1 has the image_id 9 of another image'),
    (lambda r: r[1].update(image_id=None), "record 1: 'image_id' is None, not a number or name"),
    (lambda r: r[1].update(width='8'), "record 1: 'width' is a str, not int"),
])
def test_faulty_records_are_rejected(change: Callable, message: str, tmp_path: Path, records: list) -> None:
    change(records)
    with pytest.raises(ValueError, match=message):
        convert(tmp_path, records)


def test_other_files_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'MMR_val\.json is not a list of images'):
        convert(tmp_path, {'data': []})
    with pytest.raises(FileNotFoundError, match=r'x\.json does not exist'):
        convert_mmr(tmp_path / 'x.json')


def test_the_tool_writes_what_the_config_reads(tmp_path: Path, records: list, convert_tool: Callable,
                                               build_config: Callable) -> None:
    convert(tmp_path, records)
    for name in ('MMR_train', 'MMR_val', 'MMR_test_part_only'):
        (tmp_path / f'{name}.json').write_text(json.dumps(records))
        status, lines = convert_tool('mmr', tmp_path / f'{name}.json', '--out', tmp_path / 'mmr')
        assert (status, lines[-1]) == (0, f'wrote {tmp_path}/mmr/{name}.json')
    built = build_config('mmr', tmp_path)
    assert len(built) == 3
    assert [each.get_data_info(0)['img_path'] for each in built.values()] == [
        str(tmp_path / 'coco/train2017/000000000009.jpg')] * 3
    assert convert_tool('mmr', tmp_path / 'MMR_val.json', '--out', tmp_path / 'mmr', '--targets', 'part')[0] == 0
    assert (tmp_path / 'mmr/MMR_val_parts.json').is_file()

"""GSEval: captions with masks, one json a line."""
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmpartref.datasets import PartReferDataset
from mmpartref.datasets.converters import convert_gseval
from mmpartref.datasets.converters.standard_json import write_documents

SIZE = (6, 8)
IMAGE = 'unlabeled2017/000000000008.jpg'


def rle(rows: slice, columns: slice) -> dict[str, Any]:
    pixels = np.zeros(SIZE, np.uint8, order='F')
    pixels[rows, columns] = 1
    encoded = coco_mask.encode(pixels)
    return {'size': list(SIZE), 'counts': encoded['counts'].decode()}


EYE, WING, EMPTY = rle(slice(1, 3), slice(2, 5)), rle(slice(3, 6), slice(0, 2)), rle(slice(0, 0), slice(0, 0))


def line(idx: int, class_id: int, caption: str, segmentation: object, **more: Any) -> dict[str, Any]:
    return {'idx': idx, 'image_path': IMAGE, 'class_id': class_id, 'label': f'target {idx}', 'caption': caption,
            'box': [1.5, 0.25, 6.0, 3.75], 'segmentation': segmentation, **more}


@pytest.fixture
def lines() -> list[dict[str, Any]]:
    """Lines as ``GroundingEvaluator`` of hustvl/GroundingSuite (``evaluate_grounding.py``) reads them.

    The last mask is a list of RLEs, which ``GroundingSuiteEvalDataset`` of hustvl/LENS (``eval/evaluate_res2_gs.py``)
    reads as well.
    """
    return [line(0, 1, 'The wall behind the bird.', EYE), line(1018, 2, "The bird's eye is small.", EYE),
            line(1019, 2, 'The wing that is spread.', [EYE, WING])]


def convert(folder: Path, lines: list, **options: Any) -> tuple[dict, list[str]]:
    (folder / 'eval.jsonl').write_text(''.join(f'{json.dumps(each)}\n' for each in lines))
    return convert_gseval(folder / 'eval.jsonl', **options)


def test_the_part_subset_is_the_default(tmp_path: Path, lines: list) -> None:
    documents, printed = convert(tmp_path, lines)
    assert printed == [
        'class 2 (part): 2 read, 2 written; dropped: 0 with a blank caption, 0 with an empty mask; 2 lines, but 455 '
        'are published; 500 in the paper', '1 lines of other classes skipped']
    path, = write_documents(documents, tmp_path / 'out')
    assert path.name == 'gseval_part.json'
    entry = PartReferDataset(ann_file=str(path)).get_data_info(0)
    assert (entry['img_path'], entry['height'], entry['width']) == (IMAGE, 6, 8)
    assert [(ref['ref_id'], ref['expressions'], ref['source'], ref.get('level')) for ref in entry['refs']] == [
        ('1018', ["The bird's eye is small."], 'GSEval part', None),
        ('1019', ['The wing that is spread.'], 'GSEval part', None)]
    # Of the mask, not the published box.
    assert [(each['bbox'], each['area'], each['idx'], each['label'])
            for each in json.loads(path.read_text())['annotations']] == [
        ([2, 1, 3, 2], 6, 1018, 'target 1018'), ([0, 1, 5, 5], 12, 1019, 'target 1019')]


def test_all_classes(tmp_path: Path, lines: list) -> None:
    documents, printed = convert(tmp_path, [*lines, line(3714, 4, 'The bird.', WING)], classes='all')
    assert [each.partition(':')[0] for each in printed] == ['class 1 (stuff)', 'class 2 (part)',
                                                            'class 4 (single-object)']
    path, = write_documents(documents, tmp_path / 'out')
    refs = PartReferDataset(ann_file=str(path)).get_data_info(0)['refs']
    assert [(ref['ref_id'], ref['source'], ref.get('level', 'part')) for ref in refs] == [
        ('0', 'GSEval stuff', 'object'), ('1018', 'GSEval part', 'part'), ('1019', 'GSEval part', 'part'),
        ('3714', 'GSEval single-object', 'object')]
    with pytest.raises(ValueError, match="classes='stuff' is unknown"):
        convert(tmp_path, lines, classes='stuff')


def test_what_cannot_be_used_is_dropped_and_counted(tmp_path: Path, lines: list) -> None:
    documents, printed = convert(tmp_path, [*lines, line(7, 2, ' ', WING), line(8, 2, 'The beak.', EMPTY)])
    assert printed[0].startswith('class 2 (part): 4 read, 2 written; dropped: 1 with a blank caption, 1 with an empty '
                                 'mask; 4 lines')
    assert [each['id'] for each in documents['gseval_part']['referring']] == [1018, 1019]


def test_455_lines_are_as_released(tmp_path: Path) -> None:
    _, printed = convert(tmp_path, [line(idx, 2, 'The eye.', EYE) for idx in range(455)])
    assert printed[0].endswith('455 lines, as published; 500 in the paper')


@pytest.mark.parametrize(('change', 'message'), [
    ({'class_id': 5}, "line 3: 'class_id' is 5, not one of 1, 2, 3, 4"),
    ({'class_id': '2'}, "line 3: 'class_id' is a str, not int"),
    ({'idx': None}, "line 3: 'idx' is None, not a number or name"),
    ({'idx': '1018'}, "line 3 has the idx '1018' of another"),
    ({'caption': None}, "line 3: 'caption' is a NoneType, not str"),
    ({'segmentation': None}, "line 3: 'segmentation' has no 'size'"),
    ({'segmentation': []}, "line 3: 'segmentation' is an empty list"),
    ({'segmentation': {**EYE, 'size': [6, '8']}}, r"line 3: the size of its RLE is \[6, '8'\], not a height"),
    ({'segmentation': {**EYE, 'size': [6, 10**6]}}, 'line 3: the size of its RLE is'),
    ({'segmentation': {**EYE, 'size': [8, 8]}}, 'line 3: its RLE counts add up to 48 pixels'),
    ({'segmentation': {'size': [1, 2], 'counts': [1, 1]}}, r'line 3: its mask is 1 x 2 .*, but another of .* is 6 x 8'),
    ({'segmentation': [EYE, {**WING, 'size': [8, 6]}]}, 'line 3: its RLE has size'),
])
def test_faulty_lines_are_rejected(change: dict, message: str, tmp_path: Path, lines: list) -> None:
    lines[2].update(change)
    with pytest.raises(ValueError, match=message):
        convert(tmp_path, lines)


@pytest.mark.parametrize(('content', 'message'), [
    (b'', r'eval\.jsonl has no line'), (b'\n \n', 'has no line'), (b'{"idx": 1\n', 'line 1 is not a complete json'),
    (b'[]\n', "line 1 has no 'class_id'"), ('é'.encode('latin-1'), r'eval\.jsonl is not text in UTF-8')])
def test_other_files_are_rejected(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / 'eval.jsonl').write_bytes(content)
    with pytest.raises(ValueError, match=message):
        convert_gseval(tmp_path / 'eval.jsonl')


def test_blank_lines_and_other_line_separators_in_a_caption(tmp_path: Path, lines: list) -> None:
    text = '\r\n\r\n'.join(json.dumps({**each, 'caption': 'one\u2028two'}, ensure_ascii=False) for each in lines)
    (tmp_path / 'eval.jsonl').write_text(text, encoding='utf-8-sig')
    documents, _ = convert_gseval(tmp_path / 'eval.jsonl')
    assert [each['expressions'] for each in documents['gseval_part']['referring']] == [['one\u2028two']] * 2


def test_the_tool_writes_what_the_config_reads(tmp_path: Path, lines: list, convert_tool: Callable,
                                               build_config: Callable) -> None:
    convert(tmp_path, lines)
    status, printed = convert_tool('gseval', tmp_path / 'eval.jsonl', '--out', tmp_path / 'gseval')
    assert (status, printed[-1]) == (0, f'wrote {tmp_path}/gseval/gseval_part.json')
    dataset, = build_config('gseval', tmp_path).values()
    entry = dataset.get_data_info(0)
    assert (len(entry['refs']), entry['img_path']) == (2, f'{tmp_path}/coco/{IMAGE}')
    assert convert_tool('gseval', tmp_path / 'eval.jsonl', '--classes', 'all', '--out', tmp_path / 'all')[0] == 0

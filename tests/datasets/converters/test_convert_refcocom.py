"""RefCOCOm: sentences, and masks in black and white."""
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmpartref.datasets import PartReferDataset
from mmpartref.datasets.converters import convert_refcocom
from mmpartref.datasets.converters.standard_json import write_documents

IMAGE = 'COCO_train2014_000000000072.jpg'


def record(segment: Any, *texts: str, **more: Any) -> dict[str, Any]:
    return {'bbox': [0, 0, 2, 2], 'cat': 22, 'segment_id': segment, 'img_name': IMAGE, 'sentences_num': len(texts),
            'sentences': [{'idx': index, 'sent_id': 10 + index, 'sent': text} for index, text in enumerate(texts)],
            **more}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Masks as CRIS writes them (one channel), one of three channels, one that is empty, one of another size."""
    (tmp_path / 'masks').mkdir()
    (tmp_path / 'annotations').mkdir()
    for name, shape in {'7': (6, 9), '8': (6, 9, 3), '9': (6, 9), '10': (9, 6)}.items():
        pixels = np.zeros(shape, np.uint8)
        if name != '9':
            pixels[:2, :3] = 255
        assert cv2.imwrite(str(tmp_path / 'masks' / f'{name}.png'), pixels)
    return tmp_path


def convert(root: Path, records: object, name: str = 'val_part_only') -> tuple[dict, list[str]]:
    (root / 'annotations' / f'{name}.json').write_text(json.dumps(records))
    return convert_refcocom(root)


def test_each_record_becomes_a_ref(root: Path) -> None:
    convert(root, [record(7, 'whole')], 'testA')
    documents, lines = convert(root, [record(7, 'left ear', 'ear on the left'), record('8', 'nose'), record(9, 'tail')])
    assert lines == [
        'testA: records: 1 read, 1 written; dropped: 0 with an empty mask; 1 expressions for 1 images',
        'val_part_only: records: 3 read, 2 written; dropped: 1 with an empty mask; 3 expressions for 1 images']
    paths = write_documents(documents, root / 'out')
    assert [path.name for path in paths] == ['refcocom_testA.json', 'refcocom_val_part_only.json']
    entry = PartReferDataset(ann_file=str(paths[1])).get_data_info(0)
    assert (entry['img_path'], entry['height'], entry['width']) == (IMAGE, 6, 9)
    assert [(ref['ref_id'], ref['expressions'], ref['source'], int(coco_mask.area(ref['rles'][0])))
            for ref in entry['refs']] == [
        ('0', ['left ear', 'ear on the left'], 'RefCOCOm', 6), ('1', ['nose'], 'RefCOCOm', 6)]
    assert [(each['segment_id'], each['cat']) for each in documents['refcocom_val_part_only']['annotations']] == [
        (7, 22), ('8', 22)]


@pytest.mark.parametrize(('records', 'message'), [
    ({}, r'val_part_only\.json is not a list of records'),
    ([record(7)], 'record 0 has no sentence or a blank one'),
    ([record(7, 'ear') | {'sentences': ['ear']}], r"record 0, sentences\[0\] has no 'sent'"),
    ([record(7, 'ear'), record(None, 'ear')], "record 1: 'segment_id' is None, not the name of a mask"),
    ([record(7, 'ear', img_name=3)], "record 0: 'img_name' is a int, not str"),
    ([record(7, 'ear'), record(10, 'ear')], r'record 1: its mask 10\.png is \(9, 6\) .*, but another of COCO_'),
])
def test_faulty_records_are_rejected(records: object, message: str, root: Path) -> None:
    with pytest.raises(ValueError, match=message):
        convert(root, records)


def test_faulty_and_missing_masks_are_rejected(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'masks/11\.png does not exist'):
        convert(root, [record(11, 'ear')])
    red = np.zeros((6, 9, 3), np.uint8) + np.array([0, 0, 255], np.uint8)
    for pixels in (np.full((6, 9), 128, np.uint8), red):
        assert cv2.imwrite(str(root / 'masks' / '7.png'), pixels)
        with pytest.raises(ValueError, match=r'7\.png is not a mask: a pixel is neither black'):
            convert(root, [record(7, 'ear')])


def test_a_cut_json_and_an_empty_folder_are_rejected(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match='annotations has no json'):
        convert_refcocom(root)
    (root / 'annotations' / 'val.json').write_text('[{')
    with pytest.raises(ValueError, match=r'val\.json is not a complete json'):
        convert_refcocom(root)


def test_the_tool_writes_what_the_config_reads(root: Path, convert_tool: Callable, build_config: Callable) -> None:
    convert(root, [record(7, 'ear', 'left ear')])
    status, lines = convert_tool('refcocom', root, '--out', root / 'refcocom')
    assert (status, lines[-1]) == (0, f'wrote {root}/refcocom/refcocom_val_part_only.json')
    dataset, = build_config('refcocom', root).values()
    entry = dataset.get_data_info(0)
    assert (len(entry['refs']), entry['img_path']) == (2, f'{root}/coco/train2014/{IMAGE}')
    assert convert_tool('refcocom', root / 'masks', '--out', root / 'other')[0] == 2

"""Shared helpers of the converters."""
import copy
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from mmpartref.datasets.converters.mask_document import (
    MaskDocument,
    category_records,
    files_by_stem,
    read_grey,
    read_label_map,
)
from mmpartref.datasets.converters.standard_json import count_line, write_documents


def test_a_mask_is_written_as_it_is_and_an_empty_one_is_not() -> None:
    document = MaskDocument('Mine', category_records([('a', 'Big_Car', 'Wheel')]))
    mask = np.random.default_rng(0).integers(0, 2, (5, 7))
    assert document.add_mask(1, 0, mask, note='x')
    assert not document.add_mask(1, 0, np.zeros((5, 7)))
    only, = document.to_json(referring=[])['annotations']
    assert np.array_equal(coco_mask.decode(only['segmentation']), mask)
    assert (only['id'], only['area'], only['note']) == (1, mask.sum(), 'x')
    assert document.categories == [{'id': 0, 'name': 'a', 'supercategory': 'big car', 'part': 'wheel'}]


@pytest.mark.parametrize('suffix', ['png', 'tif'])
def test_labels_of_16_bits_are_read_as_numbers(suffix: str, tmp_path: Path) -> None:
    labels = np.array([[0, 1, 233], [65535, 7, 7]], np.uint16)
    path = tmp_path / f'map.{suffix}'
    Image.fromarray(labels).save(path)
    assert np.array_equal(read_label_map(path, (2, 3), 'image', 234, 65535), labels)
    with pytest.raises(ValueError, match='has the label 233, but there are 0 to 232 and 65535'):
        read_label_map(path, (2, 3), 'image', 233, 65535)


def test_black_and_white_of_one_bit_is_a_mask(tmp_path: Path) -> None:
    mask = np.array([[True, False], [False, False]])
    Image.fromarray(mask).save(tmp_path / 'mask.png')
    assert np.array_equal(read_grey(tmp_path / 'mask.png'), mask)
    with pytest.raises(ValueError, match='a label map has one channel of numbers'):
        read_label_map(tmp_path / 'mask.png', (2, 2), 'image', 3, 255)


def test_two_files_of_one_name_are_rejected(tmp_path: Path) -> None:
    for name in ('a.jpg', 'b.JPG', 'c.txt', '._a.jpg'):
        (tmp_path / name).write_bytes(b'')
    found, hidden = files_by_stem(tmp_path, '.jpg')
    assert (list(found), hidden) == (['a', 'b'], 1)
    (tmp_path / 'a.JPG').write_bytes(b'')
    with pytest.raises(ValueError, match='differ only in their suffix'):
        files_by_stem(tmp_path, '.jpg')


def test_counts_that_do_not_add_up_are_a_fault() -> None:
    assert count_line('parts', 1234, 1200, {'empty': 34}) == 'parts: 1,234 read, 1,200 written; dropped: 34 empty'
    with pytest.raises(RuntimeError, match='parts: 3 read, but 1 written and'):
        count_line('parts', 3, 1, {'empty': 1})


def test_area_and_box_are_those_of_the_mask(coco: dict, tmp_path: Path) -> None:
    coco['annotations'][0].update(area='large', bbox=[1, 2])
    coco['annotations'][1].update(area=float('nan'))
    del coco['annotations'][2]['area'], coco['annotations'][2]['iscrowd']
    mask = {'image_id': 1, 'category_id': 5}
    coco['annotations'] += [{**mask, 'id': 20, 'segmentation': {'size': [20, 30], 'counts': [0, 2, 598]}, 'iscrowd': 1},
                            {**mask, 'id': 21, 'segmentation': {'size': [20, 30], 'counts': [600]}},
                            {**mask, 'id': 22, 'segmentation': [[1, 1, 4, 4]]}]
    before = copy.deepcopy(coco)
    path, = write_documents({'parts': coco}, tmp_path)
    annotations = json.loads(path.read_text())['annotations']
    assert [(each['area'], each['bbox'], each['iscrowd']) for each in annotations] == [
        (20, [2, 10, 4, 5], 0), (18, [5, 5, 6, 3], 0), (20, [20, 10, 4, 5], 0), (9, [0, 0, 3, 3], 0),
        (2, [0, 0, 1, 2], 1), (0, [0, 0, 0, 0], 0), (0, [0, 0, 0, 0], 0)]
    assert repr(coco) == repr(before)


def test_a_crowd_without_a_mask_is_not_written(coco: dict, tmp_path: Path) -> None:
    coco['annotations'][0] = {'id': 11, 'image_id': 1, 'category_id': 5, 'iscrowd': 1}
    with pytest.raises(ValueError, match=r'parts\.json is not written: annotation 11: its segmentation is a NoneType'):
        write_documents({'parts': coco}, tmp_path)


def test_all_documents_are_written_or_none(coco: dict, tmp_path: Path) -> None:
    nested: list = []
    for _ in range(5000):
        nested = [nested]
    for key, fault in (('annotations', []), ('x', nested)):
        with pytest.raises(ValueError, match=r'b\.json is not written: (no annotated part is left|a record is nested)'):
            write_documents({'a': coco, 'b': {**coco, key: fault}}, tmp_path)
    with pytest.raises(ValueError, match='nothing is written'):
        write_documents({}, tmp_path)
    with pytest.raises(OSError, match='cannot be written'):
        write_documents({'x' * 300: coco}, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.full_mmcv
def test_mmdet_reads_what_is_written(coco: dict, tmp_path: Path) -> None:
    from mmdet.datasets import CocoDataset
    for each in coco['annotations']:
        each.pop('area')
    path, = write_documents({'parts': coco}, tmp_path)
    dataset = CocoDataset(ann_file=str(path), metainfo={'classes': ('Car Wheel', 'Car Hood', 'Bird Head')},
                          data_prefix={'img': ''}, test_mode=True)
    assert [len(dataset.get_data_info(index)['instances']) for index in range(2)] == [3, 1]


def test_documents_from_masks_have_boxes() -> None:
    document = MaskDocument('Mine', category_records([('a', 'car', 'wheel')]))
    mask = np.zeros((5, 7))
    mask[1:3, 2:6] = 1
    document.add_mask(1, 0, mask)
    assert document.annotations[0]['bbox'] == [2, 1, 4, 2]

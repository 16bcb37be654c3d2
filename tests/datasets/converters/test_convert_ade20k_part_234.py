"""ADE20K-Part-234: objects in a json, parts in 16-bit label maps."""
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from mmpartref.datasets import PartReferDataset
from mmpartref.datasets.converters import convert_ade20k_part_234
from mmpartref.datasets.converters.mask_document import read_label_map
from mmpartref.datasets.converters.published.ade20k_part_234 import CATEGORIES
from mmpartref.datasets.converters.standard_json import write_documents
from mmpartref.masks.rle import decode_refs

LABELS = {each['name']: each['id'] for each in CATEGORIES}
SIZE = (8, 12)
ARM, BACK = LABELS["person's arm"], LABELS["swivel chair's back"]


def rectangle(x: int, y: int, width: int, height: int) -> list[list[int]]:
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]


def rle(columns: slice) -> dict[str, Any]:
    pixels = np.zeros(SIZE, np.uint8, order='F')
    pixels[:, columns] = 1
    encoded = coco_mask.encode(pixels)
    return {'size': encoded['size'], 'counts': encoded['counts'].decode()}


@pytest.fixture
def labels() -> np.ndarray:
    """Arms (label 0) of two people, and outside all people; the back of a swivel chair."""
    pixels = np.full(SIZE, 65535, np.uint16)
    pixels[1, 0:2] = pixels[1, 4:6] = pixels[7, 0:3] = ARM
    pixels[2:4, 8:10] = BACK
    return pixels


@pytest.fixture
def objects() -> dict[str, Any]:
    kinds = [(1, 27, rectangle(0, 0, 4, 3), [ARM]), (2, 27, rectangle(4, 0, 4, 3), [ARM, ARM + 5]),
             (3, 35, rle(slice(8, 12)), [BACK]), (4, 99, rectangle(0, 0, 1, 1), []),
             (5, 27, rectangle(10, 7, 1, 1), None)]
    return {
        'images': [{'id': 40, 'file_name': 'ADE_train_00000040.jpg', 'height': 8, 'width': 12}],
        'annotations': [{'id': key, 'image_id': 40, 'category_id': kind, 'segmentation': shape, 'bbox': [0, 0, 1, 1],
                         'iscrowd': 0, **({} if parts is None else {'part_category_id': parts})}
                        for key, kind, shape, parts in kinds],
        'categories': [{'id': 27, 'name': 'person, individual, someone'}, {'id': 35, 'name': 'swivel chair'},
                       {'id': 99, 'name': 'sky'}],
    }


def convert(root: Path, objects: dict, labels: np.ndarray | None = None) -> tuple[dict, list[str]]:
    folder = root / 'annotations_detectron2_part' / 'training'
    folder.mkdir(parents=True, exist_ok=True)
    if labels is not None:
        Image.fromarray(labels).save(folder / 'ADE_train_00000040.png')
    (root / 'ade20k_instance_train.json').write_text(json.dumps(objects))
    return convert_ade20k_part_234(root)


def test_parts_of_objects_and_of_none_unite_to_the_map(tmp_path: Path, objects: dict, labels: np.ndarray) -> None:
    documents, lines = convert(tmp_path, objects, labels)
    assert lines == [
        'train: images: 1 read, 1 written; 1 of them with parts',
        'train: objects whose parts are written: 5 read, 3 written; dropped: 1 without a part in the label map, '
        '1 of none of the 44 classes',
        'train: parts: 4 read, 4 written; 1 of them (3 pixels) outside all objects of their class; 1 more are '
        'listed by an object (part_category_id), but not in the label map there',
        'train: 2 categories in these images, but 234 are published']
    path, = write_documents(documents, tmp_path / 'out')
    assert path.name == 'ade20k_part_234_train.json'
    assert [each.get('object_id') for each in documents['ade20k_part_234_train']['annotations']] == [1, 2, 3, None]
    refs = PartReferDataset(ann_file=str(path)).get_data_info(0)['refs']
    assert [(ref['expressions'], len(ref['ann_ids']), ref['source']) for ref in refs] == [
        (['person arm'], 3, 'ADE20K-Part-234'), (['swivel chair back'], 1, 'ADE20K-Part-234')]
    for decoded, label in zip(decode_refs(refs), (ARM, BACK), strict=True):
        assert np.array_equal(decoded != 0, labels == label)


def test_every_label_has_its_name(tmp_path: Path, objects: dict) -> None:
    whole = np.full((8, 30), 65535, np.uint16)
    whole.flat[:234] = range(234)
    objects['images'][0]['width'] = 30
    objects['annotations'] = objects['annotations'][:1]
    documents, lines = convert(tmp_path, objects, whole)
    assert lines[-1] == 'train: 234 categories in these images, as published'
    assert [each['name'] for each in documents['ade20k_part_234_train']['categories']][::233] == [
        "person's arm", "light's shade"]


@pytest.mark.parametrize(('section', 'change', 'message'), [
    ('images', {'height': 9}, r'00000040\.png is \(8, 12\) \(height, width\), but .*image 40 is \(9, 12\)'),
    ('images', {'file_name': 'ADE_train_00000041.jpg'}, r'ADE_train_00000041\.png does not exist'),
    ('annotations', {'image_id': 41}, 'annotation 1: its image_id 41 is missing'),
    ('annotations', {'category_id': 1}, 'annotation 1: its category_id 1 is missing'),
    ('annotations', {'segmentation': {'size': [1, 1], 'counts': [1]}}, r'annotation 1: its RLE has size \[1, 1\]'),
    ('annotations', {'part_category_id': 3}, "annotation 1: 'part_category_id' is 3, not a list of labels"),
    ('categories', {'name': None}, "category 27: 'name' is a NoneType, not str"),
])
def test_faulty_records_are_rejected(section: str, change: dict, message: str, tmp_path: Path, objects: dict,
                                    labels: np.ndarray) -> None:
    faulty = copy.deepcopy(objects)
    faulty[section][0].update(change)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        convert(tmp_path, faulty, labels)


def test_unknown_labels_and_empty_folders_are_rejected(tmp_path: Path, objects: dict, labels: np.ndarray) -> None:
    with pytest.raises(FileNotFoundError, match=r'has neither ade20k_instance_train\.json nor'):
        convert_ade20k_part_234(tmp_path)
    labels[0, 0] = 255
    with pytest.raises(ValueError, match='has the label 255, but there are 0 to 233 and 65535'):
        convert(tmp_path, objects, labels)


def test_the_tool_writes_what_the_config_reads(tmp_path: Path, objects: dict, labels: np.ndarray,
                                               convert_tool: Callable, build_config: Callable) -> None:
    convert(tmp_path, objects, labels)
    status, lines = convert_tool('ade20k_part_234', tmp_path, '--out', tmp_path / 'ade20k_part_234')
    assert (status, lines[-1]) == (0, f'wrote {tmp_path}/ade20k_part_234/ade20k_part_234_train.json')
    dataset, = build_config('ade20k_part_234', tmp_path).values()
    assert dataset.get_data_info(0)['img_path'].endswith('ADE20KPart234/images/training/ADE_train_00000040.jpg')
    assert convert_tool('ade20k_part_234', tmp_path / 'nothing', '--out', tmp_path / 'other')[0] == 2


def test_label_maps_of_8_bits_are_named(tmp_path: Path, objects: dict, labels: np.ndarray) -> None:
    """Saved by a program that cuts off the higher bits: 65535 becomes 255."""
    with pytest.raises(ValueError, match=r'00000040\.png has 8 bits for each pixel, but its labels go to 65535'):
        convert(tmp_path, objects, labels.astype(np.uint8))


def test_a_negative_label_is_named(tmp_path: Path, objects: dict, labels: np.ndarray) -> None:
    Image.fromarray(np.full(SIZE, -1, np.int32)).save(tmp_path / 'map.tif')
    with pytest.raises(ValueError, match='has the label -1, but there are'):
        read_label_map(tmp_path / 'map.tif', SIZE, 'the image', 234, 65535)


@pytest.mark.parametrize('name', ['x' * 300 + '.jpg', '..', 'a\0.jpg', ' '])
def test_a_file_name_that_cannot_be_one_is_named(name: str, tmp_path: Path, objects: dict, labels: np.ndarray) -> None:
    objects['images'][0]['file_name'] = name
    with pytest.raises(ValueError, match=r'image 40: .* is not the name of a file in .*training'):
        convert(tmp_path, objects, labels)

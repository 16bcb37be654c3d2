"""COCO's and Objects365's objects."""
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmpartref.datasets import PartReferDataset
from mmpartref.datasets.converters import convert_objects
from mmpartref.datasets.converters.standard_json import write_documents

TRIANGLE = [[0, 0, 10, 0, 0, 10]]


@pytest.fixture
def instances() -> dict[str, Any]:
    """Two cars, a crowd of them, a traffic light; an image without objects."""
    shapes = [(1, 3, TRIANGLE, 0), (2, 3, [[12, 2, 20, 2, 20, 8]], 0),
              (3, 3, {'size': [20, 30], 'counts': [0, 600]}, 1), (4, 10, [[25, 1, 28, 1, 28, 9, 25, 9]], 0)]
    return {
        'images': [{'id': key, 'file_name': f'00000{key}.jpg', 'height': 20, 'width': 30} for key in (1, 2)],
        'annotations': [{'id': key, 'image_id': 1, 'category_id': category, 'segmentation': shape, 'area': 9,
                         'iscrowd': crowd, 'bbox': [25, 1, 3, 8]} for key, category, shape, crowd in shapes],
        'categories': [{'id': 3, 'name': 'car', 'supercategory': 'vehicle'},
                       {'id': 10, 'name': 'traffic light', 'supercategory': 'outdoor'}],
    }


def convert(folder: Path, document: dict, name: str = 'coco') -> tuple[dict, list[str]]:
    (folder / 'instances.json').write_text(json.dumps(document))
    return convert_objects(folder / 'instances.json', name)


def test_an_object_is_named_without_its_super_category(tmp_path: Path, instances: dict) -> None:
    del instances['annotations'][1]['segmentation']
    document, lines = convert(tmp_path, instances)
    assert lines == ['2 images, all written; 1 of them with objects',
                     'objects: 4 read, 3 written; dropped: 1 without a mask; 1 are crowds, 1 have their box as polygon',
                     '2 categories, but 80 are published']
    path, = write_documents({'coco': document}, tmp_path / 'out')
    dataset = PartReferDataset(ann_file=str(path))
    assert [(f"{ref['super_category']} {ref['part']}".strip(), ref['ann_ids'], ref['source'])
            for ref in dataset.get_data_info(0)['refs']] == [('car', [1], 'COCO'), ('traffic light', [4], 'COCO')]
    assert {each['level'] for each in document['categories']} == {'object'}
    assert dataset.statistics.crowd_dropped == 1


def test_all_80_or_365_are_as_published(tmp_path: Path, instances: dict) -> None:
    for name, number in (('coco', 80), ('objects365', 365)):
        instances['categories'] += [{'id': 1000 + key, 'name': f'thing {key}'}
                                    for key in range(len(instances['categories']), number)]
        document, lines = convert(tmp_path, instances, name)
        assert lines[-1] == f'{number} categories, as published'
    assert document['info'] == {'source': 'Objects365'}


@pytest.mark.parametrize(('change', 'message'), [
    (lambda each: each.pop('segmentation'), "instances.json has boxes and no masks; use a release of Objects365 with"),
    (lambda each: each.update(segmentation=[]), 'has boxes and no masks'),
    (lambda each: each.update(segmentation=[[25, 1, 25, 9, 28.01, 9, 28, 1]]), 'has polygons that are their boxes'),
    (lambda each: each.update(segmentation=[[25, 1, 28, 1, 28, 9, 25, 9, 25, 1]]), 'has polygons that are their boxes'),
])
def test_boxes_are_not_masks(change: Callable, message: str, tmp_path: Path, instances: dict) -> None:
    for each in instances['annotations']:
        change(each)
    with pytest.raises(ValueError, match=message) as error:
        convert(tmp_path, instances, 'objects365')
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(('section', 'change', 'message'), [
    ('annotations', {'image_id': 9}, 'annotation 1: its image_id 9 is missing'),
    ('annotations', {'category_id': 9}, 'annotation 1: its category_id 9 is missing'),
    ('annotations', {'id': 2}, 'annotations has the id 2 twice'),
    ('categories', {'name': 'Traffic  Light'}, "both mean 'traffic light'"),
    ('categories', {'name': 3}, "category 3: 'name' is a int, not str"),
])
def test_faulty_records_are_rejected(section: str, change: dict, message: str, tmp_path: Path, instances: dict) -> None:
    instances[section][0].update(change)
    with pytest.raises(ValueError, match=message):
        write_documents({'written': convert(tmp_path, instances)[0]}, tmp_path)
    assert not (tmp_path / 'written.json').exists()


@pytest.mark.parametrize(('kind', 'config', 'folder', 'stem'), [
    ('coco', 'coco_objects', 'coco_objects', 'instances_val2017'),
    ('objects365', 'objects365', 'objects365', 'zhiyuan_objv2_train')])
def test_the_tool_writes_what_the_config_reads(kind: str, config: str, folder: str, stem: str, tmp_path: Path,
                                               instances: dict, convert_tool: Callable, build_config: Callable) -> None:
    path = tmp_path / f'{stem}.json'
    path.write_text(json.dumps(instances))
    status, lines = convert_tool(kind, path, '--out', tmp_path / folder)
    assert (status, lines[-1]) == (0, f'wrote {tmp_path}/{folder}/{stem}.json')
    dataset, = build_config(config, tmp_path).values()
    assert len(dataset.get_data_info(0)['refs']) == 2
    for each in instances['annotations']:
        del each['segmentation']
    path.write_text(json.dumps(instances))
    status, lines = convert_tool(kind, path, '--out', tmp_path / 'other')
    assert (status, len(lines)) == (2, 1)


@pytest.mark.parametrize(('section', 'change', 'message'), [
    ('annotations', {'segmentation': 0}, 'annotation 1: .*its segmentation is a int'),
    ('annotations', {'segmentation': {'size': [1, 1], 'counts': [1]}}, 'annotation 1: .*its RLE has size'),
    ('annotations', {'iscrowd': 2}, "annotation 1: 'iscrowd' is 2; write 0 or 1"),
    ('images', {'file_name': '\udcff.jpg'}, 'image 1: .*half a character'),
    ('images', {'height': -20}, 'image 1: height -20 and width 30 should be positive'),
    ('images', {'width': '30'}, "image 1: 'width' is '30', a str"),
])
def test_what_the_dataset_would_reject_is_not_written(section: str, change: dict, message: str, tmp_path: Path,
                                                      instances: dict, convert_tool: Callable) -> None:
    instances[section][0].update(change)
    path = tmp_path / 'instances_val2017.json'
    path.write_text(json.dumps(instances))
    status, lines = convert_tool('coco', path, '--out', tmp_path / 'out')
    assert (status, len(lines)) == (2, 1)
    assert re.search(f'out/instances_val2017.json is not written: {message}', lines[0])
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('bbox', [[1, 2, 3], 'abcd', [None] * 4, [10**400] * 4, ['1'] * 4])
def test_a_published_box_of_a_wrong_type_is_replaced(bbox: object, tmp_path: Path, instances: dict) -> None:
    instances['annotations'][3]['bbox'] = bbox
    path, = write_documents({'coco': convert(tmp_path, instances)[0]}, tmp_path / 'out')
    assert json.loads(path.read_text())['annotations'][3]['bbox'] == [25, 1, 3, 8]


def test_a_json_without_objects_is_not_written(tmp_path: Path, instances: dict, convert_tool: Callable) -> None:
    for each in instances['annotations']:
        each['iscrowd'] = 1
    (tmp_path / 'x.json').write_text(json.dumps(instances))
    status, lines = convert_tool('coco', tmp_path / 'x.json', '--out', tmp_path / 'out')
    assert (status, len(lines)) == (2, 1)
    assert 'no annotated part is left' in lines[0]


@pytest.mark.parametrize('arguments', [('coco', '', '--out', 'x'), ('coco', 'x.json', '--out', ''),
                                       ('pascal_part', 'x', '--images', '', '--out', 'x')])
def test_empty_arguments_are_rejected(arguments: tuple[str, ...], convert_tool: Callable) -> None:
    status, lines = convert_tool(*arguments)
    assert status == 2
    assert lines[-1].endswith('it is empty; name a file or folder')

"""PACO-LVIS: objects, parts and absent categories."""
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmpartref.datasets import PartReferDataset
from mmpartref.datasets.converters import convert_paco
from mmpartref.datasets.converters.standard_json import write_documents


@pytest.fixture
def paco(polygon: Callable) -> dict[str, Any]:
    rle = coco_mask.encode(np.asfortranarray(np.eye(20, 30, dtype=np.uint8)))
    rle['counts'] = rle['counts'].decode()
    shapes = [(1, 1, polygon(0, 0, 20, 10), 1), (2, 10, polygon(2, 2, 4, 5), 1), (3, 11, rle, 1)]
    return {
        'images': [{'id': 7, 'file_name': 'train2017/7.jpg', 'height': 20, 'width': 30,
                    'neg_category_ids': [2, 12], 'not_exhaustive_category_ids': []}],
        'annotations': [{'id': key, 'image_id': 7, 'category_id': category, 'segmentation': shape, 'area': 20,
                         'obj_ann_id': owner} for key, category, shape, owner in shapes],
        'categories': [{'id': 1, 'name': 'car_(automobile)', 'supercategory': 'OBJECT'},
                       {'id': 2, 'name': 'mug', 'supercategory': 'OBJECT'},
                       {'id': 10, 'name': 'car_(automobile):wheel', 'supercategory': 'PART'},
                       {'id': 11, 'name': 'car_(automobile):hood', 'supercategory': 'PART'},
                       {'id': 12, 'name': 'car_(automobile):mirror', 'supercategory': 'PART'},
                       {'id': 13, 'name': 'mug:handle', 'supercategory': 'PART'}],
    }


def convert(folder: Path, document: dict) -> tuple[dict, list[str]]:
    (folder / 'paco.json').write_text(json.dumps(document))
    return convert_paco(folder / 'paco.json')


def test_parts_and_negatives_reach_the_dataset(tmp_path: Path, paco: dict) -> None:
    document, lines = convert(tmp_path, paco)
    assert lines == ['1 images, 1 of them with parts; 2 absent categories of parts',
                     '2 parts written, 1 objects dropped; 4 categories of parts, but 456 are published',
                     '1 objects are named without their sense in parentheses, 0 with it, since another has the same '
                     'name']
    assert [part['object_id'] for part in document['annotations']] == [1, 1]
    path, = write_documents({'train': document}, tmp_path / 'out')
    refs = PartReferDataset(ann_file=str(path), entries={'negatives': {'number': 9}}).get_data_info(0)['refs']
    assert [(ref['super_category'], ref['part'], ref.get('absent'), ref['source']) for ref in refs] == [
        ('car', 'wheel', None, 'PACO-LVIS'), ('car', 'hood', None, 'PACO-LVIS'),
        ('car', 'mirror', 'no_target', 'PACO-LVIS'), ('mug', 'handle', 'no_target', 'PACO-LVIS')]
    assert [int(coco_mask.area(ref['rles'][0])) for ref in refs[:2]] == [20, 20]


def test_an_absent_object_marks_all_its_parts_absent(tmp_path: Path, paco: dict) -> None:
    paco['images'].append({**paco['images'][0], 'id': 8, 'neg_category_ids': [1]})
    assert convert(tmp_path, paco)[0]['images'][1]['neg_category_ids'] == [10, 11, 12]


def test_the_sense_is_in_the_words_only_of_ambiguous_names(tmp_path: Path, paco: dict) -> None:
    bows = ['bow_(weapon)', 'bow_(decorative_ribbons)']
    for number, name in enumerate(bows, start=20):
        paco['categories'] += [{'id': number, 'name': name, 'supercategory': 'OBJECT'},
                               {'id': number + 10, 'name': f'{name}:knot', 'supercategory': 'PART'}]
    document, lines = convert(tmp_path, paco)
    assert [(each['name'], each['supercategory'], each['part']) for each in document['categories'][-2:]] == [
        ('bow_(weapon):knot', 'bow (weapon)', 'knot'),
        ('bow_(decorative_ribbons):knot', 'bow (decorative ribbons)', 'knot')]
    assert document['categories'][0]['name'] == 'car_(automobile):wheel'
    assert lines[2] == ('1 objects are named without their sense in parentheses, 2 with it, since another has the '
                        'same name: bow (decorative ribbons), bow (weapon)')


@pytest.mark.parametrize(('section', 'index', 'change', 'message'), [
    ('categories', 0, {'supercategory': 'Car'}, "category 1: 'supercategory' is 'Car', not OBJECT or PART"),
    ('categories', 2, {'name': 'wheel'}, "category 10: its name 'wheel' is not 'object:part'"),
    ('categories', 2, {'name': 'lorry:wheel'}, "category 10: its object 'lorry' is not a category"),
    ('images', 0, {'neg_category_ids': [99]}, 'image 7: its neg_category_ids has 99, which is not a category'),
    ('images', 0, {'neg_category_ids': None}, "image 7: 'neg_category_ids' is a NoneType, not list"),
    ('annotations', 1, {'obj_ann_id': 9}, 'annotation 2: its obj_ann_id 9 is not an annotation of its image'),
    ('annotations', 1, {'image_id': 8}, 'annotation 2: its obj_ann_id 1 is not an annotation of its image'),
    ('annotations', 1, {'category_id': 99}, 'annotation 2: its category_id 99 is not a category'),
    ('annotations', 1, {'id': 1}, 'annotations has the id 1 twice'),
])
def test_faulty_records_are_rejected(section: str, index: int, change: dict, message: str, tmp_path: Path,
                                    paco: dict) -> None:
    faulty = copy.deepcopy(paco)
    faulty[section][index].update(change)
    with pytest.raises(ValueError, match=message):
        convert(tmp_path, faulty)


def test_a_json_without_parts_is_rejected(tmp_path: Path, paco: dict) -> None:
    with pytest.raises(ValueError, match='has no category of parts'):
        convert(tmp_path, paco | {'categories': paco['categories'][:2]})


def test_the_tool_writes_what_the_config_reads(tmp_path: Path, paco: dict, convert_tool: Callable,
                                               build_config: Callable) -> None:
    path = tmp_path / 'paco_lvis_v1_train.json'
    path.write_text(json.dumps(paco))
    status, lines = convert_tool('paco', path, '--out', tmp_path / 'paco')
    assert (status, lines[-1]) == (0, f'wrote {tmp_path}/paco/paco_lvis_v1_train.json')
    dataset, = build_config('paco_lvis', tmp_path).values()
    assert dataset.get_data_info(0)['img_path'] == f'{tmp_path}/coco/train2017/7.jpg'
    path.write_text('{')
    status, lines = convert_tool('paco', path, '--out', tmp_path / 'other')
    assert (status, len(lines)) == (2, 1)
    assert 'is not a complete json' in lines[0]

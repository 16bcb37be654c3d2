"""SPIN: objects, parts and subparts of PartImageNet's images."""
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmpartref.datasets import PartReferDataset
from mmpartref.datasets.converters import convert_spin
from mmpartref.datasets.converters.published.spin import category_in_words, part_of_subpart
from mmpartref.datasets.converters.standard_json import write_documents

SIZE = (10, 12)


def rle(rows: slice, columns: slice) -> dict[str, Any]:
    pixels = np.zeros(SIZE, np.uint8, order='F')
    pixels[rows, columns] = 1
    encoded = coco_mask.encode(pixels)
    return {'size': encoded['size'], 'counts': encoded['counts'].decode()}


def level(categories: dict[int, str], *shapes: tuple[int, dict]) -> dict[str, Any]:
    return {
        'images': [{'id': 5, 'file_name': 'n02930766_37217', 'height': 10, 'width': 12}],
        'annotations': [{'id': key, 'image_id': 5, 'category_id': category, 'segmentation': shape, 'area': 4,
                         'iscrowd': 0, 'bbox': [0, 0, 2, 2]} for key, (category, shape) in enumerate(shapes)],
        'categories': [{'id': key, 'name': name} for key, name in categories.items()],
    }


@pytest.fixture
def spin() -> dict[str, dict]:
    """A dog with head and body and a tire beyond it; an eye within the head, a belly half beyond, a lens of no part."""
    return {
        'wholes': level({0: 'Golden_Retriever'}, (0, rle(slice(0, 8), slice(0, 8)))),
        'parts': level({0: 'Quadruped Head', 1: 'Quadruped Body', 25: 'Car Tier', 26: 'Car Side Mirror'},
                       (0, rle(slice(0, 4), slice(0, 4))), (1, rle(slice(4, 8), slice(0, 8))),
                       (25, rle(slice(8, 10), slice(7, 9)))),
        'subparts': level({1: 'Quadruped-Head-Eyes', 2: 'Quadruped-Torso-Belly',
                           3: 'Car-Side_Mirror-Lens', 4: 'Car-Tire-Rim'},
                          (1, rle(slice(1, 2), slice(1, 3))), (2, rle(slice(7, 9), slice(0, 2))),
                          (3, rle(slice(0, 1), slice(11, 12))), (4, rle(slice(9, 10), slice(8, 9))),
                          (4, rle(slice(0, 0), slice(0, 0)))),
    }


def convert(folder: Path, levels: dict[str, dict], split: str = 'val') -> tuple[dict, list[str]]:
    for name, document in levels.items():
        (folder / f'spin_{split}_{name}.json').write_text(json.dumps(document))
    return convert_spin(folder)


def test_three_levels_and_their_containment(tmp_path: Path, spin: dict) -> None:
    documents, lines = convert(tmp_path, spin)
    assert lines == [
        'val: 1 annotations of wholes in 1 images, all written; 1 categories, but 158 are published',
        'val: 3 annotations of parts in 1 images, all written; 4 categories, but 40 are published',
        'val: 5 annotations of subparts in 1 images, all written; 4 categories, but 203 are published',
        'val: 1 images with subparts, but 519 are published',
        'val: 5 subparts: 1 without their part in the image, 1 extend outside it, 1 have an empty mask; of the '
        "others' area 62.5% is inside on average",
        'val: 3 parts: 0 without their object in the image, 1 extend outside it, 0 have an empty mask; of the '
        "others' area 66.7% is inside on average"]
    paths = write_documents(documents, tmp_path / 'out')
    assert [path.name for path in paths] == ['spin_val_wholes.json', 'spin_val_parts.json', 'spin_val_subparts.json']
    wholes, parts, subparts = (PartReferDataset(ann_file=str(path)).get_data_info(0) for path in paths)
    assert wholes['img_path'] == 'n02930766_37217.JPEG'
    assert [[f"{ref['super_category']} {ref['part']}".strip() for ref in each['refs']]
            for each in (wholes, parts, subparts)] == [
        ['golden retriever'], ['quadruped head', 'quadruped body', 'car tire'],
        ['quadruped head eyes', 'quadruped torso belly', 'car side mirror lens', 'car tire rim']]
    assert [document['categories'][0]['level'] for document in documents.values()] == ['object', 'part', 'subpart']
    assert {ref['source'] for ref in subparts['refs']} == {'SPIN'}
    assert documents['spin_val_subparts']['categories'][0]['name'] == 'Quadruped-Head-Eyes'


def test_subparts_of_an_unknown_part_are_named(tmp_path: Path, spin: dict) -> None:
    spin['subparts']['categories'][0]['name'] = 'Quadruped-Nape-Hair'
    assert convert(tmp_path, spin)[1][4].endswith('; no part has the name in Quadruped-Nape-Hair')


@pytest.mark.parametrize(('name', 'parent'), [
    ('Quadruped-Legs-Paw', 'Quadruped Foot'), ('Biped-Arm-Elbow', 'Biped Hand'), ('Fish-Torso-Gill', 'Fish Body'),
    ('Car-Tire-Rim', 'Car Tier'), ('Car-Side_Mirror-Glass', 'Car Side Mirror'), ('Boat-Sail-Mast', 'Boat Sail')])
def test_the_part_of_a_subpart_has_partimagenets_name(name: str, parent: str) -> None:
    child, part = (category_in_words({'id': 1, 'name': each}, level, 'x') for each, level in ((name, 'subparts'),
                                                                                    (parent, 'parts')))
    assert part_of_subpart(child) == (part['supercategory'], part['part'])


def test_203_categories_are_as_published(tmp_path: Path, spin: dict) -> None:
    spin['subparts']['categories'] += [{'id': key, 'name': f'Car-Tire-{key}'} for key in range(5, 204)]
    assert convert(tmp_path, spin)[1][2].endswith('203 categories, as published')


@pytest.mark.parametrize(('name', 'change', 'message'), [
    ('subparts', lambda d: d['categories'][0].update(name='Quadruped Head'), "category 1: its name 'Quadruped H"),
    ('parts', lambda d: d['categories'][0].update(name='Head'), "parts.json: category 0: its name 'Head' is not like "),
    ('parts', lambda d: d['annotations'][0].update(image_id=6), 'annotation 0: its image_id 6 is missing'),
    ('parts', lambda d: d['annotations'][0].update(segmentation='x'), 'parts.json: annotation 0: .*its segmentation'),
    ('subparts', lambda d: d['annotations'][0]['segmentation'].update(size=[1, 1]), 'annotation 0: in .*: its RLE'),
    ('wholes', lambda d: d['images'][0].update(width=13), 'wholes.json: image 5 has another name or'),
    ('wholes', lambda d: d['images'][0].pop('height'), "wholes.json: image 5 has no 'height'"),
])
def test_faulty_records_are_rejected(name: str, change: Callable, message: str, tmp_path: Path, spin: dict) -> None:
    faulty = copy.deepcopy(spin)
    change(faulty[name])
    with pytest.raises(ValueError, match=message):
        convert(tmp_path, faulty)


def test_missing_files_are_named(tmp_path: Path, spin: dict) -> None:
    with pytest.raises(FileNotFoundError, match='has no spin_train_subparts'):
        convert_spin(tmp_path)
    del spin['parts']
    with pytest.raises(FileNotFoundError, match=r'spin_val_parts\.json does not exist'):
        convert(tmp_path, spin)


def test_the_tool_writes_what_the_config_reads(tmp_path: Path, spin: dict, convert_tool: Callable,
                                               build_config: Callable) -> None:
    convert(tmp_path, spin, 'train')
    status, lines = convert_tool('spin', tmp_path, '--out', tmp_path / 'spin')
    assert (status, lines[-1]) == (0, f'wrote {tmp_path}/spin/spin_train_subparts.json')
    dataset, = build_config('spin', tmp_path).values()
    assert dataset.get_data_info(0)['img_path'] == f'{tmp_path}/PartImageNet/images/train/n02930766_37217.JPEG'
    assert convert_tool('spin', tmp_path / 'spin' / 'no', '--out', tmp_path / 'other')[0] == 2

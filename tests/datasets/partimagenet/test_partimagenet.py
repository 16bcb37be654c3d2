import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmpartref.datasets import PartImageNetReferringDataset
from mmpartref.datasets.partimagenet.partimagenet_names import CATEGORY_NAMES, load_synsets
from mmpartref.datasets.partimagenet.partimagenet_referring_dataset import detect_split

Write = Callable[[dict], str]
DOG, CAR = 'n02085782', 'n02701002'  # Japanese spaniel (Quadruped), ambulance (Car)


@pytest.fixture
def partimagenet(polygon: Any) -> dict[str, Any]:
    """A dog's head and an ambulance's tire, all 40 categories."""
    return {
        'images': [{'id': 1, 'file_name': f'{DOG}_1.JPEG', 'height': 20, 'width': 30},
                   {'id': 2, 'file_name': f'{CAR}_2.JPEG', 'height': 20, 'width': 30}],
        'annotations': [{'id': i, 'image_id': i, 'category_id': CATEGORY_NAMES.index(name),
                         'segmentation': polygon(2, 2, 5, 5)} for i, name in ((1, 'Quadruped Head'), (2, 'Car Tier'))],
        'categories': [{'id': i, 'name': name, 'supercategory': name.split()[0]}
                       for i, name in enumerate(CATEGORY_NAMES)],
    }


def load(path: str, **settings: Any) -> PartImageNetReferringDataset:
    return PartImageNetReferringDataset(ann_file=path, **settings)


def first_refs(dataset: PartImageNetReferringDataset) -> list[dict]:
    return [dataset.get_data_info(index)['refs'][0] for index in range(len(dataset))]


def test_class_names_and_the_alias(partimagenet: dict, write: Write) -> None:
    dataset = load(write(partimagenet), entries={
        'expressions': {'templates': ['the {part} of the {class_name}', '{super_category} {part}']}})
    head, tire = first_refs(dataset)
    assert head['class_name'] == 'japanese spaniel'
    assert head['expressions'] == ['the head of the japanese spaniel', 'quadruped head']
    assert (tire['part'], tire['super_category']) == ('tire', 'car')
    assert tire['expressions'] == ['the tire of the ambulance', 'car tire']
    category = dataset.metainfo['categories'][CATEGORY_NAMES.index('Car Tier')]
    assert (category['name'], category['super_category'], category['part']) == ('Car Tier', 'car', 'tire')


def test_forty_categories_have_distinct_meanings(partimagenet: dict, write: Write) -> None:
    dataset = load(write(partimagenet))
    assert len({(each['super_category'], each['part']) for each in dataset.metainfo['categories']}) == 40
    assert len(dataset.metainfo['super_categories']) == 11
    assert "40 of PartImageNet's 40" in dataset.statistics.summary()
    assert 'others' not in dataset.statistics.summary()


def test_ids_and_super_categories_of_the_json_do_not_matter(partimagenet: dict, write: Write) -> None:
    for record in partimagenet['categories']:
        record['id'] = 500 - record['id']
        record['supercategory'] = 'Thing'
    for annotation in partimagenet['annotations']:
        annotation['category_id'] = 500 - annotation['category_id']
    assert [ref['expressions'][0] for ref in first_refs(load(write(partimagenet)))] == ['quadruped head', 'car tire']


def test_spelling_tire_and_part_names_alone_are_known(partimagenet: dict, write: Write) -> None:
    partimagenet['categories'][0]['name'] = 'Head'
    for record in partimagenet['categories']:
        record['name'] = record['name'].replace('Tier', 'Tire')
    dataset = load(write(partimagenet))
    assert [ref['expressions'][0] for ref in first_refs(dataset)] == ['quadruped head', 'car tire']
    assert "40 of PartImageNet's 40" in dataset.statistics.summary()


def test_class_of_another_super_category_gives_no_class_name(partimagenet: dict, write: Write) -> None:
    partimagenet['images'][0]['file_name'] = f'{CAR}_1.JPEG'
    partimagenet['images'][1]['file_name'] = 'holiday.JPEG'
    dataset = load(write(partimagenet), entries={'expressions': {'templates': ['the {part} of the {class_name}']}})
    head, tire = first_refs(dataset)
    assert (head['class_name'], head['expressions']) == (None, ['the head of the quadruped'])
    assert (tire['class_name'], tire['expressions']) == (None, ['the tire of the car'])
    summary = dataset.statistics.summary()
    assert '1 parts are of another super-category' in summary
    assert '1 images whose file name does not begin with one of' in summary


def test_other_categories_are_read_and_counted(partimagenet: dict, write: Write, polygon: Any) -> None:
    partimagenet['categories'].append({'id': 77, 'name': 'Wedding Cake Tier', 'supercategory': 'Wedding Cake'})
    partimagenet['annotations'].append({'id': 9, 'image_id': 1, 'category_id': 77, 'segmentation': polygon(0, 0, 2, 2)})
    dataset = load(write(partimagenet))
    assert dataset.get_data_info(0)['refs'][1]['expressions'] == ['wedding cake tier']
    assert '1 others (Wedding Cake Tier)' in dataset.statistics.summary()


@pytest.mark.parametrize(('classes', 'images', 'expected'), [
    (158, 20481, 'Seg train: 158 classes, 20,481 images'),
    (158, 1206, 'Seg val: 158 classes, 1,206 images'),
    (158, 2408, 'Seg test: 158 classes, 2,408 images'),
    (158, 5000, 'Seg: 158 classes, 5,000 images, which is not one of its published splits'),
    (109, 16540, 'OOD train: 109 classes, 16,540 images'),
    (19, 2957, 'OOD val: 19 classes, 2,957 images'),
    (30, 4598, 'OOD test: 30 classes, 4,598 images'),
    (30, 60, 'OOD test: 30 classes, 60 images; published: 30 classes, 4,598 images'),
    (150, 20481, 'Seg train: 150 classes, 20,481 images'),
    (12, 300, 'neither: 12 classes, 300 images'),
])
def test_split_is_detected_from_classes_and_images(classes: int, images: int, expected: str) -> None:
    assert detect_split(classes, images) == expected


@pytest.mark.parametrize(('classes', 'expected'), [(158, 'Seg'), (109, 'OOD train'), (19, 'OOD val'), (30, 'OOD test'),
                                                   (3, 'neither: 3 classes')])
def test_split_is_in_the_summary(classes: int, expected: str, partimagenet: dict, write: Write) -> None:
    wnids = [DOG, CAR, *(wnid for wnid in load_synsets() if wnid not in (DOG, CAR))][:classes]
    partimagenet['images'] = [{'id': i, 'file_name': f'{wnid}_{i}.JPEG', 'height': 20, 'width': 30}
                              for i, wnid in enumerate(wnids, 1)]
    dataset = load(write(partimagenet))
    assert dataset.split.startswith(expected)
    assert f'split        {expected}' in dataset.statistics.summary()


@pytest.mark.parametrize(('in_json', 'on_disk'), [
    ('{wnid}_{i}.JPEG', '{wnid}_{i}.JPEG'),
    ('{wnid}_{i}.JPEG', '{wnid}/{wnid}_{i}.JPEG'),
    ('{wnid}/{wnid}_{i}.JPEG', '{wnid}/{wnid}_{i}.JPEG'),
    ('{wnid}\\{wnid}_{i}.JPEG', '{wnid}/{wnid}_{i}.JPEG'),
    ('{wnid}/{wnid}_{i}.JPEG', '{wnid}_{i}.JPEG'),
])
def test_the_first_image_on_disk_decides_the_layout(in_json: str, on_disk: str, partimagenet: dict, write: Write,
                                                    write_image: Callable[..., str], tmp_path: Path) -> None:
    for i, wnid in ((1, DOG), (2, CAR)):
        partimagenet['images'][i - 1]['file_name'] = in_json.format(wnid=wnid, i=i)
    write_image(f'images/{on_disk.format(wnid=DOG, i=1)}')
    write(partimagenet)
    dataset = load('parts.json', data_root=str(tmp_path), data_prefix={'img': 'images'})
    assert [dataset.get_data_info(index)['img_path'] for index in range(2)] == [
        str(tmp_path / 'images' / on_disk.format(wnid=wnid, i=i)) for i, wnid in ((1, DOG), (2, CAR))]
    assert re.search('layout       images (as in the json|in class folders|without folders), below',
                     dataset.statistics.summary())


def test_missing_images_are_noted(partimagenet: dict, write: Write, tmp_path: Path) -> None:
    write(partimagenet)
    dataset = load('parts.json', data_root=str(tmp_path), data_prefix={'img': 'images'})
    assert dataset.get_data_info(0)['img_path'] == str(tmp_path / 'images' / f'{DOG}_1.JPEG')
    assert 'is not below' in dataset.statistics.summary()

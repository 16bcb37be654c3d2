"""Refs of categories, annotations and objects."""
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mmpartref.datasets import PartReferDataset
from mmpartref.datasets.referring.steps.expressions import object_positions

Write = Callable[[dict], str]
THE = 'the {part} of the {super_category}'


def load(path: str, **expressions: Any) -> PartReferDataset:
    return PartReferDataset(ann_file=path, entries={'expressions': {'templates': [THE], **expressions}})


def refs_of(dataset: PartReferDataset) -> list[dict]:
    return [ref for index in range(len(dataset)) for ref in dataset.get_data_info(index)['refs']]


@pytest.fixture
def two_cars(coco: dict, polygon: Callable) -> dict:
    """A car left with wheel and hood, a car right with a wheel, and a bird."""
    for annotation, object_id in zip(coco['annotations'], ('a', 'a', 'b', 7), strict=True):
        annotation['object_id'] = object_id
    return coco


def test_one_ref_per_object_and_part_with_its_side(two_cars: dict, write: Write) -> None:
    dataset = load(write(two_cars), instances='object')
    found = {ref['ref_id']: (ref['expressions'], ref['ann_ids'], ref['object_id'], ref.get('position'))
             for ref in refs_of(dataset)}
    assert found == {
        # The left car has the larger box as well.
        '1:5:a': (['the wheel of the left car', 'the wheel of the nearest car'], [11], 'a', 'left'),
        '1:6:a': (['the hood of the left car', 'the hood of the nearest car'], [12], 'a', 'left'),
        '1:5:b': (['the wheel of the right car'], [13], 'b', 'right'),
        '2:9:7': (['the head of the bird'], [14], 7, None),
    }
    assert {ref['super_category'] for ref in refs_of(dataset)} == {'car', 'bird'}
    assert '2 objects by their position; dropped: 0 objects' in dataset.statistics.summary()
    # 'merged' ignores the objects.
    assert [ref['ann_ids'] for ref in refs_of(load(write(two_cars)))] == [[11, 13], [12], [14]]


def test_objects_that_no_word_distinguishes_are_dropped_and_counted(two_cars: dict, write: Write, polygon: Any) -> None:
    for annotation in two_cars['annotations'][:3]:
        annotation['segmentation'] = polygon(5, 5 + annotation['id'] % 2, 8, 8)
    two_cars['annotations'].append({**two_cars['annotations'][3], 'id': 15, 'object_id': None, 'category_id': 9})
    dataset = load(write(two_cars), instances='object')
    assert [ref['ref_id'] for ref in refs_of(dataset)] == ['2:9:7']
    assert ('dropped: 2 objects that no position distinguishes, 1 annotations without object_id'
            in dataset.statistics.summary())


@pytest.mark.parametrize(('boxes', 'expected'), [
    ([(0, 0, 10, 10)], [['']]),
    ([(0, 0, 10, 10), (50, 0, 10, 10)], [['left'], ['right']]),
    ([(50, 0, 10, 10), (0, 0, 10, 20)], [['right'], ['left', 'nearest']]),
    ([(0, 0, 10, 10), (0, 50, 10, 10)], [[], []]),
    ([(0, 0, 10, 10), (0, 50, 10, 16)], [[], ['nearest']]),
    ([(0, 0, 10, 10), (40, 0, 10, 10), (80, 0, 10, 10)], [['leftmost'], [], ['rightmost']]),
    ([(0, 0, 10, 10), (1, 0, 10, 10), (80, 0, 20, 20)], [[], [], ['rightmost', 'nearest']]),
])
def test_positions(boxes: list, expected: list) -> None:
    named = {('car', number): np.array(box, dtype=float) for number, box in enumerate(boxes)}
    named['dog', 0] = np.array((0., 0., 1., 1.))
    assert object_positions(named, 100) == {
        **{('car', number): words for number, words in enumerate(expected)}, ('dog', 0): ['']}


def test_annotations_without_objects_are_rejected(coco: dict, write: Write) -> None:
    with pytest.raises(ValueError, match=r"has no 'object_id', which instances='object' needs; write one with"):
        load(write(coco), instances='object')
    coco['annotations'][0]['object_id'] = 1.5
    with pytest.raises(ValueError, match=r"annotation 11: 'object_id' is 1.5; write int or str, or remove it"):
        load(write(coco))


def test_object_ids_that_are_equal_as_text_are_one_object(two_cars: dict, write: Write) -> None:
    for annotation, object_id in zip(two_cars['annotations'], (1, '1', 2, 7), strict=True):
        annotation['object_id'] = object_id
    refs = refs_of(load(write(two_cars), instances='object'))
    assert [(ref['ref_id'], ref['position']) for ref in refs[:3]] == [
        ('1:5:1', 'left'), ('1:6:1', 'left'), ('1:5:2', 'right')]


@pytest.mark.parametrize('object_id', ['\ud800', ' ', True, 1.5, [1]])
def test_object_ids_that_cannot_be_used(object_id: object, two_cars: dict, write: Write) -> None:
    two_cars['annotations'][0]['object_id'] = object_id
    with pytest.raises(ValueError, match=r'annotation 11: .*(object_id|surrogate)'):
        load(write(two_cars))

"""Objects, parts and parts of parts: whole objects from their parts, levels from the json, one level drawn."""
import copy
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmpartref.datasets import PartReferDataset
from mmpartref.datasets.transforms import DrawExpressions, DrawLevel

Write = Callable[[dict], str]


def refs_of(dataset: PartReferDataset) -> list[dict]:
    return [ref for index in range(len(dataset)) for ref in dataset.get_data_info(index)['refs']]


@pytest.fixture
def three_levels(coco: dict, polygon: Callable) -> dict:
    """The car as an annotated object and a rim of its first wheel; the bird has its head only."""
    coco['categories'] += [{'id': 1, 'name': 'Car', 'supercategory': 'Car', 'level': 'object'},
                           {'id': 2, 'name': 'Car Wheel Rim', 'supercategory': 'Car', 'level': 'subpart'}]
    coco['annotations'] += [
        {'id': 21, 'image_id': 1, 'category_id': 1, 'segmentation': polygon(1, 1, 25, 15)},
        {'id': 22, 'image_id': 1, 'category_id': 2, 'segmentation': polygon(3, 11, 2, 2)}]
    return coco


def test_the_object_is_the_union_of_its_parts(coco: dict, write: Write) -> None:
    path = write(coco)
    dataset = PartReferDataset(ann_file=path, entries={
        'expressions': {'object_templates': ['the {super_category}', 'a whole {super_category}']}, 'objects': {}})
    car, bird = (ref for ref in refs_of(dataset) if ref.get('level') == 'object')
    assert (car['ref_id'], car['part'], car['super_category'], car['category_id']) == ('1:object:car', '', 'car', None)
    assert car['expressions'] == ['the car', 'a whole car']
    assert car['ann_ids'] == [11, 12, 13]
    assert int(coco_mask.area(coco_mask.merge(car['rles']))) == 20 + 18 + 20
    assert bird['expressions'] == ['the bird', 'a whole bird']
    parts = [ref for ref in refs_of(dataset) if 'level' not in ref]
    assert parts == refs_of(PartReferDataset(ann_file=path))
    assert dataset.num_expressions().tolist() == [3, 2]
    assert dataset.statistics.expressions == 5
    assert dataset.get_cat_ids(0) == [5, 6]


def test_an_annotated_object_takes_the_place_of_the_union(three_levels: dict, write: Write) -> None:
    dataset = PartReferDataset(ann_file=write(three_levels), entries={'objects': {}, 'expressions': {
        'templates': ['the {part} of the {super_category}'], 'object_templates': ['this {super_category}']}})
    found = {ref['ref_id']: (ref.get('level'), ref['expressions'], ref['ann_ids']) for ref in refs_of(dataset)}
    assert found == {
        '1:5': (None, ['the wheel of the car'], [11, 13]),
        '1:6': (None, ['the hood of the car'], [12]),
        '1:1': ('object', ['this car'], [21]),
        '1:2': ('subpart', ['the wheel rim of the car'], [22]),
        '2:9': (None, ['the head of the bird'], [14]),
        '2:object:bird': ('object', ['this bird'], [14]),
    }


def test_expressions_of_the_json_have_their_annotations_level(three_levels: dict, write: Write) -> None:
    three_levels['referring'] = [
        {'id': 1, 'image_id': 1, 'ann_ids': [21], 'expressions': ['the car']},
        {'id': 2, 'image_id': 1, 'ann_ids': [11, 13], 'expressions': ['the wheels of the car']},
        {'id': 3, 'image_id': 1, 'ann_ids': [22], 'expressions': ['the rim of the wheel of the car']},
        {'id': 4, 'image_id': 1, 'ann_ids': [11, 22], 'expressions': ['a wheel and its rim']}]
    dataset = PartReferDataset(ann_file=write(three_levels))
    assert [ref.get('level') for ref in refs_of(dataset)] == ['object', None, 'subpart', None]
    assert refs_of(dataset)[0]['super_category'] == 'car'


@pytest.mark.parametrize(('templates', 'message'), [
    (['the {part} of it'], r'an object has no \{part\}; write templates of'),
    ('the car', 'should be a list of at least one string'),
    (['{colour}'], 'unknown field'),
])
def test_templates_that_no_object_can_fill_are_rejected(templates: Any, message: str, coco: dict, write: Write) -> None:
    with pytest.raises(ValueError, match=message):
        PartReferDataset(ann_file=write(coco), entries={'expressions': {'object_templates': templates}})


def test_a_json_of_objects_is_one_as_a_whole(coco: dict, write: Write) -> None:
    coco['categories'] = [{'id': 5, 'name': 'bicycle', 'supercategory': 'vehicle'},
                          {'id': 6, 'name': 'person', 'supercategory': 'person'},
                          {'id': 9, 'name': 'Bird Head', 'supercategory': 'Bird', 'level': 'part'}]
    dataset = PartReferDataset(ann_file=write(coco), level='object')
    assert [(ref.get('level'), ref['super_category'], ref['part'], ref['expressions']) for ref in refs_of(dataset)] == [
        ('object', 'bicycle', '', ['the bicycle']), ('object', 'person', '', ['the person']),
        (None, 'bird', 'head', ['bird head'])]
    worded = PartReferDataset(ann_file=write(coco), level='object', entries={'expressions': {
        'object_templates': ['{super_category}']}, 'objects': {}})
    assert [ref['expressions'] for ref in refs_of(worded)] == [['bicycle'], ['person'], ['bird head'], ['bird']]
    with pytest.raises(ValueError, match="level='whole' is unknown; choose one of"):
        PartReferDataset(ann_file=write(coco), level='whole')


def test_an_unknown_level_is_rejected(coco: dict, write: Write) -> None:
    coco['categories'][0]['level'] = 'whole'
    with pytest.raises(ValueError, match="category 5: 'level' is 'whole'; write 'object', 'part' or 'subpart'"):
        PartReferDataset(ann_file=write(coco))


def image(img_id: int = 1, levels: tuple = ('object', 'part', 'part', 'subpart')) -> dict[str, Any]:
    refs = [{'ref_id': str(number), **({} if level == 'part' else {'level': level})}
            for number, level in enumerate(levels)]
    return {'img_id': img_id, 'refs': refs, 'gt_masks': np.arange(len(refs))}


def test_one_level_is_drawn_with_its_chance_and_the_masks_follow() -> None:
    transform = DrawLevel({'object': 1, 'part': 2, 'subpart': 1})
    seen: Counter = Counter()
    for epoch in range(2000):
        transform.set_epoch(epoch)
        results = transform(image())
        seen[tuple(results['gt_masks'])] += 1
        assert [ref['ref_id'] for ref in results['refs']] == [str(number) for number in results['gt_masks']]
    assert set(seen) == {(0, ), (1, 2), (3, )}
    for key, chance in (((0, ), .25), ((1, 2), .5), ((3, ), .25)):
        assert abs(seen[key] / 2000 - chance) < 4 * (chance * (1 - chance) / 2000)**0.5


def test_the_draw_depends_on_seed_epoch_and_image_alone() -> None:
    def drawn(transform: DrawLevel, epoch: int = 0) -> list[int]:
        transform.set_epoch(epoch)
        return [len(transform(image(img_id))['refs']) + transform(image(img_id))['gt_masks'][0] for img_id in range(30)]

    weights = {'object': 1, 'part': 1, 'subpart': 1}
    assert drawn(DrawLevel(weights)) == drawn(copy.deepcopy(DrawLevel(weights)))
    assert drawn(DrawLevel(weights)) != drawn(DrawLevel(weights, seed=1))
    assert drawn(DrawLevel(weights)) != drawn(DrawLevel(weights), epoch=1)


def test_an_image_without_a_level_draws_among_those_it_has() -> None:
    transform = DrawLevel({'object': 1, 'part': 1})
    assert len(transform(image(levels=('part', 'part', 'subpart')))['refs']) == 2
    with pytest.raises(ValueError, match=r"only expressions of \['subpart'\], which DrawLevel never samples"):
        transform(image(levels=('subpart', )))


def test_batches_count_the_expressions_drawn_on_average(three_levels: dict, write: Write) -> None:
    path = write(three_levels)
    draw = DrawLevel({'object': 1, 'part': 2, 'subpart': 1})
    dataset = PartReferDataset(ann_file=path, pipeline=[draw, DrawExpressions()], entries={
        'expressions': {'object_templates': ['{super_category}']}, 'objects': {}})
    # A car, two parts, a rim; a bird and its head.
    assert dataset.num_expressions().tolist() == pytest.approx([0.25 + 2 * 0.5 + 0.25, 1 / 3 + 2 / 3])
    counted = []
    for epoch in range(600):
        draw.set_epoch(epoch)
        counted.append(len(dataset[0]['expressions']))
    assert np.mean(counted) == pytest.approx(1.5, abs=0.1)
    assert dataset.get_subset([1]).num_expressions().tolist() == pytest.approx([1])


@pytest.mark.parametrize('weights', [{}, {'whole': 1}, {'part': 0}, {'part': -1}])
def test_weights_that_draw_nothing_are_rejected(weights: dict) -> None:
    with pytest.raises(ValueError, match='should be positive numbers for some of'):
        DrawLevel(weights)

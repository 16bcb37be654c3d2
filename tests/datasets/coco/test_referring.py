"""A json with expressions, and with the categories that it marks as absent."""
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mmpartref.datasets import PartReferDataset
from mmpartref.datasets.transforms import PackReferringInputs

Write = Callable[[dict], str]


def record(ref_id: Any = 'a', image_id: Any = 1, ann_ids: Any = (11, ), expressions: Any = ('the left wheel', ),
           **more: Any) -> dict:
    ann_ids = list(ann_ids) if isinstance(ann_ids, tuple) else ann_ids
    expressions = list(expressions) if isinstance(expressions, tuple) else expressions
    return {'id': ref_id, 'image_id': image_id, 'ann_ids': ann_ids, 'expressions': expressions, **more}


def load(path: str, **settings: Any) -> PartReferDataset:
    return PartReferDataset(ann_file=path, **settings)


def refs_of(dataset: PartReferDataset) -> list[dict]:
    return [ref for index in range(len(dataset)) for ref in dataset.get_data_info(index)['refs']]


@pytest.mark.parametrize(('records', 'message'), [
    ({}, r"'referring': it is a dict; write a list of records"),
    (['x'], r"referring\[0\]: write an object with 'id', 'image_id', 'ann_ids', 'expressions'"),
    ([{'id': 1}], r"referring 1: write an object"),
    ([record(1), record('1')], r"referring '1': this id occurs twice in referring; give every record its own"),
    ([record(image_id=7)], r"referring 'a': its image_id 7 is not among the images"),
    ([record(image_id=[1])], r"referring 'a': its image_id \[1\] is not among the images"),
    ([record(expressions=())], r"'expressions' is \[\]; write a list of at least one string, none of them blank"),
    ([record(expressions=('hood', ' '))], r"'expressions' is \['hood', ' '\]"),
    ([record(expressions='hood')], r"'expressions' is 'hood'"),
    ([record(source=3)], r"'source' is 3; write the name of a dataset or remove it"),
    ([record(ann_ids=None)], r"'ann_ids' is None; write a list of annotation ids, empty where the expr"),
    ([record(ann_ids=('11', ))], r"'ann_ids' is \['11'\]"),
    ([record(ann_ids=(99, ))], r"its annotation 99 is not among the annotations; add it or drop this record"),
    ([record(ann_ids=(11, 14))], r"its annotation 14 is of image 2 but its image_id is 1; correct one of them"),
])
def test_faulty_records_are_rejected(records: Any, message: str, coco: dict, write: Write) -> None:
    coco['referring'] = records
    path = write(coco)
    with pytest.raises(ValueError, match=message) as error:
        load(path)
    assert path in str(error.value)


def test_records_are_the_refs(coco: dict, write: Write) -> None:
    coco['referring'] = [record(7), record('both', 1, (12, 11, 12), ('front', 'wheel and hood')),
                         record('none', 2, (), ('a dog', ), source='gRefCOCO')]
    dataset = load(write(coco | {'info': {'source': 'RefCOCO'}}))
    seven, both, none = refs_of(dataset)
    assert (seven['ref_id'], seven['category_id'], seven['part'], seven['super_category']) == ('7', 5, 'wheel', 'car')
    assert seven['expressions'] == ['the left wheel']
    assert 'absent' not in seven
    assert (both['category_id'], both['part'], both['ann_ids'], len(both['rles'])) == (None, '', [12, 11], 2)
    assert (none['absent'], none['ann_ids'], none['rles']) == ('no_target', [], [])
    assert [ref['source'] for ref in (seven, both, none)] == ['RefCOCO', 'RefCOCO', 'gRefCOCO']
    assert (dataset.statistics.expressions, dataset.statistics.absent_expressions) == (2, 1)
    assert dataset.get_cat_ids(0) == [5]


def test_records_without_an_annotation_left_are_counted(coco: dict, write: Write) -> None:
    coco['annotations'][0]['iscrowd'] = 1
    coco['referring'] = [record('gone'), record('some', 1, (11, 13))]
    dataset = load(write(coco))
    assert [(ref['ref_id'], ref['ann_ids']) for ref in refs_of(dataset)] == [('some', [13])]
    assert "the json's own: 2 records, 1 dropped because all of their annotations were, 1 annotations missing from " \
        'the others' in dataset.statistics.summary()


def test_each_wording_is_a_ref(coco: dict, write: Write) -> None:
    coco['referring'] = [record('a', expressions=('x', 'y')), record('b', 2, (14, ), ('z', ))]
    path = write(coco)
    assert [(ref['ref_id'], ref['expressions']) for ref in refs_of(load(path, expression_mode='all'))] == [
        ('a:0', ['x']), ('a:1', ['y']), ('b', ['z'])]
    assert [ref['ref_id'] for ref in refs_of(load(path))] == ['a', 'b']
    assert len(load(path, expression_mode='all', group_by='expression')) == 3


@pytest.mark.parametrize('entries', [{'absent': {'number': 1}}, {'negatives': {'number': 1}}, {'objects': {}},
                                     {'expressions': {'instances': 'separate'}}])
def test_arguments_that_templates_need_are_rejected(entries: dict, coco: dict, write: Write) -> None:
    coco['referring'] = [record()]
    with pytest.raises(ValueError, match=r"has its own expressions \('referring'\).*remove that argument"):
        load(write(coco), entries=entries)


def test_negatives_come_from_the_json_and_are_never_shown(coco: dict, write: Write) -> None:
    coco['categories'] += [{'id': key, 'name': f'Car Thing{key}', 'supercategory': 'Car'} for key in range(20, 40)]
    coco['images'][0]['neg_category_ids'] = [5, 6, 77, *range(20, 40)]
    path = write(coco)
    first, second = (refs_of(load(path, entries={'negatives': {'number': 3}})) for _ in range(2))
    assert first == second
    absent = [ref for ref in first if 'absent' in ref]
    assert len(absent) == 3
    assert {ref['absent'] for ref in absent} == {'no_target'}
    assert {ref['category_id'] for ref in absent} <= set(range(20, 40))
    assert [ref['ref_id'].split(':')[0] for ref in absent] == ['1'] * 3
    every = refs_of(load(path, entries={'negatives': {'number': 99}}))
    assert {ref['category_id'] for ref in every if 'absent' in ref} == set(range(20, 40))


def test_a_dropped_annotation_is_not_a_negative(coco: dict, write: Write) -> None:
    coco['annotations'][1]['iscrowd'] = 1
    coco['images'][0]['neg_category_ids'] = [6, 9]
    dataset = load(write(coco), entries={'negatives': {'number': 5}})
    absent = [ref['category_id'] for ref in refs_of(dataset) if 'absent' in ref]
    assert absent == [9]


def test_malformed_negatives_are_rejected(coco: dict, write: Write) -> None:
    coco['images'][0]['neg_category_ids'] = ['5']
    with pytest.raises(ValueError, match=r"image 1: 'neg_category_ids' is \['5'\]; write a list of category ids"):
        load(write(coco))


def test_the_source_reaches_the_data_sample(coco: dict, write: Write) -> None:
    dataset = load(write(coco), source='mine', pipeline=[])
    entry = dataset.get_data_info(0)
    sample = PackReferringInputs()({**entry, 'img': np.zeros((20, 30, 3), np.uint8)})['data_samples']
    assert [ref['source'] for ref in sample.refs] == ['mine', 'mine']

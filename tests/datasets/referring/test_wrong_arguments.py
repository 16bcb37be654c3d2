"""Datasets, samplers and transforms reject wrong arguments with one sentence, and take numpy's numbers."""
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler

from mmpartref.datasets import ExpressionBatchSampler, MixedReferDataset, MixtureSampler, PartReferDataset
from mmpartref.datasets.protocols import load_protocol
from mmpartref.datasets.toyparts.make_toyparts import make_toyparts
from mmpartref.datasets.transforms import ConstantExpression, DrawExpressions, DrawLevel, Letterbox
from mmpartref.errors import InputError, InputTypeError, MMPartRefError

Write = Callable[[dict], str]
WRONG = (5, -1, 1.5, float('nan'), b'ab', {1}, object(), np.array(3), np.zeros((2, 2)), ..., ['a'], [None], iter('a'))
# Arguments of ``PartReferDataset`` and the wrong values that are right ones of it.
SETTINGS: dict[str, tuple] = {
    'ann_file': (), 'data_root': (), 'data_prefix': (), 'entries': (), 'group_by': (), 'expression_mode': (),
    'level': (), 'source': (), 'id_prefix': (), 'on_bad_image': (), 'metainfo': (), 'filter_cfg': (), 'pipeline': (),
    'test_mode': (), 'lazy_init': (), 'serialize_data': (), 'max_refetch': (5, ), 'indices': (5, -1), 'foo': (),
}


@pytest.fixture
def path(coco: dict, write: Write) -> str:
    return write(coco)


@pytest.mark.parametrize('name', SETTINGS)
def test_wrong_arguments_of_a_dataset_raise_one_sentence(name: str, path: str) -> None:
    for wrong in WRONG:
        if not any(wrong is right for right in SETTINGS[name]):
            with pytest.raises(MMPartRefError) as caught:
                len(PartReferDataset(**{'ann_file': path, name: wrong}))
            assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(('settings', 'error', 'message'), [
    ({'foo': 1}, InputTypeError, "PartReferDataset has no argument 'foo'; the nearest valid one is '"),
    ({'pipeline': [5]}, InputTypeError, r'pipeline\[0\]=5 should be a transform, or a dict'),
    ({'pipeline': {'type': 'LoadImage'}}, InputTypeError, 'should be a list of transforms'),
    ({'pipeline': [{'type': 'LoadImag'}]}, InputError, r'pipeline\[0\]=.* cannot be built: LoadImag is not in'),
    ({'pipeline': [{'size': 4}]}, InputError, r'pipeline\[0\]=.* cannot be built: .*type'),
    ({'indices': True}, InputTypeError, 'indices=True should be an integer'),
    ({'indices': [0, '1']}, InputTypeError, r"indices\[1\]='1' should be an integer"),
    ({'indices': np.array([True, False])}, InputTypeError, r'indices\[0\]='),
    ({'indices': []}, InputError, r'indices=\[\] leaves none of 2 items'),
    ({'indices': [2]}, InputError, 'goes beyond its 2 items'),
    ({'source': 5}, InputTypeError, 'source=5 should be a string'),
    ({'id_prefix': None}, InputTypeError, 'id_prefix=None should be a string'),
])
def test_messages_name_argument_and_value(settings: dict, error: type, message: str, path: str) -> None:
    with pytest.raises(error, match=message):
        len(PartReferDataset(ann_file=path, **settings))


@pytest.mark.parametrize('indices', [np.int64(1), -1, np.array([1]), (1, ), range(1, 2), torch.tensor([1]),
                                     [np.int32(1)]])
@pytest.mark.parametrize('serialize', [True, False])
def test_indices_may_be_of_numpy_and_torch(indices: Any, serialize: bool, path: str) -> None:
    dataset = PartReferDataset(ann_file=path, serialize_data=serialize)
    expected = 1 if np.ndim(indices) == 0 and indices == 1 else 2
    for subset in (PartReferDataset(ann_file=path, indices=indices, serialize_data=serialize),
                   dataset.get_subset(indices)):
        assert [subset.get_data_info(index)['img_id'] for index in range(len(subset))] == [expected]
        assert len(subset.num_expressions()) == 1
    dataset.get_subset_(indices)
    assert dataset.get_data_info(0)['img_id'] == expected


@pytest.mark.parametrize('make', [lambda path: PartReferDataset(ann_file=path),
                                  lambda path: PartReferDataset(ann_file=path, serialize_data=False),
                                  lambda path: MixedReferDataset([PartReferDataset(ann_file=path)])])
def test_items_are_chosen_by_integers(make: Callable, path: str) -> None:
    dataset = make(path)
    for index, img_id in ((0, 1), (np.int64(1), 2), (torch.tensor(1), 2), (-1, 2), (-2, 1)):
        assert dataset.get_data_info(index)['img_id'] == dataset[index]['img_id'] == img_id
    for wrong in ('0', 1.0, None, True, [0], slice(1), np.arange(2)):
        for read in (dataset.get_data_info, dataset.__getitem__, dataset.get_cat_ids):
            with pytest.raises(InputTypeError, match=r'index=.* should be an integer'):
                read(wrong)
    for beyond in (2, -3):
        with pytest.raises(IndexError, match=f'has no item {beyond}; choose from 0 to 1') as caught:
            dataset[beyond]
        assert isinstance(caught.value, MMPartRefError)
    assert len(list(dataset)) == 2  # a loop ends with the IndexError


@pytest.mark.parametrize('wrong', [None, 'zz', 1.5, True, -1, 2**80, [1]])
def test_epochs_are_integers(wrong: Any, path: str) -> None:
    dataset = PartReferDataset(ann_file=path)
    dataset.set_epoch(np.int64(3))
    with pytest.raises(MMPartRefError, match='epoch='):
        dataset.set_epoch(wrong)


@pytest.mark.parametrize('wrong', [None, 5, 'zz', {'type': 'PartReferDataset'}, [], [5], [None], [{}],
                                   [{'type': 'Foo'}], np.array(3), np.arange(2), {1}])
def test_wrong_arguments_of_a_mixture_raise_one_sentence(wrong: Any, path: str) -> None:
    with pytest.raises(MMPartRefError):
        MixedReferDataset(wrong)
    with pytest.raises(InputTypeError, match='lazy_init='):
        MixedReferDataset([PartReferDataset(ann_file=path)], lazy_init=wrong)


# Takes a dataset and a wrong value.
CALLS = {
    'absent number': lambda dataset, wrong: entry(absent={'number': wrong}),
    'absent kinds': lambda dataset, wrong: entry(absent={'kinds': wrong}),
    'absent kind': lambda dataset, wrong: entry(absent={'kinds': [wrong]}),
    'absent seed': lambda dataset, wrong: entry(absent={'seed': wrong}),
    'absent possible': lambda dataset, wrong: entry(absent={'possible': wrong}),
    'instances': lambda dataset, wrong: entry(expressions={'instances': wrong}),
    'templates': lambda dataset, wrong: entry(expressions={'templates': wrong}),
    'negatives': lambda dataset, wrong: entry(negatives={'number': wrong}),
    'protocol name': lambda dataset, wrong: entry(protocol={'name': wrong, 'role': 'seen'}),
    'protocol role': lambda dataset, wrong: entry(protocol={'name': 'partimagenet_parts_25_15', 'role': wrong}),
    'ann_files': lambda dataset, wrong: entry(protocol={'name': 'partimagenet_ood', 'ann_files': wrong}),
    'load_protocol': lambda dataset, wrong: load_protocol(wrong),
    'load_protocol fold': lambda dataset, wrong: load_protocol('leave_one_super_category_out', wrong),
    'train_json': lambda dataset, wrong: load_protocol('partimagenet_ood', train_json=wrong),
    'batch_size': lambda dataset, wrong: ExpressionBatchSampler(DefaultSampler(dataset), wrong),
    'weights': lambda dataset, wrong: MixtureSampler(dataset, weights=wrong),
    'epoch_length': lambda dataset, wrong: MixtureSampler(dataset, epoch_length=wrong),
    'sampler seed': lambda dataset, wrong: MixtureSampler(dataset, seed=wrong),
    'draw seed': lambda dataset, wrong: DrawExpressions(seed=wrong),
    'max_expressions': lambda dataset, wrong: DrawExpressions(max_expressions=wrong),
    'levels': lambda dataset, wrong: DrawLevel(wrong),
    'level seed': lambda dataset, wrong: DrawLevel({'part': 1}, seed=wrong),
    'text': lambda dataset, wrong: ConstantExpression(wrong),
    'size': lambda dataset, wrong: Letterbox(wrong),
    'half_pixel': lambda dataset, wrong: Letterbox(8, half_pixel=wrong),
    'fill': lambda dataset, wrong: Letterbox(8, fill=wrong),
    'out_dir': lambda dataset, wrong: make_toyparts(wrong, splits={'train': 1}),
    'splits': lambda dataset, wrong: make_toyparts('none', splits=wrong),
    'scenes': lambda dataset, wrong: make_toyparts('none', splits={'train': wrong}),
    'toy size': lambda dataset, wrong: make_toyparts('none', splits={'train': 1}, size=wrong),
    'toy seed': lambda dataset, wrong: make_toyparts('none', splits={'train': 1}, seed=wrong),
    'workers': lambda dataset, wrong: make_toyparts('none', splits={'train': 1}, workers=wrong),
}
RIGHT: dict[str, tuple] = {
    'absent number': (5, 1.5), 'absent seed': (5, ), 'negatives': (5, ), 'batch_size': (5, ), 'epoch_length': (5, ),
    'sampler seed': (5, ), 'draw seed': (5, ), 'max_expressions': (5, ), 'level seed': (5, ), 'size': (5, ),
    'templates': (['a'], ), 'scenes': (5, ), 'toy seed': (5, ), 'workers': (5, ),
}


def entry(**entries: Any) -> PartReferDataset:
    return PartReferDataset(ann_file='none.json', entries=entries, lazy_init=True)


@pytest.mark.parametrize('name', CALLS)
def test_wrong_arguments_of_steps_samplers_and_transforms_raise_one_sentence(name: str, path: str) -> None:
    dataset = PartReferDataset(ann_file=path)
    for wrong in WRONG:
        if not any(type(wrong) is type(right) and wrong == right for right in RIGHT.get(name, ())):
            with pytest.raises(MMPartRefError) as caught:
                CALLS[name](dataset, wrong)
            assert len(str(caught.value).splitlines()) == 1


def test_numpy_numbers_are_right(path: str) -> None:
    dataset = PartReferDataset(ann_file=path, max_refetch=np.int64(3), test_mode=np.False_, entries={
        'absent': {'number': np.int64(1), 'seed': np.int64(0), 'kinds': ('other', )}})
    assert len(dataset) == 2
    assert ExpressionBatchSampler(DefaultSampler(dataset), np.int64(2)).batch_size == 2
    assert MixtureSampler(dataset, weights=np.array([2.0]), epoch_length=np.int64(4), seed=np.int64(0)).shares == [4]
    assert repr(Letterbox(np.int64(8), half_pixel=np.True_, fill=np.array([1, 2, 3]))) == repr(
        Letterbox((8, 8), half_pixel=True, fill=(1, 2, 3)))
    assert repr(DrawExpressions(np.int64(1), np.int64(2))) == repr(DrawExpressions(1, 2))
    assert DrawLevel({'part': np.float32(1)}).weights['part'] == 1

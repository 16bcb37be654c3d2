import pickle
from types import SimpleNamespace
from typing import Any

import pytest
from mmcv.transforms import RandomApply, RandomChoice
from mmengine.dataset import BaseDataset, Compose, ConcatDataset, RepeatDataset
from mmengine.registry import DefaultScope
from mmengine.runner import IterBasedTrainLoop

from mmpartref.datasets.transforms import ConstantExpression, DrawExpressions, RandomPartFlip
from mmpartref.engine import DatasetEpochHook
from mmpartref.engine.hooks.dataset_epoch_hook import transforms_with_epoch
from mmpartref.engine.resume.resumable_data import SeededDataset
from mmpartref.registry import HOOKS

REFS = [{'ref_id': f'1:{index}', 'expressions': ['head', 'the head', 'a head']} for index in range(20)]


class Refs(BaseDataset):
    """One image of twenty refs."""

    def __init__(self, **settings: Any) -> None:
        # mmengine's serialization collects garbage, which takes longer than a test.
        super().__init__(serialize_data=False, **settings)

    def load_data_list(self) -> list[dict]:
        return [{'refs': REFS}]


def wrap(kind: str, dataset: Refs) -> Any:
    if kind == 'concat':
        return ConcatDataset([Refs(), dataset])
    if kind == 'repeat':
        return RepeatDataset(dataset, times=2)
    if kind == 'both':
        return RepeatDataset({'type': 'ConcatDataset', 'datasets': [dataset, Refs()]}, times=2)
    return dataset


@pytest.mark.parametrize('kind', ['bare', 'concat', 'repeat', 'both'])
def test_every_transform_learns_of_the_epoch(kind: str) -> None:
    dataset = Refs(pipeline=[DrawExpressions(seed=5), lambda results: results])
    runner = SimpleNamespace(train_dataloader=SimpleNamespace(dataset=wrap(kind, dataset)), epoch=0)
    expected = DrawExpressions(seed=5)
    for epoch in (0, 4):
        runner.epoch = epoch
        DatasetEpochHook().before_train_epoch(runner)
        expected.set_epoch(epoch)
        assert dataset[0]['expressions'] == expected({'refs': REFS})['expressions']


def test_data_without_such_transforms_is_left_alone() -> None:
    dataset = Refs(pipeline=[ConstantExpression('x')])
    runner = SimpleNamespace(train_dataloader=SimpleNamespace(dataset=dataset), epoch=3)
    DatasetEpochHook().before_train_epoch(runner)
    assert dataset[0]['expressions'] == ['x'] * 20


def test_config_finds_it() -> None:
    with DefaultScope.overwrite_default_scope('mmpartref'):
        assert isinstance(HOOKS.build({'type': 'DatasetEpochHook'}), DatasetEpochHook)


def test_the_loaders_wrapper_is_seen_through_once() -> None:
    dataset = Refs(pipeline=[DrawExpressions(seed=5)])
    for wrapped in (SeededDataset(dataset), SeededDataset(RepeatDataset(dataset, times=2))):
        assert list(transforms_with_epoch(wrapped)) == [dataset.pipeline.transforms[0]]
        assert pickle.loads(pickle.dumps(wrapped)).metainfo == dataset.metainfo


def test_mmengines_loop_by_iteration_gets_the_number_of_the_pass() -> None:
    seen = []
    dataset = SimpleNamespace(set_epoch=seen.append)
    loop = IterBasedTrainLoop.__new__(IterBasedTrainLoop)
    hook = DatasetEpochHook()
    for iteration in range(7):
        runner = SimpleNamespace(train_dataloader=Loader(dataset), train_loop=loop, iter=iteration, epoch=0)
        hook.before_train_iter(runner, iteration)
    assert seen == [1, 2]
    runner.train_loop = object()
    hook.before_train_iter(runner, 6)
    assert seen == [1, 2]


class Loader:
    """Three batches."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return 3


def test_transforms_inside_others_have_the_epoch() -> None:
    flips = [RandomPartFlip() for _ in range(3)]
    pipeline = Compose([RandomApply([flips[0]]), RandomChoice([[flips[1]], [flips[2]]])])
    found = list(transforms_with_epoch(SimpleNamespace(pipeline=pipeline)))
    assert [id(each) for each in found] == [id(each) for each in flips]

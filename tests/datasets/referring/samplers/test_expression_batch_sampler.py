from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.dataset import ConcatDataset, DefaultSampler, InfiniteSampler, RepeatDataset
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch.utils.data import Dataset

from mmpartref.datasets import ExpressionBatchSampler, PartReferDataset
from mmpartref.datasets.referring.samplers.expression_batch_sampler import count_expressions


class Counted(Dataset):
    """A dataset with only the number of expressions of its items."""

    def __init__(self, counts: Sequence[int]) -> None:
        self.counts = np.array(counts)

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, index: int) -> int:
        return index

    def num_expressions(self) -> np.ndarray:
        return self.counts


def samplers(counts: Sequence[int], batch_size: int, ranks: int = 1, round_up: bool = True,
             epoch: int = 0) -> list[ExpressionBatchSampler]:
    """The samplers of all ranks, as mmengine builds them."""
    result = []
    for rank in range(ranks):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr('mmengine.dataset.sampler.get_dist_info', lambda rank=rank: (rank, ranks))
            sampler = DefaultSampler(Counted(counts), shuffle=True, seed=0, round_up=round_up)
        sampler.set_epoch(epoch)
        result.append(ExpressionBatchSampler(sampler, batch_size))
    return result


counts_lists = st.lists(st.integers(1, 25), min_size=1, max_size=60)


@settings(deadline=None)
@given(counts_lists, st.integers(1, 80), st.integers(1, 4), st.booleans(), st.integers(0, 3))
def test_every_image_once_in_a_fixed_number_of_batches(counts: list[int], batch_size: int, ranks: int, round_up: bool,
                                                       epoch: int) -> None:
    if len(counts) < ranks:
        round_up = True
    all_ranks = samplers(counts, batch_size, ranks, round_up, epoch)
    wanted = max(1, -(-sum(counts) // (ranks * batch_size)))
    fewest = -(-len(counts) // ranks) if round_up else len(counts) // ranks
    for sampler in all_ranks:
        batches = list(sampler)
        assert len(batches) == len(sampler) == min(wanted, fewest)
        assert all(batches)
        assert [index for batch in batches for index in batch] == list(sampler.sampler)
    seen = [index for sampler in all_ranks for batch in sampler for index in batch]
    assert set(seen) == set(range(len(counts)))
    if not round_up or len(counts) % ranks == 0:
        assert len(seen) == len(counts)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=80, max_size=120), st.integers(24, 64), st.integers(0, 3))
def test_batches_have_about_batch_size_expressions(counts: list[int], batch_size: int, epoch: int) -> None:
    sampler, = samplers(counts, batch_size, epoch=epoch)
    sizes = [sum(counts[index] for index in batch) for batch in sampler]
    # Each of a batch's two borders is at most half the largest image away from that of an equal piece.
    assert max(abs(size - sum(counts) / len(sizes)) for size in sizes) <= max(counts)


def test_the_order_is_the_samplers_and_changes_with_its_epoch() -> None:
    first, = samplers([3] * 40, 12)
    second, = samplers([3] * 40, 12, epoch=1)
    assert len(first) == len(second) == 10
    assert [len(batch) for batch in first] == [4] * 10
    assert list(first) == list(first)
    assert list(first) != list(second)


def test_counts_through_wrappers(coco: dict, write: Callable[[dict], str]) -> None:
    path = write(coco)
    images = PartReferDataset(ann_file=path)
    single = PartReferDataset(ann_file=path, group_by='expression')
    assert count_expressions(images).tolist() == [2, 1]
    assert count_expressions(RepeatDataset(images, times=2)).tolist() == [2, 1, 2, 1]
    assert count_expressions(ConcatDataset([images, single])).tolist() == [2, 1, 1, 1, 1]


def test_mmengine_builds_it_and_reaches_the_epoch(coco: dict, write: Callable[[dict], str]) -> None:
    dataset = {'type': 'PartReferDataset', 'ann_file': write(coco), 'group_by': 'expression',
               'pipeline': [lambda results: {'img_id': results['img_id']}]}
    with DefaultScope.overwrite_default_scope('mmpartref'):
        loader = Runner.build_dataloader(
            {'batch_size': 2, 'num_workers': 0, 'sampler': {'type': 'DefaultSampler', 'shuffle': True},
             'batch_sampler': {'type': 'ExpressionBatchSampler'}, 'dataset': dataset}, seed=0)
    assert len(loader) == 2
    assert sorted(img_id for batch in loader for img_id in batch['img_id']) == [1, 1, 2]
    assert sum(len(batch) for batch in loader.batch_sampler) == 3
    assert hasattr(loader.batch_sampler.sampler, 'set_epoch')


def test_bad_arguments_are_rejected() -> None:
    with pytest.raises(TypeError, match='cannot count the expressions of list'):
        ExpressionBatchSampler(DefaultSampler([1, 2, 3]), 4)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match='use DefaultSampler'):
        ExpressionBatchSampler(InfiniteSampler(Counted([1, 2])), 4)
    with pytest.raises(ValueError, match='batch_size=0'):
        ExpressionBatchSampler(DefaultSampler(Counted([1, 2])), 0)

"""Each dataset's share of an epoch: exact counts, probabilities, and equality of all processes."""
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.dataset import ConcatDataset
from torch.utils.data import Dataset

from mmpartref.datasets import ExpressionBatchSampler, MixtureSampler
from mmpartref.datasets.referring.samplers.mixture_sampler import exact_shares


class Items(ConcatDataset):
    """Datasets of the given sizes; each item has its dataset's number of expressions."""

    def __init__(self, sizes: Sequence[int], expressions: Sequence[int] | None = None) -> None:
        counts = expressions or [1] * len(sizes)
        self.datasets = [Counted(size, count) for size, count in zip(sizes, counts, strict=True)]
        self._fully_initialized = True
        self.cumulative_sizes = np.cumsum(sizes).tolist()


class Counted(Dataset):

    def __init__(self, size: int, count: int) -> None:
        self.counts = np.full(size, count)

    def __len__(self) -> int:
        return len(self.counts)

    def num_expressions(self) -> np.ndarray:
        return self.counts


def orders(sizes: Sequence[int], epoch: int = 0, ranks: int = 1, **settings: Any) -> list[list[int]]:
    """Each process's items of an epoch."""
    found = []
    for rank in range(ranks):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr('mmpartref.datasets.referring.samplers.mixture_sampler.get_dist_info',
                          lambda rank=rank: (rank, ranks))
            sampler = MixtureSampler(Items(sizes), **{'seed': 0, **settings})
        sampler.set_epoch(epoch)
        found.append(list(sampler))
        assert len(found[-1]) == len(sampler)
    return found


def per_dataset(sizes: Sequence[int], order: Sequence[int]) -> list[int]:
    return np.bincount(np.searchsorted(np.cumsum(sizes), order, side='right'), minlength=len(sizes)).tolist()


@pytest.mark.parametrize(('weights', 'total', 'shares'), [
    ([1, 1], 10, [5, 5]),
    ([0.7, 0.3], 10, [7, 3]),  # as written: 0.3 is three tenths
    ([1, 1, 1], 10, [4, 3, 3]),
    ([3, 1], 7, [5, 2]),  # 5.25 and 1.75
    ([30, 10, 5], 45, [30, 10, 5]),
])
def test_shares_are_exact(weights, total, shares):
    assert exact_shares(weights, total) == shares


def test_shares_of_an_epoch_are_exact_and_items_repeat_only_after_all_of_their_dataset():
    sizes = [30, 10]
    seen = Counter()
    for epoch in range(9):
        order, = orders(sizes, epoch, weights=[1, 3], epoch_length=28)
        assert per_dataset(sizes, order) == [7, 21]
        seen.update(order)
        for first, last in ((0, 30), (30, 40)):
            times = [seen[item] for item in range(first, last)]
            assert max(times) - min(times) <= 1
    # 9 x 21 = 189 draws of 10 items; 9 x 7 = 63 of 30.
    assert {seen[item] for item in range(30, 40)} == {18, 19}
    assert {seen[item] for item in range(30)} == {2, 3}


def test_every_position_has_the_probability_of_the_share_for_any_item():
    """400 epochs of 8 positions, 3 of 4 from the second dataset: within four standard deviations of the mean."""
    sizes, epochs = [4, 9], 400
    drawn = np.array([orders(sizes, epoch, weights=[1, 3], epoch_length=8)[0] for epoch in range(epochs)])
    second = (drawn >= 4).mean(axis=0)
    assert np.abs(second - 0.75).max() < 4 * (0.75 * 0.25 / epochs)**0.5
    first_position = np.bincount(drawn[:, 0], minlength=13) / epochs
    expected = np.array([0.25 / 4] * 4 + [0.75 / 9] * 9)
    assert np.abs(first_position - expected).max() < 4 * (expected * (1 - expected) / epochs).max()**0.5
    # Two positions depend on each other only by the fixed shares: 6 of 8 are from the second dataset.
    both = ((drawn[:, 0] >= 4) & (drawn[:, 1] >= 4)).mean()
    assert abs(both - 6 / 8 * 5 / 7) < 4 * 0.5 / epochs**0.5


@pytest.mark.parametrize('sizes', [[7, 5, 2], [9]])
def test_without_weights_it_is_plain_concatenation_shuffled(sizes):
    one, two = (orders(sizes, epoch)[0] for epoch in (0, 1))
    assert sorted(one) == sorted(two) == list(range(sum(sizes)))
    assert one != two
    assert sorted(one) != one


def test_a_single_dataset_counts_as_a_mixture_of_one():
    assert sorted(MixtureSampler(Counted(6, 1), seed=0)) == list(range(6))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=4), st.integers(1, 4), st.integers(0, 3), st.data())
def test_any_number_of_processes_shares_one_order(sizes, ranks, epoch, data):
    weights = data.draw(st.none() | st.lists(st.floats(0.5, 4), min_size=len(sizes), max_size=len(sizes)))
    # A dataset of one in twelve items has a share of an epoch of this length.
    length = data.draw(st.integers(40, 80))
    whole, = orders(sizes, epoch, weights=weights, epoch_length=length)
    shared = orders(sizes, epoch, ranks, weights=weights, epoch_length=length)
    assert len({len(each) for each in shared}) == 1
    interleaved = [item for turn in zip(*shared, strict=True) for item in turn]
    assert interleaved[:length] == whole
    assert interleaved[length:] == whole[:len(interleaved) - length]


def test_epochs_and_seeds_differ_and_repeat():
    settings = {'weights': [1, 1], 'epoch_length': 12}
    order, = orders([20, 20], 3, **settings)
    assert orders([20, 20], 3, **settings) == [order]
    assert orders([20, 20], 4, **settings) != [order]
    assert orders([20, 20], 3, seed=1, **settings) != [order]


@pytest.mark.parametrize('ranks', [1, 2])
def test_the_number_of_batches_follows_from_the_sampled_expressions(ranks):
    """Datasets of 1 and of 6 expressions per image: 20 images of each, 140 expressions, 16 per batch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmpartref.datasets.referring.samplers.mixture_sampler.get_dist_info', lambda: (0, ranks))
        sampler = MixtureSampler(Items([40, 10], [1, 6]), weights=[1, 1], epoch_length=40, seed=0)
    batches = ExpressionBatchSampler(sampler, 16)
    assert len(batches) == -(-140 // (16 * ranks))
    counts = np.repeat([1, 6], [40, 10])
    for epoch in range(3):
        sampler.set_epoch(epoch)
        sizes = [counts[batch].sum() for batch in batches]
        assert len(sizes) == len(batches)
        assert max(abs(size - sum(sizes) / len(sizes)) for size in sizes) <= 6


@pytest.mark.parametrize(('settings', 'message'), [
    ({'weights': [1]}, r'weights=\[1\] should be one positive number for each of the 2 datasets'),
    ({'weights': [1, 0]}, r'weights=\[1, 0\] should be one positive number'),
    ({'weights': [1, float('inf')]}, 'one positive number'),
    ({'epoch_length': 0}, 'epoch_length=0 must be at least 1'),
    ({'weights': [1, 1000]}, 'dataset 0 has none of the 8 items of an epoch; raise its'),
])
def test_bad_arguments_are_rejected(settings, message):
    with pytest.raises(ValueError, match=message):
        MixtureSampler(Items([4, 4]), seed=0, **settings)

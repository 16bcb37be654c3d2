"""What an epoch shows of each data set: exact counts, chances, and the same on every process."""
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
    """Sets of so many items, each item with the set's number of expressions."""

    def __init__(self, sizes: Sequence[int], expressions: Sequence[int] | None = None) -> None:
        self.datasets = [Set(size, count) for size, count in zip(sizes, expressions or [1] * len(sizes), strict=True)]
        self._fully_initialized = True
        self.cumulative_sizes = np.cumsum(sizes).tolist()


class Set(Dataset):

    def __init__(self, size: int, count: int) -> None:
        self.counts = np.full(size, count)

    def __len__(self) -> int:
        return len(self.counts)

    def num_expressions(self) -> np.ndarray:
        return self.counts


def rows(sizes: Sequence[int], epoch: int = 0, ranks: int = 1, **settings: Any) -> list[list[int]]:
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


def per_set(sizes: Sequence[int], row: Sequence[int]) -> list[int]:
    return np.bincount(np.searchsorted(np.cumsum(sizes), row, side='right'), minlength=len(sizes)).tolist()


@pytest.mark.parametrize(('weights', 'total', 'shares'), [
    ([1, 1], 10, [5, 5]),
    ([0.7, 0.3], 10, [7, 3]),  # as written: 0.3 is three tenths
    ([1, 1, 1], 10, [4, 3, 3]),
    ([3, 1], 7, [5, 2]),  # 5.25 and 1.75
    ([30, 10, 5], 45, [30, 10, 5]),
])
def test_shares_are_exact(weights, total, shares):
    assert exact_shares(weights, total) == shares


def test_an_epoch_shows_exactly_the_shares_and_no_item_again_before_all_of_its_set():
    sizes = [30, 10]
    seen = Counter()
    for epoch in range(9):
        row, = rows(sizes, epoch, weights=[1, 3], epoch_length=28)
        assert per_set(sizes, row) == [7, 21]
        seen.update(row)
        for first, last in ((0, 30), (30, 40)):
            times = [seen[item] for item in range(first, last)]
            assert max(times) - min(times) <= 1
    # 9 x 21 = 189 draws of 10 items; 9 x 7 = 63 of 30.
    assert {seen[item] for item in range(30, 40)} == {18, 19}
    assert {seen[item] for item in range(30)} == {2, 3}


def test_every_place_of_an_epoch_is_of_each_set_with_its_chance_and_of_any_item_alike():
    """400 epochs of 8 places, 3 of 4 of the second set: four standard deviations of the binomial around the mean."""
    sizes, epochs = [4, 9], 400
    drawn = np.array([rows(sizes, epoch, weights=[1, 3], epoch_length=8)[0] for epoch in range(epochs)])
    second = (drawn >= 4).mean(axis=0)
    assert np.abs(second - 0.75).max() < 4 * (0.75 * 0.25 / epochs)**0.5
    first_place = np.bincount(drawn[:, 0], minlength=13) / epochs
    expected = np.array([0.25 / 4] * 4 + [0.75 / 9] * 9)
    assert np.abs(first_place - expected).max() < 4 * (expected * (1 - expected) / epochs).max()**0.5
    # What came at one place says nothing about the next but that the shares are fixed: 6 of 8 are of the second set.
    both = ((drawn[:, 0] >= 4) & (drawn[:, 1] >= 4)).mean()
    assert abs(both - 6 / 8 * 5 / 7) < 4 * 0.5 / epochs**0.5


@pytest.mark.parametrize('sizes', [[7, 5, 2], [9]])
def test_without_weights_it_is_plain_concatenation_shuffled(sizes):
    one, two = (rows(sizes, epoch)[0] for epoch in (0, 1))
    assert sorted(one) == sorted(two) == list(range(sum(sizes)))
    assert one != two
    assert sorted(one) != one


def test_a_data_set_that_is_no_mixture_counts_as_one():
    assert sorted(MixtureSampler(Set(6, 1), seed=0)) == list(range(6))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=4), st.integers(1, 4), st.integers(0, 3), st.data())
def test_processes_share_one_row_whatever_their_number(sizes, ranks, epoch, data):
    weights = data.draw(st.none() | st.lists(st.floats(0.5, 4), min_size=len(sizes), max_size=len(sizes)))
    length = data.draw(st.integers(20, 60))
    whole, = rows(sizes, epoch, weights=weights, epoch_length=length)
    shared = rows(sizes, epoch, ranks, weights=weights, epoch_length=length)
    assert len({len(row) for row in shared}) == 1
    woven = [item for turn in zip(*shared, strict=True) for item in turn]
    assert woven[:length] == whole
    assert woven[length:] == whole[:len(woven) - length]


def test_epochs_and_seeds_differ_and_repeat():
    settings = {'weights': [1, 1], 'epoch_length': 12}
    row, = rows([20, 20], 3, **settings)
    assert rows([20, 20], 3, **settings) == [row]
    assert rows([20, 20], 4, **settings) != [row]
    assert rows([20, 20], 3, seed=1, **settings) != [row]


@pytest.mark.parametrize('ranks', [1, 2])
def test_batches_have_a_fixed_number_by_the_expressions_that_are_drawn(ranks):
    """Sets of 1 and of 6 expressions per photo: 20 photos of each, 140 expressions, 16 a batch."""
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
    ({'weights': [1]}, r'weights=\[1\] should be one positive number for each of the 2 data sets'),
    ({'weights': [1, 0]}, r'weights=\[1, 0\] should be one positive number'),
    ({'weights': [1, float('inf')]}, 'one positive number'),
    ({'epoch_length': 0}, 'epoch_length=0 should be the items of an epoch'),
    ({'weights': [1, 1000]}, 'of 8 items an epoch, data set 0 gets none; raise its weight'),
])
def test_what_cannot_be_drawn_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        MixtureSampler(Items([4, 4]), seed=0, **settings)

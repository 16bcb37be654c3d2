"""Sampler of a mixture of datasets."""
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from mmengine.dataset import ConcatDataset
from mmengine.dist import get_dist_info, sync_random_seed
from mmengine.logging import print_log
from torch.utils.data import Dataset, Sampler

from mmpartref.argument_checks import check_integer, check_numbers
from mmpartref.errors import InputError
from mmpartref.registry import DATA_SAMPLERS
from mmpartref.seeding import seeded_generator


def exact_shares(weights: Sequence[float], total: int) -> list[int]:
    """Divide ``total`` in proportion to the weights, rounded by largest remainders, of equal ones the first."""
    exact = [Fraction(str(weight)) for weight in weights]
    quotas = [total * weight / sum(exact) for weight in exact]
    shares = [int(quota) for quota in quotas]
    order = sorted(range(len(quotas)), key=lambda place: shares[place] - quotas[place])
    for place in order[:total - sum(shares)]:
        shares[place] += 1
    return shares


@DATA_SAMPLERS.register_module()
class MixtureSampler(Sampler[int]):
    """Sample a fixed share of each dataset in every epoch.

    Let n be ``epoch_length`` and w_k the weights of the K datasets, in items: images with ``group_by='image'``, so that
    a dataset with more expressions per image has a larger share of the expressions than of the images (both are
    printed).

    - An epoch has exactly n_k items of dataset k: n w_k / sum w, rounded to integers of sum n by largest remainders.
    - Their order is uniformly random over all datasets: at each position of the epoch the probability that the item is
      of dataset k is n_k / n, and each item of the dataset is equally likely.
    - Items of a dataset are drawn without replacement: successive epochs take consecutive pieces of a random
      permutation of the dataset, followed by a new permutation. So no item is drawn for the (i+1)-th time before each
      of its dataset was drawn i times, and a dataset that is smaller than its share is repeated within the epoch.
    - Without weights n_k is in proportion to the datasets' sizes; with ``epoch_length=None`` as well, each item of each
      dataset is drawn once, as in plain concatenation.
    - The order depends on the seed and the epoch alone, not on the workers, the process or whether a run was resumed.
      Of R processes, process r gets the positions r, r + R, ...; the sequence is repeated from its start to a multiple
      of R, as by mmengine's ``DefaultSampler``.

    In a config: ``train_dataloader=dict(sampler=dict(type='MixtureSampler', weights=[3, 1]),
    batch_sampler=dict(type='ExpressionBatchSampler'), dataset=dict(type='MixedReferDataset', datasets=[...]))``.

    Args:
        dataset: a ``ConcatDataset``, e.g. ``MixedReferDataset``; any other counts as one dataset.
        weights: one positive number per dataset, in their order; None for their sizes.
        epoch_length: n, items of an epoch over all processes; None for the items of all datasets.
        seed: None for a random one, common to all processes.

    Raises:
        InputTypeError: an argument is of another type.
        InputError: the weights are not one positive number per dataset, or a dataset's share of the epoch is 0 items.
    """

    def __init__(self, dataset: Dataset, weights: Sequence[float] | None = None, epoch_length: int | None = None,
                 seed: int | None = None) -> None:
        sets: Sequence[Any] = dataset.datasets if isinstance(dataset, ConcatDataset) else [dataset]
        self.dataset = dataset
        self.sizes = [len(each) for each in sets]
        if weights is not None:
            weights = check_numbers(weights, 'MixtureSampler weights', 0, np.inf)
            if len(weights) != len(sets) or not all(0 < weight < np.inf for weight in weights):
                raise InputError(f'MixtureSampler weights={weights} should be one positive number for each of the '
                                 f'{len(sets)} datasets')
        length = check_integer(sum(self.sizes) if epoch_length is None else epoch_length, 'MixtureSampler epoch_length')
        self.shares = exact_shares(self.sizes if weights is None else weights, length)
        if 0 in self.shares:
            raise InputError(f'MixtureSampler: dataset {self.shares.index(0)} has none of the {length} items of an '
                             'epoch; raise its weight or epoch_length, or remove it')
        self.rank, self.world_size = get_dist_info()
        self.seed = sync_random_seed() if seed is None else check_integer(seed, 'MixtureSampler seed', 0)
        self.epoch = 0
        self.num_samples = -(-length // self.world_size)
        self._describe(sets)

    def _describe(self, sets: Sequence[Dataset]) -> None:
        lines = [f'MixtureSampler: {sum(self.shares):,} items per epoch']
        for number, (each, size, share) in enumerate(zip(sets, self.sizes, self.shares, strict=True)):
            name = getattr(each, 'ann_file', type(each).__name__)
            line = f'  dataset {number}  {share:,} of {size:,} items ({share / size:.2f} times each)'
            if hasattr(each, 'num_expressions'):
                line += f', about {float(each.num_expressions().mean()) * share:,.0f} expressions'
            lines.append(f'{line}: {name}')
        print_log('\n'.join(lines), 'current')

    def draws_per_item(self) -> np.ndarray:
        """Return (len(dataset),) float64: how often an epoch draws each item on average, before repeated items."""
        return np.repeat(np.divide(self.shares, self.sizes), self.sizes)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch to sample; ``DistSamplerSeedHook`` calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Items of one process in an epoch."""
        return self.num_samples

    def __iter__(self) -> Iterator[int]:
        """Yield this process's item indices."""
        starts = np.cumsum([0, *self.sizes[:-1]])
        order = np.concatenate([start + self._items_of(number) for number, start in enumerate(starts)])
        order = seeded_generator(self.seed, self.epoch, 'order').permutation(order)
        repeated = np.resize(order, self.num_samples * self.world_size)
        yield from repeated[self.rank::self.world_size].tolist()

    def _items_of(self, number: int) -> np.ndarray:
        """Return (n_k,): this epoch's indices into one dataset, the next ones of its permutations."""
        size, share = self.sizes[number], self.shares[number]
        first = self.epoch * share
        rounds = range(first // size, (first + share - 1) // size + 1)
        order = np.concatenate([seeded_generator(self.seed, each, 'dataset', number).permutation(size)
                                for each in rounds])
        start = first - rounds[0] * size
        return order[start:start + share]

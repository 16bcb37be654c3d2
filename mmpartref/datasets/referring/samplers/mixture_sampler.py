"""How much of each data set an epoch shows."""
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from mmengine.dataset import ConcatDataset
from mmengine.dist import get_dist_info, sync_random_seed
from mmengine.logging import print_log
from torch.utils.data import Dataset, Sampler

from mmpartref.errors import InputError
from mmpartref.registry import DATA_SAMPLERS


def exact_shares(weights: Sequence[float], total: int) -> list[int]:
    """Divide ``total`` in proportion to the weights, each share rounded down, what is left to the largest remainders.

    Of equal remainders the earlier one counts as larger.
    """
    exact = [Fraction(str(weight)) for weight in weights]
    quotas = [total * weight / sum(exact) for weight in exact]
    shares = [int(quota) for quota in quotas]
    order = sorted(range(len(quotas)), key=lambda place: shares[place] - quotas[place])
    for place in order[:total - sum(shares)]:
        shares[place] += 1
    return shares


@DATA_SAMPLERS.register_module()
class MixtureSampler(Sampler[int]):
    """Draw each data set's share of an epoch, the same share in every epoch.

    Let n be ``epoch_length`` and w_k the weights of the K sets, in items: photos with ``group_by='image'``, so that a
    set with more expressions per photo has a larger share of the expressions than of the photos (both are printed).

    - An epoch shows exactly n_k items of set k: n w_k / sum w, rounded to integers that sum to n by largest remainders.
    - Their order is uniformly random over all sets: at each place of the epoch the probability that the item is of set
      k is n_k / n, and each item of the set is equally likely.
    - Items of a set are drawn without replacement: epoch after epoch deals on from one shuffled deck of the set, and
      reshuffles when it is used up. So no item comes for the (i+1)-th time before each of its set came i times, and a
      set that is smaller than its share is repeated within the epoch.
    - Without weights n_k is in proportion to the sets' sizes; with ``epoch_length=None`` as well, each item of each set
      once, as plain concatenation.
    - Everything follows from the seed and the epoch: any number of workers, a resumed run and every process draw the
      same. Of R processes, process r gets the places r, r + R, ...; the row is filled up from its start to a multiple
      of R, as mmengine's ``DefaultSampler`` does.

    In a config: ``train_dataloader=dict(sampler=dict(type='MixtureSampler', weights=[3, 1]),
    batch_sampler=dict(type='ExpressionBatchSampler'), dataset=dict(type='MixedReferDataset', datasets=[...]))``.

    Args:
        dataset: a ``ConcatDataset``, e.g. ``MixedReferDataset``; any other counts as one set.
        weights: one positive number per set, in their order; None for their sizes.
        epoch_length: n, items of an epoch over all processes; None for the items of all sets together.
        seed: None takes mmengine's common random one.

    Raises:
        ValueError: the weights are not one positive number per set, or a set's share of the epoch is no item.
    """

    def __init__(self,
                 dataset: Dataset,
                 weights: Sequence[float] | None = None,
                 epoch_length: int | None = None,
                 seed: int | None = None) -> None:
        sets: Sequence[Any] = dataset.datasets if isinstance(dataset, ConcatDataset) else [dataset]
        self.dataset = dataset
        self.sizes = [len(each) for each in sets]
        if weights is not None and (len(weights) != len(sets) or not all(0 < weight < np.inf for weight in weights)):
            raise InputError(f'MixtureSampler weights={list(weights)} should be one positive number for each of the '
                             f'{len(sets)} data sets')
        length = sum(self.sizes) if epoch_length is None else epoch_length
        if length < 1:
            raise InputError(f'MixtureSampler epoch_length={length} should be the items of an epoch, at least 1')
        self.shares = exact_shares(self.sizes if weights is None else weights, length)
        if 0 in self.shares:
            raise InputError(f'MixtureSampler: of {length} items an epoch, data set {self.shares.index(0)} gets none; '
                             'raise its weight or epoch_length, or leave it out')
        self.rank, self.world_size = get_dist_info()
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0
        self.num_samples = -(-length // self.world_size)
        self._describe(sets)

    def _describe(self, sets: Sequence[Dataset]) -> None:
        lines = [f'MixtureSampler: {sum(self.shares):,} items an epoch']
        for number, (each, size, share) in enumerate(zip(sets, self.sizes, self.shares, strict=True)):
            name = getattr(each, 'ann_file', type(each).__name__)
            asked = ''
            if hasattr(each, 'num_expressions'):
                asked = f', about {float(each.num_expressions().mean()) * share:,.0f} expressions'
            lines.append(f'  set {number}  {share:,} of {size:,} items ({share / size:.2f} times each){asked}: {name}')
        print_log('\n'.join(lines), 'current')

    def draws(self) -> np.ndarray:
        """Return (len(dataset),) float64: how often an epoch draws each item on average, before filling up."""
        return np.repeat(np.divide(self.shares, self.sizes), self.sizes)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next draw; ``DistSamplerSeedHook`` calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Items of one process in an epoch."""
        return self.num_samples

    def __iter__(self) -> Iterator[int]:
        """Yield this process's item indices."""
        starts = np.cumsum([0, *self.sizes[:-1]])
        row = np.concatenate([start + self._deal(number) for number, start in enumerate(starts)])
        row = np.random.default_rng([self.seed, 0, self.epoch]).permutation(row)
        filled = np.resize(row, self.num_samples * self.world_size)
        yield from filled[self.rank::self.world_size].tolist()

    def _deal(self, number: int) -> np.ndarray:
        """Return (n_k,): this epoch's indices into one set, the next ones of its decks."""
        size, share = self.sizes[number], self.shares[number]
        first = self.epoch * share
        decks = range(first // size, (first + share - 1) // size + 1)
        dealt = np.concatenate(
            [np.random.default_rng([self.seed, 1 + number, deck]).permutation(size) for deck in decks])
        start = first - decks[0] * size
        return dealt[start:start + share]

"""Batches that hold a number of expressions, whatever number of photos that takes."""
import math
from collections.abc import Iterator

import numpy as np
from mmengine.dataset import ClassBalancedDataset, ConcatDataset, DefaultSampler, InfiniteSampler, RepeatDataset
from torch.utils.data import Dataset, Sampler

from mmpartref.errors import InputError, InputTypeError
from mmpartref.registry import DATA_SAMPLERS


def count_expressions(dataset: Dataset) -> np.ndarray:
    """Return (len(dataset),): expressions per item, through mmengine's wrappers.

    Raises:
        TypeError: the data set cannot tell.
    """
    if isinstance(dataset, ConcatDataset):
        return np.concatenate([count_expressions(each) for each in dataset.datasets])
    if isinstance(dataset, RepeatDataset):
        return np.tile(count_expressions(dataset.dataset), dataset.times)
    if isinstance(dataset, ClassBalancedDataset):
        return count_expressions(dataset.dataset)[np.asarray(dataset.repeat_indices)]
    if not hasattr(dataset, 'num_expressions'):
        raise InputTypeError(f'ExpressionBatchSampler cannot count the expressions of {type(dataset).__name__}, which '
                             'has no num_expressions(); use a PartReferDataset or leave batch_sampler out')
    return np.asarray(dataset.num_expressions())


@DATA_SAMPLERS.register_module()
class ExpressionBatchSampler(Sampler[list[int]]):
    """Cut a sampler's photos, in its order, into batches of about ``batch_size`` expressions.

    A photo asks about 1 to some 10 parts, so batches of a fixed number of photos would need memory and weigh gradients
    unevenly. Here the number of batches is fixed instead, the same in every epoch and on every rank: total expressions
    / ranks / ``batch_size``, rounded up, at most the photos of a rank. The epoch's row of expressions is divided into
    so many equal stretches, and each cut moved to the nearest border between two photos.

    In a config: ``train_dataloader=dict(batch_size=64, batch_sampler=dict(type='ExpressionBatchSampler'), ...)``.

    Args:
        sampler: a finite sampler of item indices with ``dataset``, e.g. mmengine's ``DefaultSampler`` or
            ``MixtureSampler``; mmengine reaches ``set_epoch`` through this attribute.
        batch_size: expressions per batch and rank.

    Raises:
        ValueError: ``batch_size`` is not positive.
        TypeError: the sampler never ends, or the data set cannot count its expressions.
    """

    def __init__(self, sampler: DefaultSampler, batch_size: int) -> None:
        if batch_size < 1:
            raise InputError(f'batch_size={batch_size} should be the number of expressions of a batch, at least 1')
        if isinstance(sampler, InfiniteSampler):
            raise InputTypeError('ExpressionBatchSampler needs a sampler that ends; use DefaultSampler')
        self.sampler = sampler
        self.batch_size = batch_size
        self.counts = count_expressions(sampler.dataset)
        # mmengine's name, and torch's.
        ranks: int = getattr(sampler, 'world_size', 0) or getattr(sampler, 'num_replicas', 1)
        # Without rounding up the ranks' shares differ by one photo; the smallest share rules.
        photos = len(sampler) if getattr(sampler, 'round_up', True) else len(self.counts) // ranks
        # A sampler that shows some items more often than others says how often.
        draws = sampler.draws() if hasattr(sampler, 'draws') else 1
        wanted = math.ceil(round(float((self.counts * draws).sum()), 6) / ranks / batch_size)
        self.num_batches = max(1, min(wanted, photos))

    def __len__(self) -> int:
        """Batches of one epoch."""
        return self.num_batches

    def __iter__(self) -> Iterator[list[int]]:
        """Yield lists of item indices."""
        order = list(self.sampler)
        before = np.concatenate([[0], np.cumsum(self.counts[order])])  # expressions before each photo, and in all
        start = 0
        for batch in range(1, self.num_batches + 1):
            border = before[-1] * batch / self.num_batches
            stop = int(np.searchsorted(before, border))
            if stop and border - before[stop - 1] < before[stop] - border:
                stop -= 1
            # At least one photo here, and one for each batch to come.
            stop = min(max(stop, start + 1), len(order) - (self.num_batches - batch))
            yield order[start:stop]
            start = stop

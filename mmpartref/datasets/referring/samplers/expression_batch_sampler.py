"""Batches with a fixed number of expressions and a variable number of images."""
import math
from collections.abc import Iterator

import numpy as np
from mmengine.dataset import ClassBalancedDataset, ConcatDataset, DefaultSampler, InfiniteSampler, RepeatDataset
from torch.utils.data import Dataset, Sampler

from mmpartref.argument_checks import check_integer
from mmpartref.errors import InputTypeError
from mmpartref.registry import DATA_SAMPLERS


def count_expressions(dataset: Dataset) -> np.ndarray:
    """Return (len(dataset),): expressions per item, also of a dataset in mmengine's wrappers.

    Raises:
        InputTypeError: the dataset has no ``num_expressions``.
    """
    if isinstance(dataset, ConcatDataset):
        return np.concatenate([count_expressions(each) for each in dataset.datasets])
    if isinstance(dataset, RepeatDataset):
        return np.tile(count_expressions(dataset.dataset), dataset.times)
    if isinstance(dataset, ClassBalancedDataset):
        return count_expressions(dataset.dataset)[np.asarray(dataset.repeat_indices)]
    if not hasattr(dataset, 'num_expressions'):
        raise InputTypeError(f'ExpressionBatchSampler cannot count the expressions of {type(dataset).__name__}, which '
                             'has no num_expressions(); use a PartReferDataset or remove batch_sampler')
    return np.asarray(dataset.num_expressions())


@DATA_SAMPLERS.register_module()
class ExpressionBatchSampler(Sampler[list[int]]):
    """Divide a sampler's images, in its order, into batches of about ``batch_size`` expressions.

    An image has 1 to some 10 expressions, so batches of a fixed number of images would differ in memory and in the
    weight of an expression's gradient. Here the number of batches is fixed, the same in every epoch and on every rank:
    total expressions / ranks / ``batch_size``, rounded up, at most the images of a rank. The sequence of an epoch's
    expressions is divided into as many equal pieces, and each border moved to the nearest one between two images.

    In a config: ``train_dataloader=dict(batch_size=64, batch_sampler=dict(type='ExpressionBatchSampler'), ...)``.

    Args:
        sampler: a finite sampler of item indices with ``dataset``, e.g. mmengine's ``DefaultSampler`` or
            ``MixtureSampler``; mmengine reaches ``set_epoch`` through this attribute.
        batch_size: expressions per batch and rank.

    Raises:
        InputError: ``batch_size`` is not positive.
        InputTypeError: ``batch_size`` is not an integer, the sampler is infinite, or the dataset cannot count its
            expressions.
    """

    def __init__(self, sampler: DefaultSampler, batch_size: int) -> None:
        batch_size = check_integer(batch_size, 'batch_size')
        if isinstance(sampler, InfiniteSampler):
            raise InputTypeError('ExpressionBatchSampler needs a finite sampler; use DefaultSampler')
        self.sampler = sampler
        self.batch_size = batch_size
        self.counts = count_expressions(sampler.dataset)
        # Names of the attribute in mmengine and in torch.
        ranks: int = getattr(sampler, 'world_size', 0) or getattr(sampler, 'num_replicas', 1)
        # Without rounding up, the ranks' shares differ by one image; the smallest counts.
        images = len(sampler) if getattr(sampler, 'round_up', True) else len(self.counts) // ranks
        draws = sampler.draws_per_item() if hasattr(sampler, 'draws_per_item') else 1
        wanted = math.ceil(round(float((self.counts * draws).sum()), 6) / ranks / batch_size)
        self.num_batches = max(1, min(wanted, images))

    def __len__(self) -> int:
        """Batches of one epoch."""
        return self.num_batches

    def __iter__(self) -> Iterator[list[int]]:
        """Yield lists of item indices."""
        order = list(self.sampler)
        before = np.concatenate([[0], np.cumsum(self.counts[order])])  # expressions before each image, and total
        start = 0
        for batch in range(1, self.num_batches + 1):
            border = before[-1] * batch / self.num_batches
            stop = int(np.searchsorted(before, border))
            if stop and border - before[stop - 1] < before[stop] - border:
                stop -= 1
            # At least one image in this batch and in each later one.
            stop = min(max(stop, start + 1), len(order) - (self.num_batches - batch))
            yield order[start:stop]
            start = stop

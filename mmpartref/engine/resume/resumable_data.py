"""A data loader that starts within an epoch and draws the same augmentations whichever process loads."""
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler

from mmpartref.engine.resume.random_streams import seed_sample
from mmpartref.errors import InputTypeError


class ResumableBatchSampler(Sampler[list[int]]):
    """Leave out the first ``start`` batches of an epoch; their photos are not loaded.

    Everything else, ``sampler`` and ``batch_size`` among it, is the inner batch sampler's.

    Args:
        inner: the batch sampler.
    """

    def __init__(self, inner: Sampler[list[int]]) -> None:
        self.inner = inner
        self.start = 0

    def __getattr__(self, name: str) -> Any:
        # 'inner' itself is missing while an object is being unpickled.
        if name == 'inner':
            raise AttributeError(name)
        return getattr(self.inner, name)

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return len(self.inner)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[list[int]]:
        """Yield lists of item indices."""
        return islice(iter(self.inner), self.start, None)


class SeededDataset(Dataset):
    """Make all that is drawn while an item is loaded a function of seed, epoch and index.

    Seed and epoch lie in shared memory, so that persistent worker processes learn of them. Everything else is the inner
    data set's.

    Args:
        inner: a map-style data set.
    """

    def __init__(self, inner: Dataset) -> None:
        self.inner = inner
        self._place = torch.zeros(2, dtype=torch.int64).share_memory_()

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._place.share_memory_()

    def __getattr__(self, name: str) -> Any:
        # Not while an object is being unpickled; nor a __getitems__, by which torch would pass by __getitem__.
        if name in ('inner', '_place') or name.startswith('__'):
            raise AttributeError(name)
        return getattr(self.inner, name)

    def set_place(self, seed: int, epoch: int) -> None:
        """Set the run's seed and the epoch of the items loaded from now on."""
        self._place[:] = torch.tensor((seed, epoch))

    def __len__(self) -> int:
        """Items."""
        return len(self.inner)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Any:
        """Load an item."""
        seed, epoch = self._place.tolist()
        seed_sample(seed, epoch, index)
        return self.inner[index]


def make_resumable(loader: DataLoader) -> tuple[SeededDataset, ResumableBatchSampler]:
    """Put both into a data loader that has not been iterated, and return them; once is enough.

    Raises:
        TypeError: the data set is iterable-style, or the loader does not batch; neither has positions to go back to.
    """
    dataset, batches = loader.dataset, loader.batch_sampler
    if isinstance(dataset, SeededDataset) and isinstance(batches, ResumableBatchSampler):
        return dataset, batches
    if isinstance(dataset, IterableDataset) or batches is None:
        raise InputTypeError(f'a run on {type(dataset).__name__} cannot be resumed within an epoch: that takes a '
                             'dataset with indices, and a batch_size')
    dataset, batches = SeededDataset(dataset), ResumableBatchSampler(batches)  # type: ignore[arg-type]
    # torch refuses assignments, because an iterator may be under way; here none is.
    vars(loader).update(dataset=dataset, batch_sampler=batches)
    return dataset, batches

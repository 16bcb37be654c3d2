"""Data loading that can start within an epoch, with random draws that do not depend on the loading process."""
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler

from mmpartref.errors import InputTypeError
from mmpartref.seeding import seed_global_generators


class ResumableBatchSampler(Sampler[list[int]]):
    """Wrapper of a batch sampler that skips the first ``start`` batches of an epoch, without loading their images.

    Other attributes, such as ``sampler`` and ``batch_size``, are those of the wrapped batch sampler.

    Args:
        inner: the wrapped batch sampler.
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
        """Return the batches of a whole epoch."""
        return len(self.inner)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[list[int]]:
        """Yield lists of item indices."""
        return islice(iter(self.inner), self.start, None)


class SeededDataset(Dataset):
    """Wrapper of a dataset that seeds the global random generators from seed, epoch and index before an item is loaded.

    Seed and epoch are in memory shared with persistent worker processes. Other attributes are those of the wrapped
    dataset.

    Args:
        inner: the wrapped dataset, map-style.
    """

    def __init__(self, inner: Dataset) -> None:
        self.inner = inner
        self._place = torch.zeros(2, dtype=torch.int64).share_memory_()

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._place.share_memory_()

    def __getattr__(self, name: str) -> Any:
        # Not while an object is being unpickled, and no __getitems__, which torch would call instead of __getitem__.
        if name in ('inner', '_place') or name.startswith('__'):
            raise AttributeError(name)
        return getattr(self.inner, name)

    def set_place(self, seed: int, epoch: int) -> None:
        """Set the run's seed and the epoch, counted from 0, for the next items."""
        self._place[:] = torch.tensor((seed, epoch))

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.inner)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Any:
        """Load an item."""
        seed, epoch = self._place.tolist()
        seed_global_generators(seed, epoch, 'item', index, devices=False)
        return self.inner[index]


def make_resumable(loader: DataLoader) -> tuple[SeededDataset, ResumableBatchSampler]:
    """Wrap dataset and batch sampler of a data loader that has not been iterated yet, and return them. Idempotent.

    Raises:
        TypeError: the dataset is iterable-style or the loader does not batch, so that there are no positions.
    """
    dataset, batches = loader.dataset, loader.batch_sampler
    if isinstance(dataset, SeededDataset) and isinstance(batches, ResumableBatchSampler):
        return dataset, batches
    if isinstance(dataset, IterableDataset) or batches is None:
        raise InputTypeError(f'a run on {type(dataset).__name__} cannot be resumed within an epoch; use a dataset with '
                             'indices and set batch_size')
    dataset, batches = SeededDataset(dataset), ResumableBatchSampler(batches)  # type: ignore[arg-type]
    # torch rejects assignments in case there is an iterator; here there is none.
    vars(loader).update(dataset=dataset, batch_sampler=batches)
    return dataset, batches

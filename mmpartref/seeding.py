"""Seeded draws of a training, and the epoch that all data loading processes share.

Every draw that depends on seed, epoch, index and key goes through ``seeded_hash``. So it depends neither on the number
of processes nor on the order in which items are loaded, and a resumed run draws what the run would have drawn.
"""
import hashlib
import random

import numpy as np
import torch


def seeded_hash(seed: int, epoch: int, *key: int | str) -> int:
    """Return 64 pseudo-random bits, the same on every machine and with every version of numpy.

    Args:
        seed: of the run or of one transform, the same on all ranks.
        epoch: counted from 0.
        *key: what the draw is for, e.g. an image id and a name; joined by colons.
    """
    text = ':'.join(str(each) for each in (seed, epoch, *key))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), 'big')


def seeded_uniform(seed: int, epoch: int, *key: int | str) -> float:
    """Return one uniform draw from the open interval (0, 1). Arguments as ``seeded_hash``."""
    return (seeded_hash(seed, epoch, *key) + 0.5) / 2**64


def seeded_generator(seed: int, epoch: int, *key: int | str) -> np.random.Generator:
    """Return a numpy generator for several draws. Arguments as ``seeded_hash``."""
    return np.random.default_rng(seeded_hash(seed, epoch, *key))


def seed_global_generators(seed: int, epoch: int, *key: int | str, devices: bool = True) -> None:
    """Seed the global generators of Python, numpy and torch.

    Args:
        seed: see ``seeded_hash``.
        epoch: see ``seeded_hash``.
        *key: see ``seeded_hash``.
        devices: also seed torch's generators of all devices, not only that of the CPU.
    """
    number = seeded_hash(seed, epoch, *key) % 2**32  # numpy's global generator takes 32 bits
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002 - third-party transforms and models draw from it
    if devices:
        torch.manual_seed(number)
    else:
        torch.default_generator.manual_seed(number)


class EpochDraws:
    """Mixin that holds the epoch of a dataset's or transform's draws in memory shared with persistent workers."""

    def __init__(self) -> None:
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()

    def __setstate__(self, state: dict) -> None:
        # A copy, of a subset of the dataset for example, has its own tensor, which has to be shared as well.
        self.__dict__.update(state)
        self._epoch.share_memory_()

    @property
    def epoch(self) -> int:
        """The epoch of the next draws, counted from 0."""
        return int(self._epoch[0])

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next draws in all processes."""
        self._epoch[0] = epoch

"""Random numbers that depend on where a run is, not on how it came there."""
import random

import numpy as np
import torch
from mmengine.runner import set_random_seed

# Keep the streams of steps and of photos apart.
STEP, SAMPLE = 0, 1


def seed_of(*place: int) -> int:
    """Return a seed of 32 bits, what numpy's global generator takes, hashed from a place (numbers >= 0)."""
    return int(np.random.SeedSequence(place).generate_state(1)[0])


def seed_step(seed: int, epoch: int, batch: int, rank: int) -> None:
    """Seed python, numpy and torch on all devices for one training step of one process.

    Args:
        seed: the run's.
        epoch: counted from 0.
        batch: of the epoch, counted from 0.
        rank: of the process.
    """
    set_random_seed(seed_of(STEP, seed, epoch, batch, rank))


def seed_sample(seed: int, epoch: int, index: int) -> None:
    """Seed python, numpy and torch's CPU generator for the loading of one photo, in whatever process.

    Args:
        seed: the data's, the same on all ranks.
        epoch: counted from 0.
        index: of the item in the data set.
    """
    number = seed_of(SAMPLE, seed, epoch, index)
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002 - transforms of others draw from it
    torch.default_generator.manual_seed(number)

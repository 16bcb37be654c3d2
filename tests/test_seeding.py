import random

import numpy as np
import pytest
import torch

from mmpartref.seeding import seed_global_generators, seeded_generator, seeded_hash, seeded_uniform


def test_draws_are_the_same_on_every_machine():
    assert seeded_hash(3, 1, 'a', 7) == seeded_hash(3, 1, 'a:7') == 15582662864564999262
    assert seeded_uniform(3, 1, 'a', 7) == pytest.approx(15582662864564999262 / 2**64)


def test_draws_differ_by_seed_epoch_and_key_and_are_uniform():
    draws = np.array([seeded_uniform(seed, epoch, key) for seed in range(10) for epoch in range(10)
                      for key in range(100)])
    assert len(np.unique(draws)) == 10000
    counts, _ = np.histogram(draws, bins=10, range=(0, 1))
    assert abs(counts - 1000).max() < 150


def test_a_generator_and_the_global_generators_repeat_their_draws():
    assert seeded_generator(0, 1, 'x').random() == seeded_generator(0, 1, 'x').random()
    assert seeded_generator(0, 1, 'x').random() != seeded_generator(0, 2, 'x').random()
    found = []
    for epoch in (1, 1, 2):
        seed_global_generators(0, epoch, 'x', devices=False)
        found.append((random.random(), np.random.rand(), float(torch.rand(1))))  # noqa: NPY002
    assert found[0] == found[1]
    assert all(one != other for one, other in zip(found[1], found[2], strict=True))

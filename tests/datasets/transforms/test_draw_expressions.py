import copy
import pickle
from collections import Counter
from typing import Any

import numpy as np
import pytest
from torch.utils.data import DataLoader, Dataset

from mmpartref.datasets.transforms import ConstantExpression, DrawExpressions

EXPRESSIONS = ['car wheel', 'wheel', 'the wheel of the car']


def entry(first: int, count: int) -> dict[str, Any]:
    return {'refs': [{'ref_id': f'1:{index}', 'expressions': EXPRESSIONS} for index in range(first, first + count)]}


def draw(transform: DrawExpressions, epoch: int, first: int = 0, count: int = 40) -> list[str]:
    transform.set_epoch(epoch)
    return transform(entry(first, count))['expressions']


class Images(Dataset):
    """Eight images of five refs, in a worker process."""

    def __init__(self, transform: DrawExpressions) -> None:
        self.transform = transform

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> list[str]:
        return self.transform(entry(5 * index, 5))['expressions']


def test_draws_differ_between_epochs_and_seeds_and_repeat() -> None:
    transform = DrawExpressions()
    assert draw(transform, 0) == draw(transform, 0) == draw(DrawExpressions(), 0)
    assert len({tuple(draw(transform, epoch)) for epoch in range(5)}) == 5
    assert draw(DrawExpressions(seed=1), 0) != draw(transform, 0)


def test_all_expressions_are_sampled_about_equally_often() -> None:
    transform = DrawExpressions()
    counts = Counter(text for epoch in range(50) for text in draw(transform, epoch))
    assert set(counts) == set(EXPRESSIONS)
    assert min(counts.values()) > 550  # of 2000 / 3


def test_draw_depends_on_the_ref_alone() -> None:
    transform = DrawExpressions()
    together = draw(transform, 3, 0, 10)
    assert [draw(transform, 3, index, 1)[0] for index in range(10)] == together
    backwards = transform({'refs': entry(0, 10)['refs'][::-1]})['expressions']
    assert backwards[::-1] == together


def test_persistent_workers_see_the_epoch_and_draw_the_same() -> None:
    transform = DrawExpressions()
    alone = DrawExpressions()
    loader = DataLoader(Images(transform), batch_size=2, num_workers=2, persistent_workers=True,
                        collate_fn=list, multiprocessing_context='fork')
    for epoch in range(3):
        transform.set_epoch(epoch)
        drawn = [text for batch in loader for expressions in batch for text in expressions]
        assert drawn == draw(alone, epoch)


def test_copies_share_their_epoch_with_workers_too() -> None:
    original = DrawExpressions(seed=3, max_expressions=2)
    for twin in (copy.deepcopy(original), pickle.loads(pickle.dumps(original))):
        assert twin._epoch.is_shared()
        twin.set_epoch(7)
        assert draw(original, 0) == draw(DrawExpressions(seed=3, max_expressions=2), 0)
        assert twin(entry(0, 9)) == {'refs': twin(entry(0, 9))['refs'], 'expressions': draw(original, 7, 0, 9)}


def test_cap_draws_refs_and_cuts_masks_alike() -> None:
    transform = DrawExpressions(max_expressions=3)
    free = dict(zip([ref['ref_id'] for ref in entry(0, 10)['refs']], draw(DrawExpressions(), 2, 0, 10), strict=True))
    transform.set_epoch(2)
    results = transform({**entry(0, 10), 'gt_masks': np.arange(10).reshape(10, 1, 1)})
    indices = [int(ref['ref_id'].split(':')[1]) for ref in results['refs']]
    assert len(indices) == 3
    assert indices == sorted(indices) == results['gt_masks'][:, 0, 0].tolist()
    # The cap drops refs; it does not change the expressions of the others.
    assert results['expressions'] == [free[f'1:{index}'] for index in indices]


def test_cap_samples_every_ref_in_some_epoch() -> None:
    transform = DrawExpressions(max_expressions=2)
    seen = Counter()
    for epoch in range(300):
        transform.set_epoch(epoch)
        seen.update(ref['ref_id'] for ref in transform(entry(0, 6))['refs'])
    assert len(seen) == 6
    assert min(seen.values()) > 70  # of 100


def test_cap_does_not_change_small_images() -> None:
    assert len(DrawExpressions(max_expressions=5)(entry(0, 5))['refs']) == 5
    with pytest.raises(ValueError, match='max_expressions=0 must be at least 1'):
        DrawExpressions(max_expressions=0)


def test_constant_expression_replaces_the_text() -> None:
    results = ConstantExpression('an image')(DrawExpressions()(entry(0, 4)))
    assert results['expressions'] == ['an image'] * 4
    assert ConstantExpression('x')(entry(0, 2))['expressions'] == ['x', 'x']

"""Errors of data loading processes reach the main process as they are."""
from types import SimpleNamespace

import pytest
from mmengine.dataset import pseudo_collate
from mmengine.runner import IterBasedTrainLoop
from torch.utils.data import DataLoader, IterableDataset, default_collate

from mmpartref.engine.hooks.worker_error_hook import WorkerErrorHook, raise_error, return_errors
from mmpartref.errors import BadImageError, InputError, MissingImageError


class Items:
    """Dataset of numbers, of which one raises."""

    def __init__(self, error):
        self.error, self.name = error, 'numbers'

    def __len__(self):
        return 4

    def __getitem__(self, index):
        if index == 2:
            raise self.error
        return {'index': index}


def read(error, workers, collate_fn=pseudo_collate, batch_size=2):
    loader = DataLoader(Items(error), batch_size=batch_size, num_workers=workers, collate_fn=collate_fn)
    return_errors(loader)
    return_errors(loader)
    assert loader.dataset.name == 'numbers'
    batches = []
    for batch in loader:
        raise_error(batch)
        batches.append(batch)
    return batches


@pytest.mark.parametrize('collate_fn', [pseudo_collate, default_collate, lambda items: items[0]['index']])
@pytest.mark.parametrize('batch_size', [2, None])
def test_any_collate_function_may_be_used(collate_fn, batch_size):
    with pytest.raises(BadImageError) as caught:
        read(BadImageError('a.jpg is truncated'), 1, collate_fn if batch_size else None, batch_size)
    assert str(caught.value) == 'a.jpg is truncated'


class Stream(IterableDataset):
    """Numbers without an index."""

    def __iter__(self):
        return iter(range(4))


def test_datasets_without_an_index_are_not_changed():
    loader = DataLoader(Stream(), batch_size=2, num_workers=1)
    assert not return_errors(loader)
    assert [batch.tolist() for batch in loader] == [[0, 1], [2, 3]]


def test_the_loop_of_iterations_starts_its_processes_again():
    loader = DataLoader(Items(BadImageError('a.jpg is truncated')), batch_size=2, num_workers=1,
                        collate_fn=pseudo_collate)
    runner = SimpleNamespace(epoch=0, iter=0, max_iters=4, visualizer=None)
    loop = IterBasedTrainLoop(runner, loader, max_iters=4)
    runner.train_loop = loop
    WorkerErrorHook().before_train(runner)
    raise_error(next(loop.dataloader_iterator))
    with pytest.raises(BadImageError) as caught:
        raise_error(next(loop.dataloader_iterator))
    assert str(caught.value) == 'a.jpg is truncated'


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('error', [BadImageError, MissingImageError, InputError])
def test_an_error_of_ours_leaves_a_worker_as_it_is(workers, error):
    with pytest.raises(error) as caught:
        read(error('a.jpg is truncated'), workers)
    assert type(caught.value) is error
    assert str(caught.value) == 'a.jpg is truncated'


def test_other_errors_of_a_worker_name_their_traceback():
    with pytest.raises(ZeroDivisionError, match='Original Traceback'):
        read(ZeroDivisionError(), 1)

"""Errors of data loading processes reach the main process as they are."""
import pytest
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from mmpartref.engine.hooks.worker_error_hook import raise_error, return_errors
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


def read(error, workers):
    loader = DataLoader(Items(error), batch_size=2, num_workers=workers, collate_fn=pseudo_collate)
    return_errors(loader)
    return_errors(loader)
    assert loader.dataset.name == 'numbers'
    batches = []
    for batch in loader:
        raise_error(batch)
        batches.append(batch)
    return batches


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('error', [BadImageError, MissingImageError, InputError])
def test_an_error_of_ours_leaves_a_worker_as_it_is(workers, error):
    with pytest.raises(error) as caught:
        read(error('a.jpg is cut off'), workers)
    assert type(caught.value) is error
    assert str(caught.value) == 'a.jpg is cut off'


def test_other_errors_of_a_worker_name_their_traceback():
    with pytest.raises(ZeroDivisionError, match='Original Traceback'):
        read(ZeroDivisionError(), 1)

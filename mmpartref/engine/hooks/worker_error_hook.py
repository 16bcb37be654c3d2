"""Errors of data loading processes, passed to the main process as values."""
from collections.abc import Callable, Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader, Dataset, IterableDataset

from mmpartref.errors import MMPartRefError
from mmpartref.registry import HOOKS


class ErrorsAsItems(Dataset):
    """Dataset whose batch is ``[error]`` where reading one of its items raises an ``MMPartRefError``.

    Everything else is the inner dataset's.

    Args:
        inner: a map-style dataset.
    """

    def __init__(self, inner: Dataset) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        # Not while an object is being unpickled.
        if name == 'inner' or name.startswith('__'):
            raise AttributeError(name)
        return getattr(self.inner, name)

    def __len__(self) -> int:
        """Items."""
        return len(self.inner)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Any:
        """Load an item; torch calls it where the loader does not form batches."""
        try:
            return self.inner[index]
        except MMPartRefError as error:
            return error

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Load a batch; torch calls it in place of ``__getitem__``."""
        try:
            return [self.inner[index] for index in indices]
        except MMPartRefError as error:
            return [error]


class CollateItems:
    """Collates a batch of items, and returns an error of ``ErrorsAsItems`` as it is.

    Args:
        inner: the loader's own function.
    """

    def __init__(self, inner: Callable[[Any], Any]) -> None:
        self.inner = inner

    def __call__(self, items: Any) -> Any:
        """Return a batch, or the error."""
        error = items[0] if isinstance(items, list) and items else items
        return error if isinstance(error, MMPartRefError) else self.inner(items)


def return_errors(loader: DataLoader) -> bool:
    """Make the worker processes of a data loader that has not been iterated return our errors instead of a batch.

    Returns:
        Whether the loader was changed: it has workers and a map-style dataset, and was not changed before.
    """
    if not loader.num_workers or isinstance(loader.dataset, (ErrorsAsItems, IterableDataset)):
        return False
    # torch rejects assignments, because an iterator may be under way; here none is.
    vars(loader).update(dataset=ErrorsAsItems(loader.dataset), collate_fn=CollateItems(loader.collate_fn))
    return True


def raise_error(batch: Any) -> None:
    """Raise the error that a loader of ``return_errors`` gave in place of a batch."""
    if isinstance(batch, MMPartRefError):
        raise batch


@HOOKS.register_module()
class WorkerErrorHook(Hook):
    """Raise an ``MMPartRefError`` of a data loading process in the main process, as it is.

    torch would raise an error of the same type, with the traceback of the process in its message.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Prepare the loader of the training."""
        loop = runner.train_loop
        if return_errors(loop.dataloader) and isinstance(loop, IterBasedTrainLoop):
            # Its iterator has started the processes already.
            loop.dataloader_iterator = type(loop.dataloader_iterator)(loop.dataloader)

    def before_val(self, runner: Runner) -> None:
        """Prepare the loader of the validation."""
        return_errors(runner.val_loop.dataloader)

    def before_test(self, runner: Runner) -> None:
        """Prepare the loader of the test."""
        return_errors(runner.test_loop.dataloader)

    def _before_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, mode: str = 'train') -> None:
        """Raise the error that came in place of a batch; in training, validation and test."""
        raise_error(data_batch)

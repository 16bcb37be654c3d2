"""Errors of data loading processes, passed to the main process as values."""
from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader, Dataset

from mmpartref.errors import MMPartRefError
from mmpartref.registry import HOOKS


class ErrorsAsItems(Dataset):
    """Dataset whose batch is ``[error]`` where reading one of its items raises an ``MMPartRefError``.

    mmengine's ``pseudo_collate`` passes such a batch on. Everything else is the inner dataset's.

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
        """Load an item."""
        return self.inner[index]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Load a batch; torch calls it in place of ``__getitem__``."""
        try:
            return [self.inner[index] for index in indices]
        except MMPartRefError as error:
            return [error]


def return_errors(loader: DataLoader) -> None:
    """Make the worker processes of a data loader that has not been iterated return our errors as ``[error]``."""
    if loader.num_workers and not isinstance(loader.dataset, ErrorsAsItems):
        # torch rejects assignments, because an iterator may be under way; here none is.
        vars(loader)['dataset'] = ErrorsAsItems(loader.dataset)


def raise_error(batch: Any) -> None:
    """Raise the error that a loader of ``return_errors`` gave in place of a batch."""
    if isinstance(batch, list) and batch and isinstance(batch[0], MMPartRefError):
        raise batch[0]


@HOOKS.register_module()
class WorkerErrorHook(Hook):
    """Raise an ``MMPartRefError`` of a data loading process in the main process, as it is.

    torch would raise an error of the same type, with the traceback of the process in its message.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Prepare the loader of the training."""
        return_errors(runner.train_loop.dataloader)

    def before_val(self, runner: Runner) -> None:
        """Prepare the loader of the validation."""
        return_errors(runner.val_loop.dataloader)

    def before_test(self, runner: Runner) -> None:
        """Prepare the loader of the test."""
        return_errors(runner.test_loop.dataloader)

    def _before_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, mode: str = 'train') -> None:
        """Raise the error that came in place of a batch; in training, validation and test."""
        raise_error(data_batch)

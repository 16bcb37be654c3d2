"""Epoch of the random draws of training data."""
from collections.abc import Iterator
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from torch.utils.data import Dataset

from mmpartref.registry import HOOKS


def transforms_with_epoch(dataset: Dataset) -> Iterator[Any]:
    """Yield the datasets and transforms with ``set_epoch`` inside mmengine's dataset wrappers."""
    for inner in (*getattr(dataset, 'datasets', ()), getattr(dataset, 'dataset', None)):
        if inner is not None:
            yield from transforms_with_epoch(inner)
    if hasattr(dataset, 'set_epoch'):
        yield dataset
    yield from _nested(getattr(dataset, 'pipeline', None))


def _nested(transform: Any) -> Iterator[Any]:
    """Yield the transforms with ``set_epoch`` in a pipeline, and in mmcv's wrappers (``RandomApply``) inside it."""
    if hasattr(transform, 'set_epoch'):
        yield transform
    inner = transform if isinstance(transform, (list, tuple)) else getattr(transform, 'transforms', ())
    for each in inner if isinstance(inner, (list, tuple)) else [inner]:
        yield from _nested(each)


@HOOKS.register_module()
class DatasetEpochHook(Hook):
    """Call ``set_epoch`` of the training dataset and its transforms, where they have it, before each epoch.

    Without it ``DrawExpressions`` and the draws of absent parts are the same in every epoch. In mmengine's
    ``IterBasedTrainLoop``, for which the whole training is one epoch, it is called after each pass over the dataset;
    batches that loading processes have prepared by then are of the pass before.
    """

    def before_train_epoch(self, runner: Runner) -> None:
        """Set the epoch, counted from 0."""
        self._set_epoch(runner, runner.epoch)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """In mmengine's loop by iteration set the number of the pass at its first iteration."""
        passes, first = divmod(runner.iter, len(runner.train_dataloader))
        if first == 0 and passes and isinstance(runner.train_loop, IterBasedTrainLoop):
            self._set_epoch(runner, passes)

    def _set_epoch(self, runner: Runner, epoch: int) -> None:
        for transform in transforms_with_epoch(runner.train_dataloader.dataset):
            transform.set_epoch(epoch)

"""Epoch of the random draws of training data."""
from collections.abc import Iterator
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import Dataset

from mmpartref.registry import HOOKS


def transforms_with_epoch(dataset: Dataset) -> Iterator[Any]:
    """Yield the datasets and transforms with ``set_epoch`` inside mmengine's dataset wrappers."""
    for inner in (*getattr(dataset, 'datasets', ()), getattr(dataset, 'dataset', None)):
        if inner is not None:
            yield from transforms_with_epoch(inner)
    if hasattr(dataset, 'set_epoch'):
        yield dataset
    for transform in getattr(getattr(dataset, 'pipeline', None), 'transforms', ()):
        if hasattr(transform, 'set_epoch'):
            yield transform


@HOOKS.register_module()
class DatasetEpochHook(Hook):
    """Call ``set_epoch`` of the training dataset and its transforms, where they have it, before each epoch.

    Without it ``DrawExpressions`` and the draws of absent parts are the same in every epoch.
    """

    def before_train_epoch(self, runner: Runner) -> None:
        """Set the epoch, counted from 0."""
        for transform in transforms_with_epoch(runner.train_dataloader.dataset):
            transform.set_epoch(runner.epoch)

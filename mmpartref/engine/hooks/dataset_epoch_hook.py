"""Telling the training data which epoch it is."""
from collections.abc import Iterator
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import Dataset

from mmpartref.registry import HOOKS


def transforms_with_epoch(dataset: Dataset) -> Iterator[Any]:
    """Yield the transforms that have ``set_epoch``, and a data set that has it, through mmengine's wrappers."""
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
    """Call ``set_epoch`` of the training data and of its transforms that have it, before each epoch.

    Needed by ``DrawExpressions``, which otherwise draws the same wordings in every epoch, and by a data set that asks
    about absent parts.
    """

    def before_train_epoch(self, runner: Runner) -> None:
        """Pass the number of the epoch, counted from 0, on."""
        for transform in transforms_with_epoch(runner.train_dataloader.dataset):
            transform.set_epoch(runner.epoch)

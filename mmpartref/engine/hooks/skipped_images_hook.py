"""Report of the images that a training skips because they cannot be read."""
from collections.abc import Mapping
from typing import Any

from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmpartref.datasets.referring.missing_images import check_images_exist, part_datasets
from mmpartref.registry import HOOKS

# Images whose error a message quotes.
MAX_NAMED = 5


@HOOKS.register_module()
class SkippedImagesHook(Hook):
    """Check that images exist, and report those that ``on_bad_image='skip'`` of a ``PartReferDataset`` has skipped.

    The check comes before a training or a test, so that a missing image does not end the run hours later. The report
    comes after each training epoch and at the end, with the images of all worker processes and ranks. The metrics
    report the skipped images of an evaluation.

    Raises:
        MissingImageError: before a run, if images do not exist and ``on_bad_image`` is ``'raise'``.
    """

    def __init__(self) -> None:
        self.enabled = False
        # Path of each skipped image and the error: of this rank in this epoch, and of all ranks since the start.
        self.epoch: dict[str, str] = {}
        self.skipped: dict[str, str] = {}

    def before_train(self, runner: Runner) -> None:
        """Check the images of training and validation."""
        loaders = [runner.train_dataloader, *([runner.val_dataloader] if runner.val_loop is not None else [])]
        self.check(runner, *(loader.dataset for loader in loaders))
        self.enabled = any(each.on_bad_image == 'skip' for each in part_datasets(runner.train_dataloader.dataset))

    def before_test(self, runner: Runner) -> None:
        """Check the images of the test."""
        self.check(runner, runner.test_dataloader.dataset)

    @staticmethod
    def check(runner: Runner, *datasets: Any) -> None:
        """Warn about images that do not exist, or raise MissingImageError with ``on_bad_image='raise'``."""
        for dataset in datasets:
            for message in check_images_exist(dataset):
                runner.logger.warning(f'{message}; they are skipped')

    def before_train_epoch(self, runner: Runner) -> None:
        """Clear the images of the epoch."""
        self.epoch = {}

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        """Collect the skipped images of the batch."""
        if self.enabled and isinstance(data_batch, Mapping):
            for sample in data_batch['data_samples']:
                if 'skipped' in sample:
                    self.epoch[sample.img_path] = sample.skipped

    def after_train_epoch(self, runner: Runner) -> None:
        """Report the images of the epoch, of all ranks."""
        if self.enabled:
            epoch = {path: error for each in all_gather_object(self.epoch) for path, error in each.items()}
            self.skipped |= epoch
            if epoch:
                runner.logger.warning(f'epoch {runner.epoch + 1}: {describe(epoch)}')

    def after_train(self, runner: Runner) -> None:
        """Report the images of the whole training."""
        if self.enabled:
            runner.logger.warning(f'in the whole training: {describe(self.skipped)}')


def describe(skipped: Mapping[str, str]) -> str:
    """Return how many images were skipped, and the first errors."""
    quoted = '; '.join(skipped[path] for path in sorted(skipped)[:MAX_NAMED])
    more = f'; and {len(skipped) - MAX_NAMED:,} more' if len(skipped) > MAX_NAMED else ''
    images = '1 image' if len(skipped) == 1 else f'{len(skipped):,} images'
    return f"{images} skipped because of read errors (on_bad_image='skip')" + (f': {quoted}{more}' if quoted else '')

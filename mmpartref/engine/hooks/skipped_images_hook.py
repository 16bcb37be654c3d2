"""Photos that cannot be read: found before a run where that is possible, counted during it, reported at its end."""
from collections.abc import Mapping
from typing import Any

from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmpartref.datasets.referring.missing_images import check_presence, part_datasets
from mmpartref.registry import HOOKS

# Photos that a report names.
NAMED = 5


@HOOKS.register_module()
class BadSampleHook(Hook):
    """Report what ``on_bad_sample='skip'`` of a ``PartReferDataset`` left out of the training.

    Before a training or a test it looks whether the photos of the data sets exist, so that a missing one does not end
    the run hours later. After each training epoch, and at the end, it prints how many photos were left out and the
    first of their sentences, those of all worker processes and ranks together. What an evaluation left out is counted
    by ``ReferringSegMetric``, beside its figures.

    Raises:
        MissingPhotoError: before a run; photos do not exist and are not to be skipped.
    """

    def __init__(self) -> None:
        self.skips = False
        # Path of each photo left out, and the sentence on it; this rank's in this epoch, then all ranks' in all.
        self.epoch: dict[str, str] = {}
        self.left_out: dict[str, str] = {}

    def before_train(self, runner: Runner) -> None:
        """Look for missing photos of the training, and of the validations to come."""
        loaders = [runner.train_dataloader, *([runner.val_dataloader] if runner.val_loop is not None else [])]
        self.look(runner, *(loader.dataset for loader in loaders))
        self.skips = any(each.on_bad_sample == 'skip' for each in part_datasets(runner.train_dataloader.dataset))

    def before_test(self, runner: Runner) -> None:
        """Look for missing photos of the test."""
        self.look(runner, runner.test_dataloader.dataset)

    @staticmethod
    def look(runner: Runner, *datasets: Any) -> None:
        """Raise or warn about missing photos."""
        for dataset in datasets:
            for sentence in check_presence(dataset):
                runner.logger.warning(f'{sentence}; they are left out')

    def before_train_epoch(self, runner: Runner) -> None:
        """Start counting again."""
        self.epoch = {}

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        """Take note of the batch's photos that could not be read; the workers sent word of them."""
        if self.skips and isinstance(data_batch, Mapping):
            for sample in data_batch['data_samples']:
                if 'skipped' in sample:
                    self.epoch[sample.img_path] = sample.skipped

    def after_train_epoch(self, runner: Runner) -> None:
        """Report the epoch's, of all ranks."""
        if self.skips:
            everywhere = {path: why for each in all_gather_object(self.epoch) for path, why in each.items()}
            self.left_out |= everywhere
            if everywhere:
                runner.logger.warning(f'epoch {runner.epoch + 1}: {describe(everywhere)}')

    def after_train(self, runner: Runner) -> None:
        """Report the run's."""
        if self.skips:
            runner.logger.warning(f'in the whole training: {describe(self.left_out)}')


def describe(left_out: Mapping[str, str]) -> str:
    """Return how many photos were left out, and the first of their sentences."""
    named = '; '.join(left_out[path] for path in sorted(left_out)[:NAMED])
    more = f'; and {len(left_out) - NAMED:,} more' if len(left_out) > NAMED else ''
    photos = '1 photo that could' if len(left_out) == 1 else f'{len(left_out):,} photos that could'
    return f"{photos} not be read were left out (on_bad_sample='skip')" + (f': {named}{more}' if named else '')

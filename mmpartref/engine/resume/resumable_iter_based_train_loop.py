"""Training loop by iteration that passes over the dataset epoch by epoch."""
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from mmpartref.engine.resume.resumable_epoch_based_train_loop import ResumableEpochBasedTrainLoop
from mmpartref.registry import LOOPS


@LOOPS.register_module()
class ResumableIterBasedTrainLoop(ResumableEpochBasedTrainLoop):
    """Train for a number of iterations, with validations by iteration, and resume after any of them.

    In contrast to mmengine's ``IterBasedTrainLoop``, for which the whole training is one epoch, each pass over the
    dataset is an epoch: hooks and schedules by epoch act as in a loop by epoch, and ``DatasetEpochHook`` draws other
    expressions. The last epoch ends at ``max_iters``.

    Args:
        runner: the runner.
        dataloader: a dataloader, or its config.
        max_iters: length of the training.
        val_begin: first iteration with a validation.
        val_interval: iterations from a validation to the next.
        dynamic_intervals: as in ``IterBasedTrainLoop``.
    """

    def __init__(self, runner: Runner, dataloader: DataLoader | dict, max_iters: int, val_begin: int = 1,
                 val_interval: int = 1000, dynamic_intervals: list[tuple[int, int]] | None = None) -> None:
        super().__init__(runner, dataloader, 1, val_begin, val_interval, dynamic_intervals)
        self._max_iters = max_iters
        self._max_epochs = -(-max_iters // len(self.dataloader))

    def _run(self) -> nn.Module:
        self.runner.call_hook('before_train')
        if self.validation_due:
            self._validate()
        while self._iter < self._max_iters and not self.stop_training:
            self.run_epoch()
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_epoch(self) -> None:
        """Train from batch ``start`` to the end of the epoch or of the training."""
        start, self.start = self.start, 0
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        self.dataset.set_place(self.runner.seed, self._epoch)
        self.batches.start = start
        for index, batch in enumerate(self.dataloader, start):
            self.run_iter(index, batch)
            if self.validation_follows(self._iter):
                self._validate()
                self.runner.model.train()
            if self._iter >= self._max_iters or self.stop_training:
                break
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def validation_follows(self, done: int) -> bool:
        """Return whether there is a validation after ``done`` iterations."""
        self._decide_current_val_interval()
        return self.runner.val_loop is not None and done >= self.val_begin and (
            done % self.val_interval == 0 or done == self._max_iters)

    def _decide_current_val_interval(self) -> None:
        passed = sum(milestone <= self._iter + 1 for milestone in self.dynamic_milestones)
        self.val_interval = self.dynamic_intervals[passed - 1]

    def _validate(self) -> None:
        self.validation_due = False
        if self.runner.val_loop is not None:
            self.runner.val_loop.run()

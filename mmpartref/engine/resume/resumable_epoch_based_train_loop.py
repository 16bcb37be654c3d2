"""A training loop that can begin within an epoch."""
import re
from typing import Any

from mmengine.config import Config
from mmengine.runner import EpochBasedTrainLoop
from torch import nn

from mmpartref.engine.resume.resumable_data import make_resumable
from mmpartref.engine.resume.resume_point import last_checkpoint
from mmpartref.errors import DataWorkerError
from mmpartref.registry import LOOPS

# What torch says of a worker that is gone, not of an exception within one: torch/csrc/DataLoader.cpp, dataloader.py.
WORKER_DIED = re.compile(r'DataLoader worker \(pid.*', re.DOTALL)


def use_resumable_loop(cfg: Config) -> None:
    """Replace mmengine's epoch-based loop, which begins a resumed epoch anew, by the one that goes on within it."""
    loop = cfg.get('train_cfg')
    if loop and (loop.get('by_epoch') or loop.get('type') == 'EpochBasedTrainLoop'):
        loop.pop('by_epoch', None)
        loop.type = 'ResumableEpochBasedTrainLoop'


@LOOPS.register_module()
class ResumableEpochBasedTrainLoop(EpochBasedTrainLoop):
    """mmengine's ``EpochBasedTrainLoop`` that goes on at a batch, and makes up for a validation that was cut off.

    ``ResumableStateHook`` writes ``start`` and ``validation_due`` into checkpoints and sets them again. The data's
    random numbers are functions of seed, epoch and index (``SeededDataset``).

    Args:
        *args: see ``EpochBasedTrainLoop``.
        **kwargs: see ``EpochBasedTrainLoop``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dataset, self.batches = make_resumable(self.dataloader)
        self.start = 0
        self.validation_due = False

    def run(self) -> nn.Module:
        """Train.

        Raises:
            DataWorkerError: a data loading process was killed or died.
        """
        try:
            return self._run()
        except RuntimeError as error:
            # The cause, where there is one, names the signal.
            found = WORKER_DIED.search(str(error.__cause__)) or WORKER_DIED.search(str(error))
            if found is None:
                raise
            checkpoint = last_checkpoint(self.runner.work_dir)
            go_on = f'{checkpoint} is whole: go on with --resume' if checkpoint else 'no checkpoint has been written'
            died = found.group().splitlines()[0]
            raise DataWorkerError(
                f'a data loading process died ({died}): most likely the memory ran out, or /dev/shm did (df -h /dev/shm'
                f'); fewer num_workers or a smaller batch_size take less; {go_on}') from None

    def _run(self) -> nn.Module:
        self.runner.call_hook('before_train')
        if self.validation_due:
            self._validate()
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._validate()
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_epoch(self) -> None:
        """Iterate one epoch, or what is left of it."""
        start, self.start = self.start, 0
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        self.dataset.set_place(self.runner.seed, self._epoch)
        self.batches.start = start
        for index, batch in enumerate(self.dataloader, start):
            self.run_iter(index, batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def _validate(self) -> None:
        """Validate if this epoch is to be, as mmengine decides."""
        self.validation_due = False
        self._decide_current_val_interval()
        if (self.runner.val_loop is not None and self._epoch >= self.val_begin
                and (self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs)):
            self.runner.val_loop.run()

"""Training loop that can start within an epoch."""
import re
from typing import Any

from mmengine.runner import EpochBasedTrainLoop
from torch import nn

from mmpartref.engine.resume.preemption_signals import signal_handlers_restored
from mmpartref.engine.resume.resumable_data import make_resumable
from mmpartref.engine.resume.resume_point import last_checkpoint
from mmpartref.errors import DataWorkerError
from mmpartref.registry import LOOPS

# torch's message on a worker that was killed or died, not on an exception in one: DataLoader.cpp, dataloader.py.
WORKER_DIED = re.compile(r'DataLoader worker \(pid.*', re.DOTALL)


@LOOPS.register_module()
class ResumableEpochBasedTrainLoop(EpochBasedTrainLoop):
    """mmengine's ``EpochBasedTrainLoop`` that resumes at a batch of an epoch, and repeats an interrupted validation.

    ``ResumableStateHook`` saves and restores ``start`` and ``validation_due``. The random numbers of data loading
    depend on seed, epoch and index alone (``SeededDataset``). Arguments as ``EpochBasedTrainLoop``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dataset, self.batches = make_resumable(self.dataloader)
        self.start = 0
        self.validation_due = False

    def run(self) -> nn.Module:
        """Train; signal handlers that a hook has set are restored at the end, also after an exception.

        Raises:
            DataWorkerError: a data loading process was killed or died.
        """
        try:
            with signal_handlers_restored():
                return self._run()
        except RuntimeError as error:
            # The cause, where there is one, names the signal.
            found = WORKER_DIED.search(str(error.__cause__)) or WORKER_DIED.search(str(error))
            if found is None:
                raise
            checkpoint = last_checkpoint(self.runner.work_dir)
            resume = f'resume with --resume from {checkpoint}' if checkpoint else 'no checkpoint has been written yet'
            died = found.group().splitlines()[0]
            raise DataWorkerError(
                f'a data loading process died ({died}), probably because memory or /dev/shm is full (df -h /dev/shm); '
                f'use fewer num_workers or a smaller batch_size; {resume}') from None

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
        """Train one epoch from batch ``start`` on."""
        start, self.start = self.start, 0
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        self.dataset.set_place(self.runner.seed, self._epoch)
        self.batches.start = start
        for index, batch in enumerate(self.dataloader, start):
            self.run_iter(index, batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def validation_follows(self, done: int) -> bool:
        """Return False: there is no validation within an epoch."""
        return False

    def _validate(self) -> None:
        """Validate if mmengine's ``val_begin`` and ``val_interval`` select this epoch."""
        self.validation_due = False
        self._decide_current_val_interval()
        if (self.runner.val_loop is not None and self._epoch >= self.val_begin
                and (self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs)):
            self.runner.val_loop.run()

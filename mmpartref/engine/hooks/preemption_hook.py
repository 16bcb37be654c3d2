"""Checkpoint and exit at preemption."""
import os
import signal
import threading
import time
from types import FrameType
from typing import Any

from mmengine.dist import all_gather_object, get_world_size
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner

from mmpartref.engine.distributed import any_rank
from mmpartref.engine.hooks.atomic_checkpoint_hook import INTERRUPTED
from mmpartref.engine.resume.preemption_signals import SIGNALS, IgnoreGroupSignals
from mmpartref.engine.resume.write_checkpoint import ATOMIC, write_checkpoint
from mmpartref.errors import PreemptedError
from mmpartref.registry import HOOKS

# A launcher forwards the cluster's signal, so that a process gets it twice; seconds within which that is one request.
SAME_REQUEST = 5.0


@HOOKS.register_module()
class PreemptionHook(Hook):
    """On SIGTERM or SIGUSR1: finish the step, write ``interrupted.pth``, end the run. A second signal kills at once.

    All processes stop after the same step, whichever of them got the signal; with gradient accumulation, after a step
    of the optimiser. A validation is interrupted, and repeated when the run is resumed. The signal handlers are
    restored after the training, by ``ResumableEpochBasedTrainLoop`` also where it raises.

    Raises:
        PreemptedError: the checkpoint is written; ``tools/train.py`` ends with exit code 75.
    """

    priority = 'LOWEST'  # after the schedules and the regular checkpoint

    def __init__(self) -> None:
        self.received: int | None = None
        self.received_at = 0.0
        self.handlers: dict[int, Any] = {}
        self.same_val_length = True

    def before_train(self, runner: Runner) -> None:
        """Set the signal handlers, which Python allows in the main thread only."""
        if threading.current_thread() is not threading.main_thread():
            return
        self.received = None
        self.handlers = {number: signal.signal(number, self.handle_signal) for number in SIGNALS}
        loaders = [runner.train_dataloader] + ([runner.val_dataloader] if runner.val_loop is not None else [])
        for loader in loaders:
            if not isinstance(loader.worker_init_fn, IgnoreGroupSignals):
                loader.worker_init_fn = IgnoreGroupSignals(loader.worker_init_fn)

    def after_train(self, runner: Runner) -> None:
        """Restore the signal handlers."""
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        self.handlers = {}

    def handle_signal(self, number: int, frame: FrameType | None) -> None:
        """Record the first signal; let the second one kill the process."""
        if self.received is None:
            self.received, self.received_at = number, time.monotonic()
        elif get_world_size() == 1 or time.monotonic() - self.received_at > SAME_REQUEST:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Stop the run if any process got a signal."""
        if runner.optim_wrapper.should_update() and any_rank(self.received is not None):
            self.stop(runner, runner.iter + 1)

    def before_val_epoch(self, runner: Runner) -> None:
        """Find out whether all processes have the same number of batches, so that they can communicate after each."""
        self.same_val_length = len(set(all_gather_object(len(runner.val_dataloader)))) == 1

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Stop the run if any process got a signal."""
        # Handlers are installed in training only.
        if (self.handlers and self.same_val_length and runner.optim_wrapper.should_update()
                and any_rank(self.received is not None)):
            for hook in runner.hooks:
                if isinstance(hook, EMAHook):
                    hook.after_val_epoch(runner)  # swaps the averaged weights for the model's
            self.stop(runner, runner.iter)

    def stop(self, runner: Runner, iterations: int) -> None:
        """Write the checkpoint after this number of iterations and raise ``PreemptedError``, which ends the run."""
        write_checkpoint(runner, runner.work_dir, INTERRUPTED, meta={'epoch': runner.epoch, 'iter': iterations},
                         by_epoch=False, backend_args=ATOMIC)
        self.after_train(runner)
        cause = signal.Signals(self.received).name if self.received is not None else "another process's signal"
        raise PreemptedError(f'preempted by {cause} after iteration {iterations}; the state is in '
                             f'{os.path.join(runner.work_dir, INTERRUPTED)}; run the same command with --resume')

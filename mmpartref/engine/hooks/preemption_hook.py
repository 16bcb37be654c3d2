"""A run that is told to stop saves where it is."""
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from mmengine.dist import all_gather_object, get_world_size
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner

from mmpartref.engine.distributed import anywhere
from mmpartref.engine.hooks.atomic_checkpoint_hook import INTERRUPTED, point_to, whole_files
from mmpartref.errors import PreemptedError
from mmpartref.registry import HOOKS

# What clusters send before they kill: preemption, the end of the time limit, and Slurm's --signal.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
# A launcher passes on what the cluster has sent to all processes: within so many seconds it is the same request.
SAME_REQUEST = 5.0


class WorkerSignals:
    """Start a data loading process that leaves alone what a cluster sends to the whole group.

    It ends on its parent's signal, as torch's do, and by torch's watch over the parent. Without ``sigwaitinfo``, which
    tells who sent a signal (macOS has none), nothing is changed.

    Args:
        start: what else is to be done in the process, given its number.
    """

    def __init__(self, start: Callable[[int], None] | None) -> None:
        self.start = start

    def __call__(self, worker_id: int) -> None:
        """Prepare the process."""
        if hasattr(signal, 'sigwaitinfo'):
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            threading.Thread(target=obey_the_parent, daemon=True).start()
        if self.start is not None:
            self.start(worker_id)


def obey_the_parent() -> None:
    """Wait for the parent's signal and end the process."""
    while signal.sigwaitinfo(SIGNALS).si_pid != os.getppid():
        pass
    os._exit(0)


@HOOKS.register_module()
class PreemptionHook(Hook):
    """On SIGTERM or SIGUSR1: finish the step, save ``interrupted.pth``, end the run. A second signal kills at once.

    All processes stop at the same step, whichever of them got the signal. Within gradient accumulation the step is the
    optimiser's. A validation is broken off, and made up for when the run is resumed.

    Raises:
        PreemptedError: the state has been saved; ``tools/train.py`` ends with code 75.
    """

    priority = 'LOWEST'  # after the schedules and the regular checkpoint

    def __init__(self) -> None:
        self.requested: int | None = None
        self.since = 0.0
        self.before: dict[int, Any] = {}
        self.in_step = True

    def before_train(self, runner: Runner) -> None:
        """Listen; python lets the main thread alone do so."""
        if threading.current_thread() is not threading.main_thread():
            return
        self.before = {number: signal.signal(number, self.request) for number in SIGNALS}
        loaders = [runner.train_dataloader] + ([runner.val_dataloader] if runner.val_loop is not None else [])
        for loader in loaders:
            if not isinstance(loader.worker_init_fn, WorkerSignals):
                loader.worker_init_fn = WorkerSignals(loader.worker_init_fn)

    def after_train(self, runner: Runner) -> None:
        """Listen no more."""
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.before = {}

    def request(self, number: int, frame: FrameType | None) -> None:
        """Note the signal; kill at the second."""
        if self.requested is None:
            self.requested, self.since = number, time.monotonic()
        elif get_world_size() == 1 or time.monotonic() - self.since > SAME_REQUEST:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    def agreed(self) -> bool:
        """Whether any process was told to stop."""
        return anywhere(self.requested is not None)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Stop here if asked to."""
        if runner.optim_wrapper.should_update() and self.agreed():
            self.stop(runner, runner.iter + 1)

    def before_val_epoch(self, runner: Runner) -> None:
        """Find out whether all processes validate the same number of batches, so that they can agree after each."""
        self.in_step = len(set(all_gather_object(len(runner.val_dataloader)))) == 1

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Stop here if asked to."""
        if self.before and self.in_step and runner.optim_wrapper.should_update() and self.agreed():
            for hook in runner.hooks:
                if isinstance(hook, EMAHook):
                    # It validates the averaged weights in the model's place.
                    hook.after_val_epoch(runner)
            self.stop(runner, runner.iter)

    def stop(self, runner: Runner, iterations: int) -> None:
        """Save and end."""
        with whole_files(runner):
            runner.save_checkpoint(
                runner.work_dir, INTERRUPTED, meta={'epoch': runner.epoch, 'iter': iterations}, by_epoch=False)
        path = f'{runner.work_dir}/{INTERRUPTED}'
        point_to(runner, path)
        sent = signal.Signals(self.requested).name if self.requested is not None else "another process's signal"
        self.after_train(runner)
        raise PreemptedError(f'stopped by {sent} after iteration {iterations}; the state is in {path}: '
                             'the same command with --resume goes on from there')

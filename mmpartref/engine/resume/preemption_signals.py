"""Handling of the signals that a cluster sends before it kills a run."""
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Sent before a kill: at preemption, at the end of the time limit, and by Slurm's --signal.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


@contextmanager
def signal_handlers_restored() -> Iterator[None]:
    """Restore the handlers of ``SIGNALS`` at the end of the context, also after an exception.

    Python allows this in the main thread only; in others nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class IgnoreGroupSignals:
    """``worker_init_fn`` of a data loader: the worker ignores ``SIGNALS`` unless its parent sends them.

    A cluster signals the whole process group, but workers are needed until the step is finished. They still end when
    their parent stops or dies. Where ``sigwaitinfo`` is missing (macOS), nothing is changed.

    Args:
        worker_init_fn: called afterwards with the worker's number.
    """

    def __init__(self, worker_init_fn: Callable[[int], None] | None) -> None:
        self.worker_init_fn = worker_init_fn

    def __call__(self, worker_id: int) -> None:
        """Prepare the worker process."""
        if hasattr(signal, 'sigwaitinfo'):
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            threading.Thread(target=exit_on_parents_signal, daemon=True).start()
        if self.worker_init_fn is not None:
            self.worker_init_fn(worker_id)


def exit_on_parents_signal() -> None:
    """Wait for a signal from the parent process and exit."""
    while signal.sigwaitinfo(SIGNALS).si_pid != os.getppid():
        pass
    os._exit(0)

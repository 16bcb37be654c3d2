"""Evaluator whose metrics score in a thread while the network predicts."""
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import BaseDataElement

from mmpartref.ordered_calls import OrderedCalls

# Calls that are in memory at most, the running one included.
MAX_PENDING = 3


class BackgroundEvaluator(Evaluator):
    """mmengine's evaluator, whose metrics process a batch in a thread while the network predicts the next ones.

    ::

        main thread   predict 1 | predict 2 | predict 3 | ... | wait | compute the metrics
        thread                  | process 1 | process 2 | ...

    It is one thread, so the metrics get the batches in their order, and the results are those of mmengine's class. What
    a call in it raises is raised by the next call of ``process`` or ``in_background``, or by ``evaluate``; the calls
    that have not begun are then dropped.

    Attributes:
        seconds: that the thread has worked, by stage; the metrics are the stage 'scoring'.
        waited: seconds that the main thread has waited for the thread.
        received: reading of ``time_without_waiting`` when the last batch was received.
    """

    def __init__(self, metrics: Any) -> None:
        super().__init__(metrics)
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.waited = self.received = 0.0
        self._pool: ThreadPoolExecutor | None = None
        self._calls: OrderedCalls[None] | None = None

    def process(self, data_samples: Sequence[Any], data_batch: Any = None) -> None:
        """Let all metrics process a batch, in the thread."""
        self.received = time_without_waiting(self)
        # Copied here, because hooks may add keys to a sample after this call.
        samples = [each.to_dict() if isinstance(each, BaseDataElement) else each for each in data_samples]
        self.in_background('scoring', super().process, samples, data_batch)

    def in_background(self, stage: str, function: Callable[..., None], *args: Any) -> None:
        """Run a call in the thread, after those before; waits while ``MAX_PENDING`` calls are not done.

        Args:
            stage: under which ``seconds`` counts its time.
            function: called with ``args``.
        """
        if self._calls is None:
            device = torch.cuda.current_device() if torch.cuda.is_initialized() else None
            self._pool = ThreadPoolExecutor(1, 'evaluation', _prepare_thread, (device, ))
            self._calls = OrderedCalls(self._pool, MAX_PENDING)
        self._wait(MAX_PENDING - 1)
        self._calls.submit(self._timed, stage, function, *args)

    def evaluate(self, size: int) -> dict:
        """Wait for the thread and return all metrics, see ``Evaluator.evaluate``."""
        self._wait(0)
        self.drop_pending()
        return super().evaluate(size)

    def drop_pending(self) -> None:
        """End the thread after its running call; drop the other calls, and errors that were not raised."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._pool = self._calls = None

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for copies and pickles, without the thread."""
        return {**self.__dict__, '_pool': None, '_calls': None}

    def _timed(self, stage: str, function: Callable[..., None], *args: Any) -> None:
        start = time.perf_counter()
        function(*args)
        self.seconds[stage] += time.perf_counter() - start

    def _wait(self, most: int) -> None:
        """Wait until at most ``most`` calls are left, and raise what one of the others has raised."""
        start = time.perf_counter()
        try:
            for _ in self._calls.results(most) if self._calls is not None else ():
                pass
        except BaseException:
            self.drop_pending()
            raise
        finally:
            self.waited += time.perf_counter() - start


def _prepare_thread(device: int | None) -> None:
    """Set what torch has per thread as it is in mmengine's loops: no gradients, the CUDA device of the process."""
    torch.set_grad_enabled(False)
    if device is not None:
        torch.cuda.set_device(device)


def time_without_waiting(evaluator: Any) -> float:
    """Return the time in seconds of a clock that stands still while the main thread waits for an evaluator's thread."""
    return time.perf_counter() - getattr(evaluator, 'waited', 0.0)

"""Parameters, operations and time of predictions, measured in a test."""
import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mmpartref.engine.background_evaluator import time_without_waiting
from mmpartref.evaluation.metrics.referring_dump import ReferringDump
from mmpartref.models.layers.cpu.cpu_fast_paths import disable_cpu_fast_paths
from mmpartref.registry import HOOKS


@contextmanager
def plain_attention() -> Iterator[None]:
    """Compute attention by matrix products, which torch's counter of operations supports; not all fused kernels are."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@HOOKS.register_module()
class ModelCostHook(Hook):
    """Write model size, operations and time into the header of the test's ``ReferringDump``.

    - ``parameters``: number of all parameters.
    - ``gflops_per_expression``: additions and multiplications (2 per multiply-add) of matrix products, convolutions and
      attention in the first batch, divided by its expressions. They are the same on every device. Other operations of
      a detector (RoIAlign, NMS) are not counted.
    - ``seconds_per_image``: mean time from the batch to the masks at the size of the images, without loading and
      scoring; a busy thread of the evaluator shares the cores with it. The first batch runs once before, for the
      operations, so that the time has no warm-up.
    - ``device``.
    """

    def __init__(self) -> None:
        self._cost: dict[str, Any] = {}
        self._images = 0
        self._seconds = 0.0
        self._began = 0.0

    def before_test(self, runner: Runner) -> None:
        """Count the parameters."""
        parameters = list(runner.model.parameters())
        device = parameters[0].device if parameters else torch.device('cpu')
        name = f'CPU, {torch.get_num_threads()} threads'
        if device.type == 'cuda':
            name = torch.cuda.get_device_name(device)
        self._cost = {'parameters': sum(each.numel() for each in parameters), 'device': name}
        self._images, self._seconds = 0, 0.0

    def before_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Count the operations of the first batch; start the clock."""
        if batch_idx == 0 and data_batch is not None:
            expressions = sum(len(sample.expressions) for sample in data_batch['data_samples'])
            self._cost['gflops_per_expression'] = round(self.count(runner, data_batch) / 1e9 / expressions, 6)
        self._began = self._now(runner)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                        outputs: list | None = None) -> None:
        """Stop the clock; update the header."""
        self._seconds += self._now(runner) - self._began
        self._images += len(outputs or [])
        self._cost['seconds_per_image'] = round(self._seconds / max(1, self._images), 5)
        for metric in runner.test_evaluator.metrics:
            if isinstance(metric, ReferringDump):
                metric.header.update(self._cost)

    @staticmethod
    def count(runner: Runner, data_batch: dict) -> int:
        """Return the number of operations of one batch."""
        with plain_attention(), disable_cpu_fast_paths(), FlopCounterMode(display=False) as counter, torch.no_grad():
            runner.model.test_step(copy.deepcopy(data_batch))
        # What the model has cached from this batch was computed by other kernels than the test's.
        runner.model.train(runner.model.training)
        return counter.get_total_flops()

    @staticmethod
    def _now(runner: Runner) -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time_without_waiting(runner.test_evaluator)

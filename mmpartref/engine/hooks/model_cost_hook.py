"""What a prediction costs, measured while a test runs."""
import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mmpartref.evaluation.metrics.referring_dump import ReferringDump
from mmpartref.models.layers.cpu.cpu_inference import computed_as_everywhere
from mmpartref.registry import HOOKS


@contextmanager
def plain_attention() -> Iterator[None]:
    """Compute attention by matrix products, which the counter knows; fused kernels it may not."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@HOOKS.register_module()
class ModelCostHook(Hook):
    """Put the model's size, operations and time into the header of the dump that the test writes.

    ``parameters`` counts all of them. ``gflops_per_expression`` counts multiplications and additions (2 per
    multiply-add) of matrix products, convolutions (the same on every device) and attention in one
    batch, the first, divided by its expressions;
    a detector's other operations (RoIAlign, NMS) are not counted. ``seconds_per_photo`` is the mean over all photos of
    the time from the batch to the masks at the photos' own size, loading and scoring apart; the first batch is run once
    before for the count, so that nothing warms up inside the measurement.
    """

    def __init__(self) -> None:
        self._cost: dict[str, Any] = {}
        self._photos = 0
        self._seconds = 0.0
        self._began = 0.0

    def before_test(self, runner: Runner) -> None:
        """Count parameters."""
        parameters = list(runner.model.parameters())
        device = parameters[0].device if parameters else torch.device('cpu')
        name = f'CPU, {torch.get_num_threads()} threads'
        if device.type == 'cuda':
            name = torch.cuda.get_device_name(device)
        self._cost = {'parameters': sum(each.numel() for each in parameters), 'device': name}
        self._photos, self._seconds = 0, 0.0

    def before_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Count the first batch's operations; start the clock."""
        if batch_idx == 0 and data_batch is not None:
            expressions = sum(len(sample.expressions) for sample in data_batch['data_samples'])
            self._cost['gflops_per_expression'] = round(self.count(runner, data_batch) / 1e9 / expressions, 6)
        self._began = self._now()

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                        outputs: list | None = None) -> None:
        """Stop the clock; write what is known so far into the header."""
        self._seconds += self._now() - self._began
        self._photos += len(outputs or [])
        self._cost['seconds_per_photo'] = round(self._seconds / max(1, self._photos), 5)
        for metric in runner.test_evaluator.metrics:
            if isinstance(metric, ReferringDump):
                metric.header.update(self._cost)

    @staticmethod
    def count(runner: Runner, data_batch: dict) -> int:
        """Return the operations of one batch."""
        with plain_attention(), computed_as_everywhere(), FlopCounterMode(display=False) as counter, torch.no_grad():
            runner.model.test_step(copy.deepcopy(data_batch))
        # What the model kept from this batch was computed by other kernels than the test's.
        runner.model.train(runner.model.training)
        return counter.get_total_flops()

    @staticmethod
    def _now() -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter()

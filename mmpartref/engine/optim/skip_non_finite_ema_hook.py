"""Average of the weights without skipped updates."""
from typing import Any

from mmengine.hooks import EMAHook
from mmengine.runner import Runner

from mmpartref.registry import HOOKS


@HOOKS.register_module()
class SkipNonFiniteEMAHook(EMAHook):
    """``EMAHook`` that does not count an update that a ``SkipNonFiniteMixin`` has skipped. Arguments as ``EMAHook``."""

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Update the average, unless the step was skipped."""
        if not runner.optim_wrapper.skipped:
            super().after_train_iter(runner, batch_idx, data_batch, outputs)

"""Optimiser wrapper that skips updates from losses or gradients that are not finite."""
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from mmpartref.engine.distributed import any_rank
from mmpartref.registry import OPTIM_WRAPPERS


class SkipNonFiniteMixin:
    """Mixin of mmengine's optimiser wrappers: no backward pass where the loss is not finite in any process.

    All processes skip the same updates. Gradients accumulated before a skipped loss stay for the next step.
    ``NonFiniteLossHook`` reports what was skipped, or ends the run.

    Attributes:
        skipped: whether the last update was skipped.
        non_finite_parameters: None, or the parameters whose gradients in this process made it skip the update; empty
            if only the norm of all gradients overflowed.
    """

    skipped = False
    non_finite_parameters: tuple[nn.Parameter, ...] | None = None

    def update_params(self, loss: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        """Do what the wrapper does, unless the loss, a scalar, is not finite."""
        self.non_finite_parameters = None
        self.skipped = any_rank(not torch.isfinite(loss))
        if not self.skipped:
            super().update_params(loss, *args, **kwargs)  # type: ignore[misc]


@OPTIM_WRAPPERS.register_module()
class SkipNonFiniteOptimWrapper(SkipNonFiniteMixin, OptimWrapper):
    """``OptimWrapper`` that skips an update where the loss or the norm of all gradients is not finite.

    A skipped step drops the accumulated gradients. Arguments as ``OptimWrapper``.
    """

    def step(self, **kwargs: Any) -> None:
        """Clip the gradients and step, unless they are not finite."""
        parameters = [each for group in self.param_groups for each in group['params'] if each.grad is not None]
        finite = bool(torch.isfinite(nn.utils.get_total_norm([each.grad for each in parameters])))
        self.skipped = any_rank(not finite)
        if not self.skipped:
            super().step(**kwargs)
        elif not finite:
            self.non_finite_parameters = tuple(each for each in parameters if not torch.isfinite(each.grad).all())

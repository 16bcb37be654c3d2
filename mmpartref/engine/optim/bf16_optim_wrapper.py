"""Optimiser wrapper of bfloat16 autocast, without a gradient scaler, for CPUs as well."""
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from mmpartref.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class Bf16OptimWrapper(OptimWrapper):
    """``OptimWrapper`` with a forward pass under ``torch.autocast`` in bfloat16.

    bfloat16 has the exponents of float32, so that gradients need no scaling. mmengine's ``AmpOptimWrapper`` does not
    run on a CPU; there ``tools/train.py --amp`` uses this class. Weights, gradients and losses stay float32.
    Arguments as ``OptimWrapper``.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Compute what is inside in bfloat16 where ``torch.autocast`` does, on the device of the model's weights."""
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, dtype=torch.bfloat16):
            yield

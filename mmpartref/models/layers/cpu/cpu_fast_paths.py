"""The condition under which layers use algorithms that are faster on a CPU."""
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_disabled: ContextVar[bool] = ContextVar('cpu_fast_paths_disabled', default=False)


@contextmanager
def disable_cpu_fast_paths() -> Iterator[None]:
    """Use the same algorithms as on a GPU inside this context, e.g. to count operations independently of the device."""
    token = _disabled.set(True)
    try:
        yield
    finally:
        _disabled.reset(token)


def is_cpu_inference(x: torch.Tensor, weight: torch.Tensor) -> bool:
    """Return whether a layer computes eagerly in float32 on a CPU, without gradient and without autocast."""
    # Graphs are exported and compiled with the plain operations. First, as torch.compile cannot trace a ContextVar.
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    return (x.dtype == weight.dtype == torch.float32 and x.device.type == 'cpu'
            and not torch.is_grad_enabled() and not torch.is_autocast_enabled('cpu') and not _disabled.get())

"""When inference may go ways of its own that are faster on a CPU."""
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_everywhere_alike: ContextVar[bool] = ContextVar('everywhere_alike', default=False)


@contextmanager
def computed_as_everywhere() -> Iterator[None]:
    """Go no such way, e.g. to count the same operations on every device."""
    token = _everywhere_alike.set(True)
    try:
        yield
    finally:
        _everywhere_alike.reset(token)


def is_cpu_inference(x: torch.Tensor, weight: torch.Tensor) -> bool:
    """Say whether a layer computes in float32 on a CPU, eagerly, without gradient and without autocast."""
    return (x.dtype == weight.dtype == torch.float32 and x.device.type == 'cpu'
            and not torch.is_grad_enabled() and not torch.is_autocast_enabled('cpu')
            and not _everywhere_alike.get()
            # A graph is for another machine, and its compiler knows the plain operations.
            and not torch.compiler.is_compiling() and not torch.jit.is_tracing())

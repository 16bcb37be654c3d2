"""Small tables that depend on sizes alone, made once and kept on their device."""
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import ParamSpec

import torch

P = ParamSpec('P')
KEPT = 64


def cached_constant(make: Callable[P, torch.Tensor]) -> Callable[P, torch.Tensor]:
    """Keep the last tables a function made; its arguments must say everything the table depends on.

    A kept table is an ordinary tensor whoever asked first: made inside ``torch.inference_mode`` or under autocast it
    could not be used in training later. While a graph is traced nothing is kept, because a tracer's tensors have no
    values.
    """
    @lru_cache(maxsize=KEPT)
    def kept(*args: P.args, **kwargs: P.kwargs) -> torch.Tensor:
        with torch.inference_mode(False), torch.no_grad(), torch.autocast('cpu', enabled=False), torch.autocast(
                'cuda', enabled=False):
            return make(*args, **kwargs)

    @wraps(make)
    def table(*args: P.args, **kwargs: P.kwargs) -> torch.Tensor:
        if torch.compiler.is_compiling():
            return make(*args, **kwargs)
        return kept(*args, **kwargs)  # type: ignore[arg-type]

    return table

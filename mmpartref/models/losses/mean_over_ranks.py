"""Mean of a loss over the rows of all processes; in a module because several losses and heads take it."""
import torch
from mmengine.dist import all_reduce


def mean_over_ranks(per_row: torch.Tensor) -> torch.Tensor:
    """Return the scalar mean of the losses (M,) of all ranks, for gradients that are then averaged over the ranks."""
    # Filled on the device: torch.tensor would copy from the host and wait.
    rows = torch.full((), float(len(per_row)), device=per_row.device)
    all_reduce(rows, op='mean')
    return per_row.sum() / rows

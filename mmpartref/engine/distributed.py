"""Process group of a training, and communication between its processes."""
import os
from typing import Any

import torch
import torch.distributed as torch_dist
from mmengine.dist import all_reduce, is_distributed
from mmengine.model import is_model_wrapper
from torch import nn
from torch.distributed.rendezvous import rendezvous


def join_processes(backend: str) -> None:
    """Make the process group as mmengine does with torch's defaults, with separate keys for each restart. Idempotent.

    When torchrun restarts all processes after one has died, its key-value store is not cleared (torch 2.13): a process
    may read the address of a dead one and end with ``Connection refused``. Therefore the keys of each start have a
    prefix.

    Args:
        backend: ``'gloo'``, ``'nccl'``, ...; if there is a CUDA device, that of the local rank is selected first.
    """
    if is_distributed():
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ['LOCAL_RANK']))
    store, rank, size = next(rendezvous('env://'))
    store = torch_dist.PrefixStore(f'start_{restarts()}', store)
    torch_dist.init_process_group(backend=backend, store=store, rank=rank, world_size=size)


def restarts() -> int:
    """Return how often torchrun has restarted this run."""
    return int(os.environ.get('TORCHELASTIC_RESTART_COUNT', '0'))


def any_rank(flag: bool) -> bool:
    """Return whether the flag is true in any process; all processes have to call it."""
    found = torch.tensor(float(flag))
    all_reduce(found, op='max')
    return bool(found)


def unwrapped(model: nn.Module) -> Any:
    """Return the model itself where it is wrapped for distributed training."""
    return model.module if is_model_wrapper(model) else model

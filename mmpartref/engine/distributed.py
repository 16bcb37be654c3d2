"""What several processes of one training share."""
import os
from typing import Any

import torch
import torch.distributed as torch_dist
from mmengine.dist import all_reduce, is_distributed
from mmengine.model import is_model_wrapper
from torch import nn
from torch.distributed.rendezvous import rendezvous


def join_processes(backend: str) -> None:
    """Make the process group as mmengine does with torch's defaults, but apart from that of an earlier start.

    When a process dies and torchrun starts all again, its key-value store lives on (seen with torch 2.13): a process
    may read the address that a dead one left there, and ends with ``Connection refused``. Here the keys of each start
    have a prefix of their own. Once is enough.

    Args:
        backend: ``'gloo'``, ``'nccl'``, ...; with a CUDA device the one of this process's local rank is selected first.
    """
    if is_distributed():
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ['LOCAL_RANK']))
    store, rank, size = next(rendezvous('env://'))
    store = torch_dist.PrefixStore(f'start_{restarts()}', store)
    torch_dist.init_process_group(backend=backend, store=store, rank=rank, world_size=size)


def restarts() -> int:
    """Return how often torchrun has started this run again."""
    return int(os.environ.get('TORCHELASTIC_RESTART_COUNT', '0'))


def anywhere(flag: bool) -> bool:
    """Return whether the flag is set in any process."""
    found = torch.tensor(float(flag))
    all_reduce(found, op='max')
    return bool(found)


def unwrapped(model: nn.Module) -> Any:
    """Return the model without the wrapper of distributed training."""
    return model.module if is_model_wrapper(model) else model

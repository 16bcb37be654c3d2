"""The processes that torchrun started, brought together."""
import os

import torch
import torch.distributed as torch_dist
from mmengine.dist import is_distributed
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

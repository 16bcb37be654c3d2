"""Processes of a group; ``tests/conftest.py`` loads this file, and spawned processes import it, hence nothing else.
"""
import importlib.util
import inspect
import multiprocessing
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

# Seconds without output after which a process counts as hung.
PATIENCE = 150


class JobInFile:
    """A function of a test's file, for a spawned process: it cannot import the file by the name that pytest gives it.

    Args:
        job: function at the top level of its file.
    """

    def __init__(self, job: Callable) -> None:
        self.file, self.name = inspect.getfile(job), job.__name__

    def __call__(self, *args: Any) -> Any:
        spec: Any = importlib.util.spec_from_file_location(Path(self.file).stem, self.file)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return getattr(module, self.name)(*args)


def run_rank(rank: int, size: int, folder: Path, backend: str, job: Callable, args: tuple,
             queue: multiprocessing.Queue) -> None:
    os.chdir(folder)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(size))
    torch.set_num_threads(1)
    if backend == 'nccl':
        torch.cuda.set_device(rank)
    torch.distributed.init_process_group(backend, init_method=f'file://{folder}/meet', rank=rank, world_size=size)
    # Otherwise a rank with little to do closes its connection while the other one is still connecting.
    torch.distributed.barrier()
    try:
        result = job(*args)
    except (Exception, SystemExit) as error:
        result = error
    queue.put((rank, result))
    torch.distributed.destroy_process_group()


def run_on_ranks(folder: Path, job: Callable, *args: Any, size: int = 2, method: str = 'fork',
                 backend: str = 'gloo') -> list[Any]:
    """Return what ``job(*args)`` returns or raises on each rank.

    Args:
        folder: working directory of all.
        job, args: the job; for ``'spawn'`` a function at the top level of a file and picklable arguments.
        size: number of ranks.
        method: ``'spawn'`` where the job uses CUDA, which a forked process cannot.
        backend: ``'gloo'``, or ``'nccl'`` with a device for each rank.
    """
    context: Any = multiprocessing.get_context(method)
    queue = context.Queue()
    folder.mkdir(parents=True, exist_ok=True)
    job = JobInFile(job) if method == 'spawn' else job
    processes = [context.Process(target=run_rank, args=(rank, size, folder, backend, job, args, queue))
                 for rank in range(size)]
    # A spawned process gets this path and imports this file by its name.
    sys.path.insert(0, str(Path(__file__).parent))
    try:
        for each in processes:
            each.start()
    finally:
        sys.path.remove(str(Path(__file__).parent))
    try:
        results = dict(queue.get(timeout=PATIENCE) for _ in processes)
        for each in processes:
            each.join(PATIENCE)
        assert [each.exitcode for each in processes] == [0] * size
    finally:
        for each in processes:
            each.kill()
    return [results[rank] for rank in range(size)]

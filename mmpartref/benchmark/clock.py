"""Measurement of time, memory and the matrix-product throughput of the machine."""
import ctypes
import gc
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

# Side of the square matrices whose product is timed: larger than any cache.
CEILING_SIDE = 3072
CEILING_REPEATS = 5
MIB = 2**20


@dataclass(frozen=True)
class Timing:
    """Time and memory of a case.

    Attributes:
        seconds: median over the repeats.
        fastest: minimum over the repeats.
        peak_mib: peak of additional memory in the first run; on a CPU of the process, None where it is unknown.
    """
    seconds: float
    fastest: float
    peak_mib: float | None


def synchronize(device: torch.device) -> None:
    """Wait for all kernels on a CUDA device."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def measure(cases: Mapping[str, Callable[[], object]], repeats: int, device: torch.device) -> dict[str, Timing]:
    """Time ``repeats`` runs of each case after one warm-up run.

    The cases run in turns, so that a change of the machine's load affects all of them.
    """
    peaks = {name: peak_memory(case, device) for name, case in cases.items()}
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(repeats):
        for name in list(cases) if number % 2 == 0 else list(cases)[::-1]:
            synchronize(device)
            began = time.perf_counter()
            cases[name]()
            synchronize(device)
            seconds[name].append(time.perf_counter() - began)
    return {name: Timing(statistics.median(each), min(each), peaks[name]) for name, each in seconds.items()}


def peak_memory(case: Callable[[], object], device: torch.device) -> float | None:
    """Run a case once and return the peak of additional memory in MiB.

    None on a CPU without ``/proc/self/clear_refs`` (not Linux), where the peak cannot be measured.
    """
    gc.collect()
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        case()
        synchronize(device)
        return (torch.cuda.max_memory_allocated(device) - before) / MIB
    clear = Path('/proc/self/clear_refs')
    try:
        # Linux: resets the peak of the resident size.
        clear.write_text('5')
    except OSError:
        case()
        return None
    # Free memory of earlier cases is returned to the system, or it would hide the growth.
    ctypes.CDLL(None).malloc_trim(0)
    resident = _status('VmRSS')
    clear.write_text('5')
    case()
    return max(0.0, _status('VmHWM') - resident)


def _status(key: str) -> float:
    """Return an entry of /proc/self/status in MiB."""
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(f'{key}:'):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def product_ceiling(device: torch.device, dtype: torch.dtype = torch.float32) -> float:
    """Return the best GFLOP/s of a large matrix product, an upper bound for layers (2 operations per multiply-add)."""
    one = torch.randn(CEILING_SIDE, CEILING_SIDE, device=device).to(dtype)
    other = torch.randn(CEILING_SIDE, CEILING_SIDE, device=device).to(dtype)
    best = float('inf')
    for _ in range(CEILING_REPEATS):
        synchronize(device)
        began = time.perf_counter()
        one @ other
        synchronize(device)
        best = min(best, time.perf_counter() - began)
    return 2 * CEILING_SIDE**3 / best / 1e9

"""Adaptation of a config and of the process to the machine."""
import ctypes
import os
import platform

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper

from mmpartref.engine.config.config_nodes import builds
from mmpartref.engine.distributed import join_processes, restarts
from mmpartref.engine.optim.bf16_optim_wrapper import Bf16OptimWrapper
from mmpartref.errors import ConfigError
from mmpartref.models.detectors import ReferringDetector
from mmpartref.registry import MODELS, OPTIM_WRAPPERS

# Options of AmpOptimWrapper that the optimiser wrappers on a CPU do not have.
CUDA_OPTIONS = ('loss_scale', 'dtype', 'use_fsdp')
# Parameters of glibc's mallopt, from malloc.h, with the values that keep freed memory in the process: no block is
# mapped separately, and the end of the heap is never returned.
MALLOC_OPTIONS = {-4: 0, -1: -1}  # M_MMAP_MAX, M_TRIM_THRESHOLD
# Names in the environment of the same settings; who sets one of them is not overruled.
MALLOC_VARIABLES = ('MALLOC_MMAP_', 'MALLOC_TRIM_THRESHOLD_', 'glibc.malloc.mmap_', 'glibc.malloc.trim_threshold')


def use_mixed_precision(cfg: Config) -> None:
    """Train a checked config in mixed precision: float16 on CUDA unless it says otherwise, bfloat16 on a CPU.

    Raises:
        ConfigError: a detector on a CPU; mmcv's operations have no bfloat16 there.
    """
    if torch.cuda.is_available():
        cfg.optim_wrapper.type = AmpOptimWrapper.__name__
        return
    if builds(MODELS, cfg.model, ReferringDetector):
        raise ConfigError('--amp: detectors have no mixed precision on a CPU, since mmcv has no NMS and RoIAlign in '
                          'bfloat16; remove --amp')
    cfg.optim_wrapper.type = Bf16OptimWrapper.__name__
    ignored = drop_cuda_options(cfg)
    print_log('no CUDA device: mixed precision is bfloat16, which is fast where the CPU computes in it (avx512_bf16 or '
              f'amx_bf16 in lscpu) and slow elsewhere{ignored}', 'current')


def drop_cuda_options(cfg: Config) -> str:
    """Remove the options that only CUDA's mixed precision has, and return a note of them for the log."""
    dropped = [f'{key}={cfg.optim_wrapper.pop(key)!r}' for key in CUDA_OPTIONS if key in cfg.optim_wrapper]
    return f"; ignored: {', '.join(dropped)}" if dropped else ''


def fit_to_hardware(cfg: Config) -> None:
    """Turn off, and log, what needs CUDA, on a machine without it.

    These are mixed precision (mmengine rejects it on a CPU), SyncBN and the device ids of distributed training. The
    process group then uses gloo and is made here, because mmengine selects a CUDA device first. Without CUDA the
    process also keeps its freed memory (``keep_freed_memory``).
    """
    if torch.cuda.is_available():
        if cfg.get('launcher') == 'pytorch' and restarts():
            join_processes(cfg.get('env_cfg', {}).get('dist_cfg', {}).get('backend', 'nccl'))
        return
    keep_freed_memory()
    if builds(OPTIM_WRAPPERS, cfg.get('optim_wrapper'), AmpOptimWrapper):
        cfg.optim_wrapper.type = 'OptimWrapper'
        ignored = drop_cuda_options(cfg)
        print_log(f'no CUDA device: full precision instead of mixed precision; --amp trains in bfloat16{ignored}',
                  'current')
    if cfg.get('launcher', 'none') == 'none':
        return
    if cfg.pop('sync_bn', None):
        print_log('no CUDA device: each process has its own BatchNorm statistics, averaged after an epoch', 'current')
    cfg.model_wrapper_cfg = {
        'type': 'MMDistributedDataParallel',
        'device_ids': None,
        'broadcast_buffers': False,
        **(cfg.get('model_wrapper_cfg') or {})
    }
    cfg.env_cfg = {**cfg.get('env_cfg', {}), 'dist_cfg': {'backend': 'gloo'}}
    if cfg.launcher == 'pytorch':
        join_processes('gloo')


def keep_freed_memory() -> None:
    """Let the process keep freed memory for its next tensors, where its C library is glibc.

    By default glibc returns every large tensor to the system when it is freed, so that each step of a training gets all
    its memory anew, which the system fills with zeros page by page; in a virtual machine this can take as long as the
    computation (docs/speed.md). Settings of the environment (``MALLOC_MMAP_MAX_``, ``GLIBC_TUNABLES``, ...) are left
    as they are, and so is an allocator that is loaded in place of glibc's (``LD_PRELOAD``).
    """
    environment = ' '.join(os.environ) + os.environ.get('GLIBC_TUNABLES', '')
    if platform.libc_ver()[0] == 'glibc' and not any(name in environment for name in MALLOC_VARIABLES):
        for option, value in MALLOC_OPTIONS.items():
            ctypes.CDLL(None).mallopt(option, value)

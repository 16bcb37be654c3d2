"""Adaptation of a config to the machine."""
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
    drop_cuda_options(cfg)
    print_log('no CUDA device: mixed precision is bfloat16, which is fast where the CPU computes in it (avx512_bf16 or '
              'amx_bf16 in lscpu) and slow elsewhere', 'current')


def drop_cuda_options(cfg: Config) -> None:
    """Remove the options of mixed precision that the other optimiser wrappers do not have."""
    for key in ('loss_scale', 'dtype', 'use_fsdp'):
        cfg.optim_wrapper.pop(key, None)


def fit_to_hardware(cfg: Config) -> None:
    """Turn off, and log, what needs CUDA, on a machine without it.

    These are mixed precision (mmengine rejects it on a CPU), SyncBN and the device ids of distributed training. The
    process group then uses gloo and is made here, because mmengine selects a CUDA device first.
    """
    if torch.cuda.is_available():
        if cfg.get('launcher') == 'pytorch' and restarts():
            join_processes(cfg.get('env_cfg', {}).get('dist_cfg', {}).get('backend', 'nccl'))
        return
    if builds(OPTIM_WRAPPERS, cfg.get('optim_wrapper'), AmpOptimWrapper):
        cfg.optim_wrapper.type = 'OptimWrapper'
        drop_cuda_options(cfg)
        print_log('no CUDA device: full precision instead of mixed precision; --amp trains in bfloat16', 'current')
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

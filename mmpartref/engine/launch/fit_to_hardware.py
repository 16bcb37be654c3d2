"""Adaptation of a config to the machine."""
import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper

from mmpartref.engine.config.config_nodes import builds
from mmpartref.engine.distributed import join_processes, restarts
from mmpartref.registry import OPTIM_WRAPPERS


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
        for key in ('loss_scale', 'dtype', 'use_fsdp'):
            cfg.optim_wrapper.pop(key, None)
        print_log('no CUDA device: full precision instead of mixed precision', 'current')
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

"""Keys of a config that depend on one another: loops, schedules and dataloaders."""
import logging
from typing import Any

from mmengine.config import Config
from mmengine.dataset import InfiniteSampler
from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
from mmengine.optim.scheduler.param_scheduler import (
    CosineAnnealingParamScheduler,
    MultiStepParamScheduler,
    OneCycleParamScheduler,
)
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from mmpartref.engine.config.config_nodes import DATALOADERS, builds, hook_nodes, type_name
from mmpartref.engine.resume.resumable_iter_based_train_loop import ResumableIterBasedTrainLoop
from mmpartref.errors import ConfigError
from mmpartref.registry import DATA_SAMPLERS, HOOKS, LOOPS, PARAM_SCHEDULERS, argument, resolve

# Arguments of torch's DataLoader for loading processes only, and their values without these.
FOR_WORKERS = {'persistent_workers': False, 'prefetch_factor': None, 'timeout': 0, 'multiprocessing_context': None}


def fit_dataloaders(cfg: Config) -> None:
    """Turn off, and log, what torch rejects: switches for workers without any, ``drop_last`` of batch samplers."""
    for name in DATALOADERS:
        loader = cfg.get(name)
        if not loader:
            continue
        if not loader.get('num_workers', 0):
            for key, off in FOR_WORKERS.items():
                if loader.get(key, off) != off:
                    print_log(f'{name}: {key}={loader.pop(key)} is for loading processes and ignored with '
                              'num_workers=0', 'current')
        if loader.get('batch_sampler') and loader.pop('drop_last', False):
            print_log(f'{name}: drop_last=True is ignored, because batch_sampler makes the batches', 'current')


def fit_train_loop(cfg: Config) -> None:
    """Drop the inherited keys of a loop by epoch from one by iteration, and the reverse.

    Raises:
        ConfigError: the loop has no length.
    """
    loop = cfg.get('train_cfg')
    if not loop:
        return
    if any(len(each) != 2 or each[1] < 1 for each in loop.get('dynamic_intervals') or []):
        raise ConfigError('train_cfg.dynamic_intervals must be a list of pairs (from, interval) with intervals of at '
                          'least 1')
    own, other = ('max_iters', 'max_epochs') if by_iteration(loop) else ('max_epochs', 'max_iters')
    if loop.get('type') is not None:
        loop.pop('by_epoch', None)
    if loop.get(own) is None and resolve(LOOPS, loop.get('type', 'EpochBasedTrainLoop')) in (
            EpochBasedTrainLoop, IterBasedTrainLoop):
        raise ConfigError(f'train_cfg has no {own}, the length of the training; set train_cfg.{own}')
    if loop.get(own) is not None and (ignored := loop.pop(other, None)) is not None:
        print_log(f'train_cfg: {own}={loop[own]}; {other}={ignored} is for the other kind of loop and ignored',
                  'current')


def fit_hooks_to_loop(cfg: Config) -> None:
    """For a loop by iteration set checkpoints and the log, which the base configs have by epoch, to iterations."""
    loop = cfg.get('train_cfg')
    if not loop or not by_iteration(loop):
        return
    interval = loop.get('val_interval', argument(LOOPS, {'type': 'ResumableIterBasedTrainLoop'}, 'val_interval'))
    for hook in hook_nodes(cfg):
        if builds(HOOKS, hook, CheckpointHook) and argument(HOOKS, hook, 'by_epoch'):
            hook.update(by_epoch=False, interval=interval)
            print_log(f'{type_name(hook)}: by_epoch=False, interval={interval}, as the validations', 'current')
    if cfg.get('log_processor') and cfg.log_processor.get('by_epoch', True):
        cfg.log_processor.by_epoch = False


def fit_samplers(cfg: Config) -> None:
    """Replace mmengine's ``InfiniteSampler``, without epochs, by a ``DefaultSampler``; the training repeats it."""
    for name in DATALOADERS:
        sampler = (cfg.get(name) or {}).get('sampler')
        if sampler and builds(DATA_SAMPLERS, sampler, InfiniteSampler):
            sampler.type = 'DefaultSampler'
            sampler.setdefault('shuffle', name == DATALOADERS[0])
            print_log(f'{name}: InfiniteSampler, which never ends, -> DefaultSampler'
                      + (', whose epochs the loop repeats' if name == DATALOADERS[0] else ''), 'current')


def by_iteration(loop: Any) -> bool:
    """Return whether a ``train_cfg`` is a loop by iteration."""
    if loop.get('type') is not None:
        return any(builds(LOOPS, loop, kind) for kind in (IterBasedTrainLoop, ResumableIterBasedTrainLoop))
    return loop.get('by_epoch') is False


def schedules_of(cfg: Config) -> list[Any]:
    """Return the schedules of a config, which has one or a list."""
    found = cfg.get('param_scheduler') or []
    return list(found) if isinstance(found, (list, tuple)) else [found]


def check_schedules(cfg: Config) -> None:
    """Compare the lengths of the learning rate schedules with that of the training; differences are logged.

    Raises:
        ConfigError: a one-cycle schedule ends before the training, which mmengine rejects in the middle of it.
    """
    loop = cfg.get('train_cfg')
    if not loop:
        return
    iterations = by_iteration(loop)
    length, unit = loop.get('max_iters' if iterations else 'max_epochs'), 'iterations' if iterations else 'epochs'
    for number, schedule in enumerate(schedules_of(cfg)):
        if not isinstance(length, int) or schedule.get('by_epoch', True) is iterations:
            continue
        path = f'param_scheduler.{number}'
        steps = min(schedule.get('end', length), length) - schedule.get('begin', 0)
        message = ''
        if builds(PARAM_SCHEDULERS, schedule, OneCycleParamScheduler):
            total = schedule.get('total_steps')
            if total is not None and total < steps:
                raise ConfigError(f'{path}.total_steps={total} ends before the {length} {unit} of train_cfg; remove it '
                                  'so that it follows them')
            if total is not None and total > steps:
                message = f'total_steps={total} is longer than'
        elif builds(PARAM_SCHEDULERS, schedule, CosineAnnealingParamScheduler):
            period = schedule.get('T_max')
            message = f'T_max={period} differs from' if period not in (None, steps) else ''
        elif builds(PARAM_SCHEDULERS, schedule, MultiStepParamScheduler):
            late = [each for each in schedule.get('milestones', []) if each >= length]
            message = f'milestones {late} are not within' if late else ''
        if message:
            print_log(f'{path}: {message} the {length} {unit} of train_cfg', 'current', level=logging.WARNING)


def check_auto_scale(cfg: Config) -> None:
    """Check that ``auto_scale_lr`` reaches the learning rate.

    mmengine multiplies the optimiser's rate by batch size times processes divided by ``base_batch_size``. With an
    ``ExpressionBatchSampler`` both batch sizes count expressions.

    Raises:
        ConfigError: it has no ``base_batch_size``, or a one-cycle schedule sets the rate from ``eta_max``.
    """
    scaling = cfg.get('auto_scale_lr') or {}
    if not scaling.get('enable'):
        return
    if not scaling.get('base_batch_size'):
        raise ConfigError('auto_scale_lr (--auto-scale-lr) needs auto_scale_lr.base_batch_size, the batch size of all '
                          "processes for which the config's learning rate is; set it")
    for number, schedule in enumerate(schedules_of(cfg)):
        if builds(PARAM_SCHEDULERS, schedule, OneCycleParamScheduler):
            raise ConfigError('auto_scale_lr (--auto-scale-lr) does not change the learning rate of a one-cycle '
                              f'schedule; set param_scheduler.{number}.eta_max')

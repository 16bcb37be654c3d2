"""From a config file and a command line to a runner: what ``tools/train.py`` and ``tools/test.py`` share."""
import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmpartref.datasets.referring.steps.absent_parts import AbsentPartSampler
from mmpartref.engine.distributed import join_processes, restarts, unwrapped
from mmpartref.engine.hooks.atomic_checkpoint_hook import check_work_dir
from mmpartref.engine.launch.config_check import (
    build_errors_explained,
    check_custom_keys,
    check_options,
    check_top_level,
    read_config_file,
)
from mmpartref.engine.launch.detector_config import NEEDS_OPS, fill_categories, nodes, require_operations
from mmpartref.engine.launch.fill_labels import fill_labels
from mmpartref.engine.launch.fill_letterbox import fill_letterbox
from mmpartref.engine.launch.options_action import OptionsAction
from mmpartref.engine.launch.published_choices import choices_line, published_choices
from mmpartref.engine.resume.resumable_epoch_based_train_loop import use_resumable_loop
from mmpartref.engine.resume.resume_point import choose_resume_point
from mmpartref.errors import ConfigError, MissingFileError
from mmpartref.models.segmentors.mask_decode import get_decode
from mmpartref.models.weights.checkpoints import read_outline
from mmpartref.registry import MODELS, SCOPE, argument

DATALOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def parse_launch_arguments(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Add what every launched tool takes (config, folders, overrides, launcher) and parse the command line."""
    parser.add_argument('--work-dir', help='where logs and checkpoints go; default work_dirs/<config name>')
    parser.add_argument('--data-root', help='data set folder, for every dataloader of the config')
    parser.add_argument(
        '--cfg-options', nargs='+', action=OptionsAction, help='overrides, e.g. test_dataloader.batch_size=2 (checked)')
    parser.add_argument('--launcher', choices=('none', 'pytorch', 'slurm', 'mpi'), default='none', help='job launcher')
    # torch.distributed.launch passes one spelling or the other, depending on its version.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def load_config(path: str | Path,
                options: Mapping[str, Any] | None = None,
                *,
                data_root: str | None = None,
                work_dir: str | None = None,
                launcher: str = 'none') -> Config:
    """Read a config and apply the command line to it.

    Args:
        path: the config file.
        options: what ``--cfg-options`` parsed, dotted path to value.
        data_root: replaces ``dataset.data_root`` of every dataloader; of a mixture, the first set's and that of those
            which share it.
        work_dir: replaces the config's; default ``work_dirs/<name of the config>``.
        launcher: ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.

    Raises:
        FileNotFoundError: there is no such config.
        ConfigError: a key is read by nothing.
    """
    if not os.path.isfile(path):
        raise MissingFileError(f'there is no config {path}; give the path of a .py file, e.g. one under configs/')
    try:
        cfg = read_config_file(path)
    except ModuleNotFoundError as error:
        # A base in another package, 'mmdet::...'.
        raise ConfigError(f'{path} {NEEDS_OPS.format(found=error)}') from None
    cfg.setdefault('default_scope', SCOPE)
    check_top_level(cfg.to_dict())
    if options:
        check_options(cfg.to_dict(), options)
        cfg.merge_from_dict(dict(options))
    if data_root is not None:
        for name in DATALOADERS:
            if cfg.get(name):
                set_data_root(cfg[name].dataset, data_root)
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = os.path.join('work_dirs', Path(path).stem)
    cfg.launcher = launcher
    return cfg


def set_data_root(dataset: Any, data_root: str) -> None:
    """Replace a data set's folder; of a mixture's sets, that of the first and of those in the same folder."""
    sets = dataset.get('datasets') or [dataset]
    shared = sets[0].get('data_root')
    for each in sets:
        if each.get('data_root') == shared:
            each.data_root = data_root
        else:
            print_log(f"{each.get('ann_file')}: data_root stays {each.get('data_root')}", 'current')


def fit_to_hardware(cfg: Config) -> None:
    """Turn off, with a printed line each, what the present machine cannot do.

    Without CUDA: mixed precision (mmengine refuses it on a CPU), SyncBN, and the device ids of distributed training;
    the process group is then gloo's and made here, because mmengine selects a CUDA device first.
    """
    if torch.cuda.is_available():
        if cfg.launcher == 'pytorch' and restarts():
            join_processes(cfg.get('env_cfg', {}).get('dist_cfg', {}).get('backend', 'nccl'))
        return
    if cfg.get('optim_wrapper') and cfg.optim_wrapper.get('type') == 'AmpOptimWrapper':
        cfg.optim_wrapper.type = 'OptimWrapper'
        for key in ('loss_scale', 'dtype', 'use_fsdp'):
            cfg.optim_wrapper.pop(key, None)
        print_log('no CUDA device: training in full precision instead of mixed', 'current')
    if cfg.launcher == 'none':
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


def skip_initial_weights(cfg: Config) -> None:
    """Drop pretrained weights from the config where a checkpoint replaces them, so that nobody has to have them.

    That is: a whole checkpoint is loaded first, or the run goes on from one.
    """
    found = cfg.get('load_from')
    partial = any(hook.get('may_lack') for hook in cfg.get('custom_hooks') or [])
    if not found or partial:
        return
    for node in nodes(cfg.model):
        init = node.get('init_cfg')
        if isinstance(init, Mapping) and str(init.get('type')).endswith('Pretrained'):
            node.init_cfg = None  # type: ignore[attr-defined]
            print_log(f"{node.get('type')}: weights come from {found}, not from {init['checkpoint']}", 'current')


def build_runner(cfg: Config) -> Runner:
    """Build the runner and check what only a built model can tell.

    Raises:
        CheckpointWriteError: nothing can be written into the work dir.
        ConfigError: there is no model, the checkpoint to resume is no good, a custom key of the optimiser matches no
            parameter, or a detector's or an auxiliary head's needs are not met.
        WeightsError: ``load_from`` cannot be read.
    """
    check_work_dir(cfg.work_dir)
    choose_resume_point(cfg)
    use_resumable_loop(cfg)
    if not cfg.get('model'):
        raise ConfigError(f'the config {cfg.filename} has no model; give one that has, e.g. one under configs/')
    if cfg.get('load_from') and os.path.isfile(cfg.load_from):
        # mmengine's reader fails in a library when the whole run has been set up.
        read_outline(cfg.load_from)
    require_operations(cfg)
    fit_to_hardware(cfg)
    fill_categories(cfg)
    fill_labels(cfg)
    fill_letterbox(cfg)
    skip_initial_weights(cfg)
    if cfg.model.get('type') == 'ReferringDetector':
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), {'type': 'DetectorCategoriesHook'}]
    if cfg.launcher != 'none' and not cfg.get('sync_bn'):
        # Else each process would validate with BatchNorm statistics of its own, and rank 0's alone be saved.
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), {'type': 'SyncBuffersHook'}]
    if not any(str(hook.get('type')).endswith('BadSampleHook') for hook in cfg.get('custom_hooks') or []):
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), {'type': 'BadSampleHook'}]
    hooks = [*(cfg.get('default_hooks') or {}).values(), *(cfg.get('custom_hooks') or [])]
    if not any(str((hook or {}).get('type')).endswith('SafeCheckpointHook') for hook in hooks):
        cfg.default_hooks = {**(cfg.get('default_hooks') or {}), 'safe_checkpoint': {'type': 'SafeCheckpointHook'}}
    with build_errors_explained():
        runner = Runner.from_cfg(cfg)
    print_log('choices: ' + choices_line(published_choices(cfg)), 'current')
    if cfg.get('train_dataloader'):
        check_custom_keys(runner.model, cfg.get('optim_wrapper'))
    return runner


def start_from_init_cfg(runner: Runner) -> None:
    """Load what the model's ``init_cfg`` names, for a test without a checkpoint.

    Raises:
        ConfigError: it names no weights at all.
    """
    if not any(isinstance(node.get('init_cfg'), Mapping) and 'checkpoint' in node['init_cfg']
               for node in nodes(runner.cfg.model)):
        raise ConfigError('a test needs a checkpoint: this config names no weights of its own (init_cfg)')
    model = unwrapped(runner.model)
    model.init_weights()


def add_dump(cfg: Config, out_file: str, *, candidates: bool = False) -> None:
    """Have the test evaluator write its predictions to ``out_file`` as well, with what they cost.

    Args:
        cfg: the config, changed in place.
        out_file: the dump.
        candidates: write every mask the model could have given, so that thresholds can be chosen later.
    """
    evaluators = cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]
    if candidates:
        cfg.model.keep_candidates = True
    cfg.test_evaluator = [*evaluators, {'type': 'ReferringDump', 'out_file': out_file, 'header': dump_header(cfg)}]
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), {'type': 'ModelCostHook'}]


def dump_header(cfg: Config) -> dict[str, Any]:
    """Return what a dump says of how its masks were made; None where it does not apply."""
    model = cfg.model
    header: dict[str, Any] = {
        'config': os.path.basename(cfg.filename or ''),
        'checkpoint': cfg.load_from,
        'ann_file': cfg.test_dataloader.dataset.get('ann_file'),
    }
    if cfg.test_dataloader.dataset.get('absent') is not None:
        header['absent'] = AbsentPartSampler(**cfg.test_dataloader.dataset.absent).describe()
    if model.get('type') == 'ReferringDetector':
        for key in ('resolver', 'rule', 'targets', 'score_threshold'):
            header[key] = argument(MODELS, model, key)
        return header
    decode = argument(MODELS, model, 'decode')
    return {
        **header,
        'decode': decode,
        'threshold': get_decode(decode, argument(MODELS, model, 'threshold')).threshold if decode else None,
        'choices': choices_line(published_choices(cfg)),
    }

"""Runner of a config file and a command line, for ``tools/train.py`` and ``tools/test.py``."""
import argparse
import multiprocessing.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmengine.utils import import_modules_from_strings

from mmpartref.arguments import ToolParser, input_path, is_given, natural, output_folder
from mmpartref.engine.config.build_errors import build_errors_explained
from mmpartref.engine.config.config_keys import (
    check_custom_keys,
    check_options,
    check_top_level,
)
from mmpartref.engine.config.config_names import find_config
from mmpartref.engine.config.config_nodes import DATALOADERS, leaf_datasets
from mmpartref.engine.config.config_values import check_values
from mmpartref.engine.config.options_action import OptionsAction
from mmpartref.engine.config.read_config import read_config_file
from mmpartref.engine.launch.dependent_keys import (
    check_auto_scale,
    check_schedules,
    fit_dataloaders,
    fit_hooks_to_loop,
    fit_samplers,
    fit_train_loop,
)
from mmpartref.engine.launch.detector_config import NEEDS_OPS, fill_categories, require_operations
from mmpartref.engine.launch.fill_labels import fill_labels
from mmpartref.engine.launch.fill_letterbox import fill_letterbox, fill_zoom
from mmpartref.engine.launch.fit_to_hardware import fit_to_hardware
from mmpartref.engine.launch.initial_weights import skip_initial_weights
from mmpartref.engine.launch.input_size import apply_input_size
from mmpartref.engine.launch.published_choices import choices_line, published_choices
from mmpartref.engine.launch.required_classes import (
    add_required_hooks,
    drop_disabled_hooks,
    use_compiled_network,
    use_resumable_loop,
    use_skipping_classes,
)
from mmpartref.engine.launch.run_checks import check_config_stays, check_load_from
from mmpartref.engine.resume.resume_point import choose_resume_point
from mmpartref.engine.resume.resumed_config import check_resumed_config
from mmpartref.engine.resume.write_checkpoint import check_work_dir
from mmpartref.engine.terminal.terminal_runner import TerminalRunner
from mmpartref.errors import ConfigError
from mmpartref.registry import SCOPE
from mmpartref.run_log import show_errors_only

# Environment variables with the number of a process, by launcher.
RANKS = {'pytorch': 'RANK', 'slurm': 'SLURM_PROCID', 'mpi': 'OMPI_COMM_WORLD_RANK'}


def parse_launch_arguments(parser: ToolParser) -> argparse.Namespace:
    """Add the options for folders, overrides and launcher, and parse the command line."""
    parser.add_argument('--work-dir', type=output_folder,
                        help='folder of logs and checkpoints; default work_dirs/<config name>')
    parser.add_argument('--data-root', type=input_path, help='dataset folder, for every dataloader of the config')
    parser.add_argument(
        '--cfg-options', nargs='+', action=OptionsAction, help='overrides, e.g. test_dataloader.batch_size=2 (checked)')
    parser.add_argument('--launcher', choices=('none', 'pytorch', 'slurm', 'mpi'), help='job launcher')
    # torch.distributed.launch passes one spelling or the other, depending on its version.
    parser.add_argument('--local_rank', '--local-rank', type=natural, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    for name, key in (('work_dir', 'work_dir'), ('launcher', 'launcher'), ('seed', 'randomness.seed'),
                      ('deterministic', 'randomness.deterministic'), ('amp', 'optim_wrapper.type')):
        if hasattr(args, name) and is_given(args, name) and key in (args.cfg_options or {}):
            parser.error(f"--{name.replace('_', '-')} and --cfg-options {key} are the same; give one of them")
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def load_config(path: str | Path,
                options: Mapping[str, Any] | None = None,
                *,
                data_root: str | None = None,
                work_dir: str | None = None,
                launcher: str | None = None) -> Config:
    """Read a config and apply the command line to it.

    Args:
        path: the config file, or the name of a packaged one.
        options: overrides of ``--cfg-options``, dotted path to value.
        data_root: replaces ``dataset.data_root`` of every dataloader; of a mixture, that of the first dataset and of
            those with the same one.
        work_dir: replaces the config's; default ``work_dirs/<name of the config>``.
        launcher: ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``; None for the config's.

    Raises:
        FileNotFoundError: the config does not exist.
        ConfigError: nothing reads one of its keys, or a value cannot be used.
    """
    path = find_config(path)
    try:
        cfg = read_config_file(path)
    except ModuleNotFoundError as error:
        # A base from another package, 'mmdet::...'.
        raise ConfigError(f'{path} {NEEDS_OPS.format(found=error)}') from error
    if cfg.get('default_scope') is None:
        cfg.default_scope = SCOPE
    variables = check_top_level(cfg.to_dict(), cfg.text)
    if options:
        check_options(cfg.to_dict(), options, cfg.text)
        merge_options(cfg, options)
    if launcher is not None or not cfg.get('launcher'):
        cfg.launcher = launcher or 'none'
    if os.environ.get(RANKS.get(str(cfg.launcher), ''), '0') != '0':
        show_errors_only()
    if data_root is not None:
        for name in DATALOADERS:
            if cfg.get(name):
                set_data_root(cfg[name].dataset, data_root)
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = os.path.join('work_dirs', Path(path).stem)
    for name in variables:
        cfg.pop(name)  # a dumped config has the key and not its use
    apply_input_size(cfg, options or {})
    check_values(cfg)
    return cfg


def merge_options(cfg: Config, options: Mapping[str, Any]) -> None:
    """Merge overrides into a config, and import what they name in ``custom_imports``.

    Raises:
        ConfigError: a module cannot be imported.
    """
    for path, value in options.items():
        above, _, key = path.rpartition('.')
        parent: Any = cfg
        for each in above.split('.') if above else ():
            parent = parent[int(each)] if isinstance(parent, list) else (parent or {}).get(each)
        replaced = None if isinstance(parent, list) else (parent or {}).get(key)
        if isinstance(value, Mapping) and isinstance(replaced, list) and not all(map(str.isdigit, map(str, value))):
            raise ConfigError(f'--cfg-options {path}: the config has a list there; give a list, or an item of it as '
                              f'{path}.0')
        if isinstance(parent, list) and not isinstance(value, Mapping):
            parent[int(key)] = value  # mmengine merges dicts only
        else:
            cfg.merge_from_dict({path: value})
    imports = cfg.get('custom_imports')
    if any(path.partition('.')[0] == 'custom_imports' for path in options) and isinstance(imports, Mapping):
        try:
            import_modules_from_strings(**imports)
        except Exception as error:  # a module can raise anything
            raise ConfigError(f'custom_imports cannot be imported ({type(error).__name__}: {error}); correct it, or '
                              'add the folder of the module to PYTHONPATH') from error


def set_data_root(dataset: Any, data_root: str) -> None:
    """Replace a dataset's folder; in a mixture, that of the first dataset and of those in the same folder."""
    datasets = leaf_datasets(dataset)
    shared = datasets[0].get('data_root')
    for each in datasets:
        if each.get('data_root') == shared:
            each.data_root = data_root
        else:
            print_log(f"{each.get('ann_file')}: data_root stays {each.get('data_root')}", 'current')


def check_model(cfg: Config) -> None:
    """Raise a ConfigError where the config has no model."""
    if not cfg.get('model'):
        raise ConfigError(f'the config {cfg.filename} has no model; give one that has, e.g. one in configs/')


# Each changes a config in place, or checks it, and is idempotent: a config from a work dir starts the same run again.
PREPARE = (
    choose_resume_point,
    check_model,
    check_config_stays,
    check_load_from,
    require_operations,
    check_values,
    fit_dataloaders,
    fit_samplers,
    fit_train_loop,
    fit_hooks_to_loop,
    check_schedules,
    check_auto_scale,
    fit_to_hardware,
    use_resumable_loop,
    use_skipping_classes,
    use_compiled_network,
    fill_categories,
    fill_labels,
    fill_letterbox,
    fill_zoom,
    skip_initial_weights,
    drop_disabled_hooks,
    add_required_hooks,
    check_resumed_config,
)


def build_runner(cfg: Config) -> Runner:
    """Prepare a config with the functions of ``PREPARE``, build its runner, and check the model against the config.

    Raises:
        CheckpointWriteError: the work dir is not writable.
        ConfigError: there is no model, the checkpoint to resume from cannot be used, a custom key of the optimiser
            matches no parameter, or a class cannot be built.
        WeightsError: ``load_from`` cannot be read.
    """
    check_work_dir(cfg.work_dir)
    # The folder of sockets that data loading processes inherit; each would make its own, which stays when it is killed.
    multiprocessing.util.get_temp_dir()
    for prepare in PREPARE:
        prepare(cfg)
    with build_errors_explained():
        runner = TerminalRunner.from_cfg(cfg)
    print_log('choices: ' + choices_line(published_choices(cfg)), 'current')
    if cfg.get('train_dataloader'):
        check_custom_keys(runner.model, cfg.get('optim_wrapper'), cfg.filename)
    return runner

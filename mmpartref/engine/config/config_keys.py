"""Checks of a config's keys.

mmengine ignores unknown top-level keys, creates any path in ``--cfg-options``, and ignores an entry of
``paramwise_cfg.custom_keys`` that matches no parameter.
"""
import ast
import inspect
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, LogProcessor, Runner, ValLoop
from torch import nn
from torch.utils.data import DataLoader

from mmpartref.engine.config.config_nodes import builds, type_name
from mmpartref.engine.config.read_config import check_bases
from mmpartref.engine.config.signatures import arguments_of, find_class
from mmpartref.engine.optim.grouped_optim_wrapper_constructor import GroupedOptimWrapperConstructor
from mmpartref.errors import ConfigError
from mmpartref.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmpartref.text import nearest

# Read by mmengine from ``runner.cfg`` and not through the runner's signature.
RUNNER_EXTRAS = {'activation_checkpointing', 'compile', 'custom_imports', 'efficient_conv_bn_eval', 'env_cfg',
                 'find_unused_parameters', 'model_wrapper_cfg', 'runner_type', 'sync_bn',
                 'input_size'}  # read by ``apply_input_size``
# What to do instead of overriding a helper variable.
HELPER_HINTS = {'data_root': ': --data-root', 'max_epochs': ': train_cfg.max_epochs',
                'image_size': ': input_size, which sets every Letterbox',
                'vis_backends': ': visualizer.vis_backends'}
# Usual names of helper variables in OpenMMLab configs. Others may start with an underscore.
HELPER_NAMES = {
    'backend_args', 'checkpoint_file', 'classes', 'crop_size', 'data_root', 'dataset_type', 'file_client_args',
    'image_size', 'img_scale', 'max_epochs', 'metainfo', 'norm_cfg', 'num_classes', 'template', 'test_pipeline',
    'train_pipeline', 'val_pipeline', 'vis_backends'
}
HOOK_NAMES = {'runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint', 'visualization'}


LOADER_KEYS = arguments_of(DataLoader).keys() | {'disable_subprocess_warning', 'num_batch_per_epoch'}
LOOP_KEYS = {'by_epoch', *arguments_of(EpochBasedTrainLoop), *arguments_of(IterBasedTrainLoop), *arguments_of(ValLoop)}
# Keys of the dicts without a ``type`` that mmengine reads, by their name.
UNTYPED_KEYS: dict[str, set[str]] = {
    'train_dataloader': LOADER_KEYS,
    'val_dataloader': LOADER_KEYS,
    'test_dataloader': LOADER_KEYS,
    'train_cfg': LOOP_KEYS,
    'val_cfg': LOOP_KEYS,
    'test_cfg': LOOP_KEYS,
    'randomness': set(arguments_of(Runner.set_randomness)),
    'log_processor': set(arguments_of(LogProcessor)),
    'env_cfg': {'cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'},
    'mp_cfg': {'mp_start_method', 'opencv_num_threads'},
    'auto_scale_lr': {'enable', 'base_batch_size'},
    'clip_grad': {'type', 'max_norm', 'norm_type', 'error_if_nonfinite', 'foreach', 'clip_value'},
    'default_hooks': HOOK_NAMES,
    'paramwise_cfg': {
        'custom_keys', 'bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult', 'dwconv_decay_mult', 'flat_decay_mult',
        'bypass_duplicate', 'dcn_offset_lr_mult', 'layer_decay'
    },
}
OPTIM_WRAPPER_KEYS = arguments_of(DefaultOptimWrapperConstructor).keys() | {'constructor', 'optimizer', 'clip_grad'}


def top_level_keys() -> set[str]:
    """Return the valid top-level keys of a config, except for those that start with an underscore."""
    return (arguments_of(Runner).keys() - {'cfg'}) | RUNNER_EXTRAS | HELPER_NAMES


def check_top_level(cfg: Mapping[str, Any], text: str = '') -> set[str]:
    """Check the top-level keys of a config.

    Valid are the arguments of mmengine's runner, usual names of helper variables (``data_root``, ``train_pipeline``,
    ...), the variables that its file or bases use, and names that start with an underscore.

    Args:
        cfg: the config.
        text: of its file and bases.

    Returns:
        The variables among its keys that only the file uses: without the file nothing reads them.

    Raises:
        ConfigError: nothing reads a key; the message has the nearest valid one.
    """
    known = top_level_keys()
    used = used_variables(text) - known
    # A lazy config also has all names of its bases, whose files mmengine does not keep.
    own = assigned_variables(text) if 'read_base' in text else {*cfg}
    for key in cfg:
        if key not in known and key not in used and key in own and not key.startswith('_'):
            raise ConfigError(f"nothing reads the config key '{key}'; {nearest(key, known)} (the name of a helper "
                              "variable may start with '_')")
    return {key for key in cfg if key not in known and not key.startswith('_')}


def used_variables(text: str) -> set[str]:
    """Return the names that config files use as variables, also as ``_base_.name`` or ``{{_base_.name}}``.

    Args:
        text: of a config with its bases, as mmengine has it: before each file a line with its path.
    """
    names = set(re.findall(r'_base_\.(\w+)', text))
    return names | {each.id for file in _parsed_files(text) for each in ast.walk(file)
                    if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)}


def assigned_variables(text: str) -> set[str]:
    """Return the names that config files assign at their top level; arguments as of ``used_variables``."""
    return {target.id for file in _parsed_files(text) for line in file.body if isinstance(line, ast.Assign)
            for target in line.targets if isinstance(target, ast.Name)}


def _parsed_files(text: str) -> list[ast.Module]:
    """Return the Python files in a config's text, which are separated by lines with their paths."""
    files: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.endswith('.py') and os.path.isfile(line):
            files.append([])
        else:
            files[-1].append(line)
    parsed = []
    for lines in files:
        with suppress(SyntaxError, ValueError):
            parsed.append(ast.parse('\n'.join(lines)))
    return parsed


def check_options(cfg: Mapping[str, Any], options: Mapping[str, Any], text: str = '') -> None:
    """Check the paths of ``--cfg-options``.

    A path is valid if the config has it, or if the class of its last existing part, that of the config or of another
    option, has an argument of that name. ``_delete_`` is one everywhere: mmengine drops the other keys next to it. A
    helper variable (``data_root``, ``image_size``) is not: the config has used its value when it was read.

    Raises:
        ConfigError: a path is not valid; the message has the nearest valid key.
    """
    helpers = (HELPER_NAMES | used_variables(text)) - arguments_of(Runner).keys() - RUNNER_EXTRAS
    for path, value in options.items():
        helper = path.partition('.')[0]
        if helper == 'default_hooks' and ('.'.join(path.split('.')[:2]) + '.type' in options
                                          or (path.count('.') == 1 and isinstance(value, Mapping) and 'type' in value)):
            continue  # a hook of a new name or another class, which ``check_values`` checks
        if helper in helpers or helper.startswith('_'):
            raise ConfigError(f"--cfg-options {path}: nothing reads '{helper}' after the config was read; override "
                              'what it was used for' + HELPER_HINTS.get(helper, ''))
        _check_path(cfg, path, options)


def _check_path(cfg: Mapping[str, Any], path: str, options: Mapping[str, Any]) -> None:
    node: Any = cfg
    name = ''
    for depth, key in enumerate(path.split('.')):
        where = '.'.join(path.split('.')[:depth]) or 'the config'
        if isinstance(node, Sequence) and not isinstance(node, str):
            if not key.isdigit() or int(key) >= len(node):
                raise ConfigError(f"--cfg-options {path}: {where} is a list of {len(node)}: '{key}' must be a number "
                                  f'below {len(node)}')
            node = node[int(key)]
        elif isinstance(node, Mapping):
            if key not in node:
                if key == '_delete_':
                    return
                known = _accepted({**node, 'type': options.get(f'{where}.type', node.get('type'))}, name)
                # None: the class cannot be imported, or checks its own arguments.
                if known is not None and key not in known:
                    raise ConfigError(f"--cfg-options {path}: '{key}' is not a key of {where}; "
                                      f'{nearest(key, set(known) | set(node))}')
                return
            node = node[key]
        elif node is None:
            return
        else:
            raise ConfigError(f"--cfg-options {path}: {where} is {node!r}, which has no '{key}' inside")
        name = key


def _accepted(node: Mapping[str, Any], name: str) -> set[str] | None:
    """Return the valid keys of ``node`` besides those it has; None where they are unknown."""
    if not name:
        return top_level_keys()
    if name == 'custom_keys':
        return None
    known = set(UNTYPED_KEYS.get(name, ()))
    if name == 'optim_wrapper':
        known |= OPTIM_WRAPPER_KEYS
    if node.get('type') is None:
        return known or None
    built = find_class(node['type'])
    if built is None:
        return None
    read_by_runner = {'priority'} if inspect.isclass(built) and issubclass(built, Hook) else set()
    return known | arguments_of(built).keys() | {'type'} | read_by_runner


def check_custom_keys(model: nn.Module, optim_wrapper: Mapping[str, Any] | None, config: str | None = None) -> None:
    """Check that each of ``paramwise_cfg.custom_keys`` is a part of a parameter's name.

    ``layer_decay`` needs the ``GroupedOptimWrapperConstructor``, since others ignore it.

    Args:
        model: with the parameters.
        optim_wrapper: its config.
        config: path of the config, for the message.

    Raises:
        ConfigError: one is not; the message has the file with the key and the nearest name of a module or parameter.
    """
    paramwise = (optim_wrapper or {}).get('paramwise_cfg') or {}
    custom_keys = paramwise.get('custom_keys') or {}
    constructor = {'type': (optim_wrapper or {}).get('constructor', 'DefaultOptimWrapperConstructor')}
    if paramwise.get('layer_decay') and not builds(OPTIM_WRAPPER_CONSTRUCTORS, constructor,
                                                   GroupedOptimWrapperConstructor):
        raise ConfigError(f'{type_name(constructor)} does not read optim_wrapper.paramwise_cfg.layer_decay; set '
                          "optim_wrapper.constructor='GroupedOptimWrapperConstructor'")
    names = [name for name, _ in model.named_parameters()]
    for key in custom_keys:
        if not any(key in name for name in names):
            parts = {'.'.join(name.split('.')[:depth]) for name in names for depth in range(1, name.count('.') + 2)}
            parts |= {part for name in names for part in name.split('.')}
            source = defining_file(config, key)
            source = f' of {source}' if source else ''
            raise ConfigError(f"optim_wrapper.paramwise_cfg.custom_keys: '{key}'{source} matches no "
                              f'parameter of the model; {nearest(key, parts)}; custom_keys=dict(_delete_=True, ...) '
                              'removes the inherited keys')


def defining_file(config: str | None, key: str) -> str:
    """Return which of a config and its bases has a key as a text or keyword, '' where none is found."""
    files = check_bases(Path(config)) if config and os.path.isfile(config) else []
    for file in reversed(files):
        with suppress(OSError, UnicodeDecodeError):
            if re.search(rf"""['"]{re.escape(key)}['"]|\b{re.escape(key)}\s*=""", file.read_text(encoding='utf-8')):
                return str(file)
    return ''

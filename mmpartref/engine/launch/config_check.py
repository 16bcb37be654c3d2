"""Reading of config files, and checks for misspelt keys.

mmengine ignores unknown top-level keys, creates any path in ``--cfg-options``, and ignores an entry of
``paramwise_cfg.custom_keys`` that matches no parameter.
"""
import ast
import difflib
import inspect
import os
import warnings
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from mmengine.config import Config
from mmengine.fileio import BaseFileHandler, register_handler
from mmengine.fileio.handlers.registry_utils import file_handlers
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import (
    DATA_SAMPLERS,
    DATASETS,
    EVALUATOR,
    HOOKS,
    LOG_PROCESSORS,
    LOOPS,
    METRICS,
    MODEL_WRAPPERS,
    MODELS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    TRANSFORMS,
    VISBACKENDS,
    VISUALIZERS,
    DefaultScope,
)
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, LogProcessor, Runner
from torch import nn
from torch.utils.data import DataLoader

from mmpartref.engine.launch.config_nodes import builds, type_name
from mmpartref.engine.optim.grouped_optim_wrapper_constructor import GroupedOptimWrapperConstructor
from mmpartref.errors import ConfigError
from mmpartref.registry import ENTRY_STEPS, OPTIM_WRAPPER_CONSTRUCTORS, SCOPE

# Read by mmengine from ``runner.cfg`` and not through the runner's signature.
RUNNER_EXTRAS = {'custom_imports', 'env_cfg', 'find_unused_parameters', 'model_wrapper_cfg', 'runner_type', 'sync_bn'}
# Usual names of helper variables in OpenMMLab configs. Others may start with an underscore.
HELPER_NAMES = {
    'backend_args', 'checkpoint_file', 'classes', 'crop_size', 'data_root', 'dataset_type', 'file_client_args',
    'image_size', 'img_scale', 'max_epochs', 'metainfo', 'norm_cfg', 'num_classes', 'template', 'test_pipeline',
    'train_pipeline', 'tta_model', 'tta_pipeline', 'val_pipeline', 'vis_backends'
}
REGISTRIES = (MODELS, DATASETS, ENTRY_STEPS, TRANSFORMS, METRICS, HOOKS, DATA_SAMPLERS, VISUALIZERS, VISBACKENDS,
              OPTIM_WRAPPERS, OPTIMIZERS, PARAM_SCHEDULERS, LOOPS, LOG_PROCESSORS, EVALUATOR, MODEL_WRAPPERS)
HOOK_NAMES = {'runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint', 'visualization'}


def parameter_names(function: Any) -> set[str]:
    """Return the arguments of a class or function, with those of base classes that are passed on as ``**kwargs``."""
    names: set[str] = set()
    for owner in inspect.getmro(function) if inspect.isclass(function) else (function, ):
        target = owner.__dict__.get('__init__') if inspect.isclass(owner) else owner
        if not inspect.isfunction(target):
            continue
        parameters = inspect.signature(target).parameters.values()
        names |= {each.name for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)}
        if not any(each.kind is each.VAR_KEYWORD for each in parameters):
            break
    return names - {'self'}


LOADER_KEYS = parameter_names(DataLoader) | {'indices_per_epoch', 'num_batch_per_epoch'}
LOOP_KEYS = {'by_epoch'} | parameter_names(EpochBasedTrainLoop) | parameter_names(IterBasedTrainLoop)
# Keys of the dicts without a ``type`` that mmengine reads, by their name.
UNTYPED_KEYS: dict[str, set[str]] = {
    'train_dataloader': LOADER_KEYS,
    'val_dataloader': LOADER_KEYS,
    'test_dataloader': LOADER_KEYS,
    'train_cfg': LOOP_KEYS,
    'val_cfg': LOOP_KEYS,
    'test_cfg': LOOP_KEYS,
    'randomness': parameter_names(Runner.set_randomness),
    'log_processor': parameter_names(LogProcessor),
    'env_cfg': {'cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'},
    'mp_cfg': {'mp_start_method', 'opencv_num_threads'},
    'auto_scale_lr': {'enable', 'base_batch_size'},
    'default_hooks': HOOK_NAMES,
    'paramwise_cfg': {
        'custom_keys', 'bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult', 'dwconv_decay_mult', 'flat_decay_mult',
        'bypass_duplicate', 'dcn_offset_lr_mult', 'layer_decay'
    },
}
OPTIM_WRAPPER_KEYS = parameter_names(DefaultOptimWrapperConstructor) | {'constructor', 'optimizer', 'clip_grad'}


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the end of a message, with the known key that is nearest to ``word``."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.0)
    return f"the nearest valid key is '{close[0]}'" if close else 'no key is valid there'


def check_bases(path: Path, above: tuple[Path, ...] = ()) -> list[Path]:
    """Check that a config is not among its own bases: mmengine would recurse for a minute until Python stops it.

    Returns:
        Absolute paths of the config and its bases, those in packages (``mmdet::...``) aside.

    Raises:
        ConfigError: it is.
    """
    path = Path(os.path.abspath(path))
    if path in above:
        raise ConfigError(f'the config {above[0]} has {path} among its own bases; correct _base_')
    try:
        lines = ast.parse(path.read_bytes()).body if path.suffix == '.py' else []
    except (OSError, SyntaxError, ValueError):
        return [path]  # reported when mmengine reads it
    found = [path]
    for line in lines:
        if isinstance(line, ast.Assign) and any(getattr(each, 'id', '') == '_base_' for each in line.targets):
            for each in ast.walk(line.value):
                if isinstance(each, ast.Constant) and isinstance(each.value, str) and '::' not in each.value:
                    found += check_bases(path.parent / each.value, (*above, path))
    return found


class SafeYamlHandler(BaseFileHandler):
    """Handler of YAML without Python objects; mmengine's builds and calls the object of a ``!!python`` tag."""

    def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:
        """Return the document of an open file."""
        return yaml.safe_load(file)

    def dump_to_fileobj(self, obj: Any, file: Any, **kwargs: Any) -> None:
        """Write a document to an open file."""
        yaml.safe_dump(obj, file, **kwargs)

    def dump_to_str(self, obj: Any, **kwargs: Any) -> str:
        """Return a document as text."""
        return yaml.safe_dump(obj, **kwargs)


@contextmanager
def yaml_without_objects() -> Iterator[None]:
    """Register ``SafeYamlHandler`` with mmengine inside this context."""
    before = {name: file_handlers[name] for name in ('yaml', 'yml')}
    register_handler(list(before))(SafeYamlHandler)
    try:
        yield
    finally:
        file_handlers.update(before)


def starts_with_bom(path: Path) -> bool:
    """Return whether a file starts with the byte order mark that Windows' editors write; False if it cannot be read."""
    try:
        with path.open('rb') as file:
            return file.read(len(BOM_UTF8)) == BOM_UTF8
    except OSError:
        return False


def _read_without_boms(path: str, files: Iterable[Path]) -> Config:
    """Read copies of a config and its bases without BOM, which mmengine takes for a syntax error.

    The copies are at the same paths below a temporary folder, so that bases are found.
    """
    with TemporaryDirectory() as folder:
        for file in files:
            copy = Path(f'{folder}{file}')
            copy.parent.mkdir(parents=True, exist_ok=True)
            # Variables such as {{ fileDirname }} get the original's values.
            Config._substitute_predefined_vars(str(file), str(copy))
            copy.write_bytes(copy.read_bytes().removeprefix(BOM_UTF8))
        cfg = Config.fromfile(f'{folder}{os.path.abspath(path)}')
    return Config(cfg.to_dict(), cfg.text.replace(folder, ''), path, cfg.env_variables)


def read_config_file(path: str | Path) -> Config:
    """Read a config; a byte order mark (BOM) at the start of it or of a base is ignored.

    Raises:
        ConfigError: it is not a config, or raises an error.
        ModuleNotFoundError: one of its bases is in a package that is not installed.
    """
    files = check_bases(Path(path))
    try:
        with warnings.catch_warnings(), yaml_without_objects():
            # mmengine looks up the package of a base such as 'mmdet::...' through pkg_resources.
            warnings.filterwarnings('ignore', 'pkg_resources is deprecated', UserWarning)
            if any(starts_with_bom(file) for file in files):
                return _read_without_boms(str(path), files)
            return Config.fromfile(path)
    except ModuleNotFoundError:
        raise
    except Exception as error:  # a config is a program, which can raise anything
        reason = ' '.join(str(error).split()) or 'no message'
        raise ConfigError(f'the config {path} cannot be read ({type(error).__name__}: {reason}); correct it, or give '
                          'another') from error


def top_level_keys() -> set[str]:
    """Return the valid top-level keys of a config, except for those that start with an underscore."""
    return (parameter_names(Runner) - {'cfg'}) | RUNNER_EXTRAS | HELPER_NAMES


def check_top_level(cfg: Mapping[str, Any]) -> None:
    """Check the top-level keys of a config.

    Valid are the arguments of mmengine's runner, usual names of helper variables (``data_root``, ``train_pipeline``,
    ...) and names that start with an underscore.

    Raises:
        ConfigError: nothing reads a key; the message has the nearest valid one.
    """
    known = top_level_keys()
    for key in cfg:
        if key not in known and not key.startswith('_'):
            raise ConfigError(f"nothing reads the config key '{key}'; {nearest(key, known)} (the name of a helper "
                              "variable may start with '_')")


def check_options(cfg: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Check the paths of ``--cfg-options``.

    A path is valid if the config has it, or if the class of its last existing part has an argument of that name.

    Raises:
        ConfigError: a path is not valid; the message has the nearest valid key.
    """
    for path in options:
        _check_path(cfg, path)


def _check_path(cfg: Mapping[str, Any], path: str) -> None:
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
                known = _accepted(node, name)
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
    if 'type' not in node:
        return known or None
    built = find_class(node['type'])
    if built is None:
        return None
    return known | parameter_names(built) | {'type'}


def find_class(kind: Any) -> Any:
    if not isinstance(kind, str):
        return kind
    with DefaultScope.overwrite_default_scope(SCOPE):
        for registry in REGISTRIES:
            with registry.switch_scope_and_registry(None) as scoped:
                # A package that is not installed, or lacks compiled operations, raises its own error when built.
                try:
                    found = scoped.get(kind)
                except ImportError:
                    return None
            if found is not None:
                return found
    return None


def check_custom_keys(model: nn.Module, optim_wrapper: Mapping[str, Any] | None) -> None:
    """Check that each of ``paramwise_cfg.custom_keys`` is a part of a parameter's name.

    ``layer_decay`` needs the ``GroupedOptimWrapperConstructor``, since others ignore it.

    Raises:
        ConfigError: one is not; the message has the nearest name of a module or parameter.
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
            raise ConfigError(f"optim_wrapper.paramwise_cfg.custom_keys: '{key}' matches no parameter of the model; "
                              f'{nearest(key, parts)}')

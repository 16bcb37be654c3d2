"""Check of a config's values against the signatures of the classes that get them, before anything is built.

Only the annotations of torch's optimisers, mmengine and mmpartref are compared: those of other packages often differ
from what the code accepts.
"""
import inspect
import numbers
import re
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.hooks import CheckpointHook, EMAHook, Hook
from mmengine.registry import (
    DATA_SAMPLERS,
    DATASETS,
    EVALUATOR,
    HOOKS,
    LOG_PROCESSORS,
    LOOPS,
    METRICS,
    MODELS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    TRANSFORMS,
    VISBACKENDS,
    VISUALIZERS,
    Registry,
)
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop, Runner, ValLoop
from torch import Generator
from torch.utils.data import DataLoader

from mmpartref.datasets.referring.part_refer_dataset import PartReferDataset
from mmpartref.datasets.referring.steps.entry_step import STEP_TYPES
from mmpartref.datasets.transforms.pack_referring_inputs import PackReferringInputs
from mmpartref.engine.config.annotations import LISTS, fits, in_words
from mmpartref.engine.config.config_keys import LOOP_KEYS, OPTIM_WRAPPER_KEYS, UNTYPED_KEYS
from mmpartref.engine.config.config_nodes import DATALOADERS
from mmpartref.engine.config.signatures import (
    REGISTRIES,
    Argument,
    arguments_of,
    find_class,
    is_class_name,
    nearest_class,
    takes_any,
)
from mmpartref.errors import ConfigError
from mmpartref.evaluation.dumps.skipped_images import COLLECT_DEVICES
from mmpartref.registry import ENTRY_STEPS, SCOPE
from mmpartref.text import nearest, shown

PACKAGES = ('torch.optim.', 'mmengine.', 'mmpartref.')
LOOP_NAMES = ('train_cfg', 'val_cfg', 'test_cfg')
# Registries of the objects under a top-level key, alone, in a list or, of hooks, in a dict by name.
TOP = {
    'model': MODELS, 'optim_wrapper': OPTIM_WRAPPERS, 'param_scheduler': PARAM_SCHEDULERS, 'val_evaluator': METRICS,
    'test_evaluator': METRICS, 'default_hooks': HOOKS, 'custom_hooks': HOOKS, 'visualizer': VISUALIZERS,
    'log_processor': LOG_PROCESSORS, 'train_cfg': LOOPS, 'val_cfg': LOOPS, 'test_cfg': LOOPS,
}
# The same under a key at any depth.
INNER = {
    'dataset': DATASETS, 'datasets': DATASETS, 'pipeline': TRANSFORMS, 'sampler': DATA_SAMPLERS,
    'batch_sampler': DATA_SAMPLERS, 'optimizer': OPTIMIZERS, 'vis_backends': VISBACKENDS, 'metrics': METRICS,
}
# Arguments that mmengine reads besides those of the class.
EXTRA_KEYS = {HOOKS: {'priority'}, PARAM_SCHEDULERS: {'convert_to_iter_based', 'begin', 'end', 'by_epoch'},
              LOOPS: LOOP_KEYS, OPTIM_WRAPPERS: OPTIM_WRAPPER_KEYS}
MODEL_KEYS = {'init_cfg', 'data_preprocessor'}
# Arguments that take more than mmengine's annotations say.
WIDER: dict[str, Any] = {'loss_scale': str | float | dict | None, 'eta_max': float | list[float],
                         'data_root': str | None, 'save_dir': str | None}
# Required arguments that mmengine passes itself, by registry; those of models can come from the code of other parts.
GIVEN: dict[Registry, set[str]] = {
    LOOPS: {'runner', 'dataloader', 'evaluator', 'max_epochs', 'max_iters'}, OPTIMIZERS: {'params'},
    PARAM_SCHEDULERS: {'optimizer', 'param_name'}, DATA_SAMPLERS: {'dataset', 'sampler', 'batch_size'},
    OPTIM_WRAPPERS: {'optimizer'}, VISBACKENDS: {'save_dir'},
    **{registry: set() for registry in (HOOKS, METRICS, TRANSFORMS, DATASETS, ENTRY_STEPS)},
}
# Registries of objects whose dict has no default type.
NEED_TYPE = (HOOKS, METRICS, TRANSFORMS, DATASETS, ENTRY_STEPS, DATA_SAMPLERS, OPTIMIZERS, PARAM_SCHEDULERS,
             VISBACKENDS, MODELS)
# Packages that need not be installed; ``require_operations`` reports them.
SIBLINGS = ('mmdet', 'mmseg', 'mmpretrain', 'mmcv')
# Least values of arguments, by their name.
LEAST_ARGUMENTS = {'times': 1, 'window_size': 1, 'patience': 0}
# Least values of numbers, by the end of their path.
LEAST = {
    **{f'{loader}.{key}': least for loader in DATALOADERS
       for key, least in (('batch_size', 1), ('num_workers', 0), ('prefetch_factor', 1), ('timeout', 0),
                          ('num_batch_per_epoch', 1),
                           ('dataset.max_refetch', 0))},
    'train_cfg.max_epochs': 1, 'train_cfg.max_iters': 1,
    'train_cfg.val_interval': 1, 'train_cfg.val_begin': 1,
    'randomness.seed': 0, 'optim_wrapper.accumulative_counts': 1, 'optim_wrapper.optimizer.lr': 0,
    'optim_wrapper.optimizer.weight_decay': 0, 'optim_wrapper.clip_grad.max_norm': 0, 'log_processor.window_size': 1,
    'auto_scale_lr.base_batch_size': 1,
}
CHOICES = {
    'log_level': ('NOTSET', 'DEBUG', 'INFO', 'WARNING', 'WARN', 'ERROR', 'CRITICAL', 'FATAL'),
    'env_cfg.mp_cfg.mp_start_method': ('fork', 'forkserver', 'spawn'),
    'sync_bn': (False, 'torch', 'mmcv'),
    'launcher': ('none', 'pytorch', 'slurm', 'mpi'),
}
# Annotations of what mmengine reads without a signature.
ANNOTATIONS: dict[str, Any] = {
    # mmengine turns off a hook by None.
    'default_hooks': dict | None, 'log_level': str | int, 'sync_bn': str | bool | None,
    'env_cfg.mp_cfg': dict | None,
    'env_cfg.dist_cfg': dict | None,
    'env_cfg.cudnn_benchmark': bool, 'env_cfg.mp_cfg.opencv_num_threads': int, 'env_cfg.resource_limit': int,
    'find_unused_parameters': bool, 'model_wrapper_cfg': dict | None, 'custom_imports': dict | None,
    'compile': bool | dict, 'activation_checkpointing': str | list[str] | None,
    'efficient_conv_bn_eval': str | list[str] | None,
    'optim_wrapper.optimizer': dict, 'optim_wrapper.clip_grad': dict | None, 'optim_wrapper.paramwise_cfg': dict | None,
    'optim_wrapper.accumulative_counts': int, 'optim_wrapper.paramwise_cfg.custom_keys': dict[str, dict],
    'optim_wrapper.clip_grad.max_norm': float, 'optim_wrapper.clip_grad.norm_type': float,
    'optim_wrapper.clip_grad.clip_value': float, 'optim_wrapper.clip_grad.error_if_nonfinite': bool,
    **{f'{loader}.generator': Generator | None for loader in DATALOADERS},
    'auto_scale_lr.enable': bool, 'auto_scale_lr.base_batch_size': int,
    'input_size': int | list[int] | None, 'default_scope': str, 'work_dir': str,
    'custom_imports.imports': str | list[str],
}
# Arguments that may be None without an annotation that says so.
MAY_BE_NONE = {'default_scope', 'param_scheduler', 'val_evaluator', 'test_evaluator', 'randomness'}


def check_values(cfg: Mapping[str, Any] | Config) -> None:
    """Check the types of a config's values, and that each class exists and has the arguments that it is given.

    Raises:
        ConfigError: a value cannot be used; the message has its path in the config.
    """
    cfg = dict(cfg.items())  # a Config is not a Mapping
    for key, argument in arguments_of(Runner).items():
        if key in cfg and not (cfg[key] is None and key in MAY_BE_NONE) and key not in ANNOTATIONS:
            _check(cfg[key], argument, key, 'the runner')
    for key, hook in (cfg.get('default_hooks') or {}).items() if isinstance(cfg.get('default_hooks'), Mapping) else ():
        _check(hook, Argument(dict | Hook | None, None), f'default_hooks.{key}', 'the runner')
    for path, annotation in ANNOTATIONS.items():
        found, value = _lookup(cfg, path)
        if found:
            _check(value, Argument(annotation, None), path, 'mmengine')
    for path, choices in CHOICES.items():
        found, value = _lookup(cfg, path)
        number = path == 'log_level' and isinstance(value, int)
        if found and value is not None and not number and value not in choices:
            raise ConfigError(f"the config has {path}={shown(value)}; it must be one of {', '.join(map(str, choices))}")
    scope = cfg.get('default_scope')
    if scope not in (None, SCOPE):
        raise ConfigError(f"the config has default_scope={shown(scope)}; set default_scope='{SCOPE}', and write the "
                          f"classes of other packages with their prefix, e.g. type='{scope}.X'")
    _check_optim_wrapper(cfg)
    for name in (*TOP, *DATALOADERS, *UNTYPED_KEYS):
        value = cfg.get(name)
        if name == 'default_hooks':
            for key, hook in (value or {}).items():
                _walk(hook, f'{name}.{key}', HOOKS)
        else:
            _walk(value, name, TOP.get(name))
    for path, least in LEAST.items():
        found, value = _lookup(cfg, path)
        if found and isinstance(value, (int, float)) and not value >= least:
            raise ConfigError(f'the config has {path}={value!r}; it must be at least {least}')
    seed = (cfg.get('randomness') or {}).get('seed')
    if isinstance(seed, int) and seed >= 2**32:
        raise ConfigError(f'the config has randomness.seed={seed}; it must be below {2**32}')


def _check_optim_wrapper(cfg: Mapping[str, Any]) -> None:
    """Check the keys of dicts that mmengine's optimiser wrapper and its constructor read without a ``type``."""
    wrapper = cfg.get('optim_wrapper') or {}
    for name in ('clip_grad', 'paramwise_cfg'):
        for key in wrapper.get(name) or ():
            if key not in UNTYPED_KEYS[name]:
                raise ConfigError(f'nothing reads the config key optim_wrapper.{name}.{key}; '
                                  f'{nearest(key, UNTYPED_KEYS[name])}')
    optimizer = find_class((wrapper.get('optimizer') or {}).get('type'))
    known = {'lr_mult', 'decay_mult', *(arguments_of(optimizer) if optimizer is not None else ())}
    for part, settings in ((wrapper.get('paramwise_cfg') or {}).get('custom_keys') or {}).items():
        path = f'optim_wrapper.paramwise_cfg.custom_keys.{part}'
        for key, value in settings.items():
            if optimizer is not None and key not in known:
                raise ConfigError(f'nothing reads the config key {path}.{key}; {nearest(key, known)}')
            if key in ('lr_mult', 'decay_mult') and not (fits(value, float) and value >= 0):
                raise ConfigError(f'the config has {path}.{key}={shown(value)}; it must be a number of at least 0')


def _lookup(cfg: Mapping[str, Any], path: str) -> tuple[bool, Any]:
    """Return whether a config has a path, and its value."""
    node: Any = cfg
    for key in path.split('.'):
        if not isinstance(node, Mapping) or key not in node:
            return False, None
        node = node[key]
    return True, node


def _walk(node: Any, path: str, registry: Registry | None, scope: str = SCOPE) -> None:
    """Check a value of the config and what is inside it.

    Args:
        node: the value.
        path: dotted, for the message.
        registry: of the object that the value describes; None where it is not known to be one.
        scope: the package of class names without prefix.
    """
    if isinstance(node, (list, tuple)):
        for number, each in enumerate(node):
            _walk(each, f'{path}.{number}', registry, scope)
        return
    if not isinstance(node, Mapping):
        listed = path.rpartition('.')[2].isdigit()
        if registry is not None and (isinstance(node, (numbers.Number, bytes)) or (node is None and listed)):
            raise ConfigError(f"the config has {path}={shown(node)}; it must be a dict with a 'type'")
        return
    scope = node.get('_scope_') or scope
    if 'type' in node:
        _check_object(node, path, registry, scope)
    elif registry is METRICS and 'metrics' in node:
        pass  # an Evaluator, mmengine's default
    elif registry is PARAM_SCHEDULERS and all(isinstance(each, (list, tuple, Mapping)) for each in node.values()):
        for name, each in node.items():  # by optimiser
            _walk(each, f'{path}.{name}', registry, scope)
    elif registry in NEED_TYPE and path != 'default_hooks':
        raise ConfigError(f"the config has {path}={shown(dict(node))} without a 'type', the name of its class; add it")
    elif path in UNTYPED_KEYS and path != 'default_hooks':
        _check_untyped(node, path)
    for key, value in node.items():
        if key == 'entries' and isinstance(value, Mapping):
            for name, step in value.items():
                _walk(_with_type(step, name), f'{path}.{key}.{name}', ENTRY_STEPS, scope)
        else:
            # A detector has keys of the same names with other objects.
            _walk(value, f'{path}.{key}', None if path.startswith('model') else INNER.get(key), scope)


def _with_type(step: Any, name: str) -> Any:
    """Return the arguments of an entry step with the type that its name stands for."""
    return {'type': STEP_TYPES[name], **step} if isinstance(step, Mapping) and name in STEP_TYPES else step


def _check_object(node: Mapping[str, Any], path: str, registry: Registry | None, scope: str) -> None:
    """Check the type and the arguments of a dict with a ``type``."""
    kind = node['type']
    if not (is_class_name(kind) if isinstance(kind, str) else callable(kind)):
        raise ConfigError(f'the config has {path}.type={shown(kind)}; it must be the name of a class')
    registries = {None: REGISTRIES, METRICS: (METRICS, EVALUATOR)}.get(registry, (registry, ))
    built = find_class(kind, registries, scope)
    if built is None:
        if registry is not None and kind.partition('.')[0] not in SIBLINGS:
            raise ConfigError(f'the config has {path}.type={shown(kind)}, which does not exist'
                              f"{' or cannot be imported' * ('.' in kind)}; {nearest_class(kind, registry)}")
        return
    if registry is LOOPS and not (inspect.isclass(built) and issubclass(built, BaseLoop)):
        raise ConfigError(f'the config has {path}.type={shown(kind)}, which is not a loop')
    if not f"{getattr(built, '__module__', '')}.".startswith(PACKAGES):
        return
    if inspect.isclass(built) and issubclass(built, PartReferDataset):
        _check_pipeline(node, path)
    arguments = {**arguments_of(built), **{key: Argument(annotation, None) for key, annotation in WIDER.items()
                                           if key in arguments_of(built)}}
    extra = MODEL_KEYS if registry is None else EXTRA_KEYS.get(registry, set())
    passed_on = inspect.isclass(built) and issubclass(built, (EMAHook, CheckpointHook))
    if passed_on and issubclass(built, EMAHook):
        averaged = arguments_of(find_class(node.get('ema_type', 'ExponentialMovingAverage')))
        arguments = {**{key: each for key, each in averaged.items() if key != 'model'}, **arguments}
    _check_missing(node, path, registry, arguments, built.__name__)
    for key, value in node.items():
        if key == 'collect_device' and value not in COLLECT_DEVICES:
            raise ConfigError(f"the config has {path}.{key}={shown(value)}; it must be 'cpu' or 'gpu'")
        if key in LEAST_ARGUMENTS and isinstance(value, (int, float)) and value < LEAST_ARGUMENTS[key]:
            raise ConfigError(f'the config has {path}.{key}={value}; it must be at least {LEAST_ARGUMENTS[key]}')
        if key == 'filename_tmpl' and isinstance(value, str) and not re.search(r'\{[^}]*\}', value):
            raise ConfigError(f"the config has {path}.{key}={shown(value)}; it must have a place for the number, as "
                              "'epoch_{}.pth' has")
        if key in arguments:
            _check(value, arguments[key], f'{path}.{key}', built.__name__)
        elif key not in ('type', '_scope_', *extra, *MODEL_KEYS) and (passed_on or not takes_any(built)):
            raise ConfigError(f'the config gives {path}.{key} to {built.__name__}, which has no such argument; '
                              f'{nearest(key, set(arguments) | extra)}')


def _check_missing(node: Mapping[str, Any], path: str, registry: Registry | None, arguments: Mapping[str, Argument],
                   taker: str) -> None:
    """Check that a dict has the arguments of its class that have no default; those of models may be filled in."""
    if registry not in GIVEN:
        return
    missing = [key for key, each in arguments.items()
               if each.default is inspect.Parameter.empty and key not in node and key not in GIVEN[registry]]
    if missing:
        raise ConfigError(f"the config has {path}=dict(type={taker}, ...) without {' and '.join(missing)}, which "
                          f'{taker} needs; add it')


def _check_pipeline(node: Mapping[str, Any], path: str) -> None:
    """Check that a pipeline ends in the inputs of a model, if all its transforms are of this package."""
    steps = node.get('pipeline')
    if not isinstance(steps, (list, tuple)) or not all(isinstance(step, Mapping) for step in steps):
        return
    kinds = [find_class(step.get('type')) for step in steps]
    if all(str(getattr(kind, '__module__', '')).startswith('mmpartref.') for kind in kinds) and not any(
            inspect.isclass(kind) and issubclass(kind, PackReferringInputs) for kind in kinds):
        raise ConfigError(f'{path}.pipeline has no PackReferringInputs, which makes the inputs of the model; add it at '
                          'the end')


def _check_untyped(node: Mapping[str, Any], path: str) -> None:
    """Check the keys and values of a top-level dict that mmengine reads without a ``type``."""
    arguments: dict[str, Argument] = {}
    if path in DATALOADERS:
        arguments = arguments_of(DataLoader)
    elif path in LOOP_NAMES:
        arguments = {key: each for kind in (EpochBasedTrainLoop, IterBasedTrainLoop, ValLoop)
                     for key, each in arguments_of(kind).items()}
    elif path == 'randomness':
        arguments = arguments_of(Runner.set_randomness)
    for key, value in node.items():
        if key not in UNTYPED_KEYS[path] and not key.startswith('_'):
            raise ConfigError(f'nothing reads the config key {path}.{key}; {nearest(key, UNTYPED_KEYS[path])}')
        if key in arguments:
            _check(value, arguments[key], f'{path}.{key}', 'mmengine')


def _check(value: Any, argument: Argument, path: str, taker: str) -> None:
    """Raise a ConfigError where a value does not fit an argument's annotation, and is not its default."""
    if value is argument.default or fits(value, argument.annotation):
        return
    for kind in (argument.annotation, *typing.get_args(argument.annotation)):
        inner, origin = typing.get_args(kind), typing.get_origin(kind)
        items: Iterable[tuple[Any, Any]] = ()
        if isinstance(value, (list, tuple)) and origin in LISTS and len(inner) == 1:
            items = enumerate(value)
        elif isinstance(value, Mapping) and isinstance(origin, type) and issubclass(origin, Mapping):
            items = value.items()
        for key, each in items:
            _check(each, Argument(inner[-1], None), f'{path}.{key}', taker)
    raise ConfigError(f'the config has {path}={shown(value)}; {taker} takes {in_words(argument.annotation)}')

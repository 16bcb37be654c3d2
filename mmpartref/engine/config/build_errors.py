"""Errors while mmengine builds the objects of a config, raised as ``ConfigError``."""
import inspect
import logging
import re
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from mmengine.config import Config
from mmengine.hooks import ProfilerHook
from mmengine.logging import MMLogger
from mmengine.model.efficient_conv_bn_eval import turn_on_efficient_conv_bn_eval
from mmengine.optim import _ParamScheduler
from mmengine.registry.build_functions import build_from_cfg, build_scheduler_from_cfg
from mmengine.runner import LogProcessor, Runner
from mmengine.runner.activation_checkpointing import turn_on_activation_checkpointing
from mmengine.visualization.vis_backend import BaseVisBackend
from torch.nn.utils import clip_grad_norm_

from mmpartref.engine.config.signatures import REGISTRIES, arguments_of, find_class, nearest_class
from mmpartref.errors import ConfigError, MMPartRefError
from mmpartref.text import nearest, one_line

# mmengine's functions that call the constructors of the classes in a config.
RUNNER_FILE = Runner.__init__.__code__.co_filename
BUILDING = (build_from_cfg.__code__, build_scheduler_from_cfg.__code__)
# Functions that mmengine's runner calls, and the config key that each reads.
FUNCTIONS = {turn_on_efficient_conv_bn_eval.__code__: 'efficient_conv_bn_eval',
             turn_on_activation_checkpointing.__code__: 'activation_checkpointing'}
# Files of mmengine and torch whose code runs during a training with values of the config, and the key that they are in.
FILES = {inspect.getfile(each): key for each, key in (
    (LogProcessor, 'log_processor'), (_ParamScheduler, 'param_scheduler'), (BaseVisBackend, 'visualizer.vis_backends'),
    (ProfilerHook, 'custom_hooks'), (clip_grad_norm_, 'optim_wrapper.clip_grad'))}
# Steps of the runner, which are not all in one of these functions, and the config key that each reads.
STEPS = {
    'setup_env': 'env_cfg', 'set_randomness': 'randomness', 'build_logger': 'log_level',
    'build_visualizer': 'visualizer', 'build_model': 'model', 'wrap_model': 'model_wrapper_cfg',
    '_init_model_weights': 'model', 'scale_lr': 'auto_scale_lr', 'build_optim_wrapper': 'optim_wrapper',
    'build_param_scheduler': 'param_scheduler', '_check_scheduler_cfg': 'param_scheduler',
    'build_evaluator': 'val_evaluator', 'build_dataloader': 'train_dataloader', 'build_train_loop': 'train_cfg',
    'build_val_loop': 'val_cfg', 'build_test_loop': 'test_cfg', 'build_log_processor': 'log_processor',
    'register_default_hooks': 'default_hooks', 'register_custom_hooks': 'custom_hooks', '_maybe_compile': 'compile',
}
# Characters of another library's message, which may contain whole configs.
MAX_REASON = 400


@contextmanager
def build_errors_explained() -> Iterator[None]:
    """Raise a ``ConfigError`` from any other error that occurs while mmengine builds the objects of a config.

    Its message has the key of the config; the traceback is written to the run's log file, if there is one already.
    """
    try:
        yield
    except MMPartRefError:
        raise
    except Exception as error:
        # mmengine raises the error of a hook anew, from the first one.
        frames = [frame for each in causes(error) for frame, _ in traceback.walk_tb(each.__traceback__)]
        path = failed_path(frames)
        if path is None:
            raise
        logged = log_traceback(error)
        building = [frame for frame in frames if frame.f_code in BUILDING]
        message = name = ''
        if building:
            values = building[-1].f_locals
            built = values.get('obj_cls') or values.get('scheduler_cls') or values.get('obj_type')
            name = getattr(built, '__name__', str(built).rpartition('.')[2])
            message = explain_arguments(error, name, values.get('args', {}), in_call=frames[-1] is building[-1],
                                        built=built)
            message += f' ({path})' if message and path else ''
        reason = one_line(' '.join(str(error).split()), MAX_REASON) or 'no message'
        where = f'{path} of the config' if path else 'the config'
        raises = f'{name} raises {type(error).__name__}' if name else type(error).__name__
        verb = 'cannot be built' if building or path not in FILES.values() else 'fails'
        raise ConfigError(message or f"{where} {verb} ({raises}: {reason}); correct it, or see the traceback "
                          f"{'in the log file or ' if logged else ''}with --traceback") from error


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__


def failed_path(frames: Sequence[FrameType]) -> str | None:
    """Return the path in the config of what the deepest frame of mmengine's builders builds.

    '' where it is not found in a config; None where no frame is one of a builder.
    """
    config = next((value for frame in reversed(frames) for value in map(_config_of, frame.f_locals.values())
                   if value is not None), None)
    for frame in reversed(frames):
        name = frame.f_code.co_name
        if frame.f_code in BUILDING:
            return _path_of(frame.f_locals.get('cfg'), config) or _step_above(frames) or ''
        if frame.f_code in FUNCTIONS:
            return FUNCTIONS[frame.f_code]
        if frame.f_code.co_filename in FILES:
            return FILES[frame.f_code.co_filename]
        if frame.f_code.co_filename == RUNNER_FILE and name in STEPS:
            given = next(iter(inspect.getargvalues(frame).args[1 if name != 'build_dataloader' else 0:]), '')
            return _path_of(frame.f_locals.get(given), config) or STEPS[name]
    return '' if any(frame.f_code is Runner.__init__.__code__ for frame in frames) else None


def _step_above(frames: Sequence[FrameType]) -> str:
    """Return the key of the runner's step that the frames are in, or ''."""
    return next((STEPS[frame.f_code.co_name] for frame in reversed(frames)
                 if frame.f_code.co_filename == RUNNER_FILE and frame.f_code.co_name in STEPS), '')


def _config_of(value: Any) -> Config | None:
    """Return a config, or that of a runner; None of anything else."""
    value = getattr(value, 'cfg', None) if isinstance(value, Runner) else value
    return value if isinstance(value, Config) else None


def _path_of(node: Any, config: Config | None) -> str:
    """Return the dotted path of the first equal dict in a config, '' without one."""
    def search(value: Any, path: str) -> str:
        items = value.items() if isinstance(value, Mapping) else (
            enumerate(value) if isinstance(value, (list, tuple)) else ())
        for key, inner in items:
            below = f'{path}.{key}' if path else str(key)
            if isinstance(inner, Mapping) and inner == node:
                return below
            if found := search(inner, below):
                return found
        return ''

    return search(config.to_dict(), '') if config is not None and isinstance(node, Mapping) and node else ''


def log_traceback(error: Exception) -> bool:
    """Write the traceback of an error to the log file of the current run; return whether there is one."""
    name = MMLogger.get_current_instance().instance_name
    record = logging.LogRecord(name, logging.ERROR, __file__, 0, 'error while building the config', None,
                               (type(error), error, error.__traceback__))
    files = [each for each in MMLogger.get_current_instance().handlers if isinstance(each, logging.FileHandler)]
    for handler in files:
        handler.handle(record)
    return bool(files)


def explain_arguments(error: Exception, name: str, arguments: Mapping[str, Any], *, in_call: bool,
                      built: Any = None) -> str:
    """Return a message on a misspelt ``type`` or argument, '' where the error is about something else.

    Args:
        error: the error.
        name: name of the class that is built.
        arguments: its arguments.
        in_call: whether the error is that of the call itself, not one inside the constructor.
        built: the class; default: the one that the registries have by this name.
    """
    text = str(error.args[0]) if error.args else ''
    if in_call and (found := re.match(r'(\S+) is not in the (\S+)::(.+?) registry', text)):
        kind, _, what = found.groups()
        hint = next((f'; {nearest_class(kind, each)}' for each in REGISTRIES if each.name == what), '')
        return f"the config has the {what} type '{kind}', which does not exist{hint}"
    # A base class may raise it, to which the constructor passes unknown arguments on.
    found = re.match(r"\w+\.__init__\(\) got an unexpected keyword argument '(\w+)'", text)
    if found and found[1] in arguments:
        built = built if inspect.isclass(built) else find_class(name)
        known = arguments_of(built) if built is not None else set()
        return (f"the config gives '{found[1]}' to {name}, which has no such argument; {nearest(found[1], known)}; "
                'inherited keys are dropped with _delete_=True')
    if in_call and re.match(r'\w+\.__init__\(\) missing', text):
        return f'the config lacks an argument: {text}'
    return ''

"""Errors while mmengine builds the objects of a config, raised as ``ConfigError``."""
import difflib
import logging
import re
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mmengine.logging import MMLogger
from mmengine.registry.build_functions import build_from_cfg, build_scheduler_from_cfg

from mmpartref.engine.launch.config_check import REGISTRIES, find_class, nearest, parameter_names
from mmpartref.errors import ConfigError, MMPartRefError
from mmpartref.registry import SCOPE

# mmengine's functions that call the constructors of the classes in a config.
BUILDING = (build_from_cfg.__code__, build_scheduler_from_cfg.__code__)


@contextmanager
def build_errors_explained() -> Iterator[None]:
    """Raise a ``ConfigError`` from any other error that occurs while mmengine builds an object of a config.

    The traceback of the error is written to the run's log file; before there is one, the error stays as it is, unless
    it is about a misspelt type or argument.
    """
    try:
        yield
    except MMPartRefError:
        raise
    except Exception as error:
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        building = [frame for frame in frames if frame.f_code in BUILDING]
        if not building:
            raise
        logged = log_traceback(error)
        values = building[-1].f_locals
        built = values.get('obj_type') or values.get('scheduler_type')
        name = getattr(built, '__name__', str(built).rpartition('.')[2])
        message = explain_arguments(error, name, values.get('args', {}), in_call=frames[-1] is building[-1])
        if not message and not logged:
            raise
        raise ConfigError(message or f'the config cannot be built: {name} raises {type(error).__name__}: {error}; the '
                          'traceback is in the log file of the work dir') from error


def log_traceback(error: Exception) -> bool:
    """Write the traceback of an error to the log file of the current run; return whether there is one."""
    name = MMLogger.get_current_instance().instance_name
    record = logging.LogRecord(name, logging.ERROR, __file__, 0, 'error while building the config', None,
                               (type(error), error, error.__traceback__))
    files = [each for each in MMLogger.get_current_instance().handlers if isinstance(each, logging.FileHandler)]
    for handler in files:
        handler.handle(record)
    return bool(files)


def explain_arguments(error: Exception, name: str, arguments: Mapping[str, Any], *, in_call: bool) -> str:
    """Return a message on a misspelt ``type`` or argument, '' where the error is about something else.

    Args:
        error: the error.
        name: name of the class that is built.
        arguments: its arguments.
        in_call: whether the error is that of the call itself, not one inside the constructor.
    """
    text = str(error.args[0]) if error.args else ''
    if in_call and (found := re.match(r'(\S+) is not in the (\S+)::(.+?) registry', text)):
        kind, _, what = found.groups()
        names = {name for registry in REGISTRIES if registry.name == what
                 for each in (registry, *registry.children.values()) if each.scope in ('mmengine', SCOPE)
                 for name in each.module_dict}
        close = difflib.get_close_matches(kind, sorted(names), n=1, cutoff=0.0)
        return f"the config has the {what} type '{kind}', which does not exist" + (
            f"; the nearest known one is '{close[0]}'" if close else '')
    # A base class may raise it, to which the constructor passes unknown arguments on.
    found = re.match(r"\w+\.__init__\(\) got an unexpected keyword argument '(\w+)'", text)
    if found and found[1] in arguments:
        built = find_class(name)
        known = parameter_names(built) if built is not None else set()
        return f"the config gives '{found[1]}' to {name}, which has no such argument; {nearest(found[1], known)}"
    if in_call and re.match(r'\w+\.__init__\(\) missing', text):
        return f'the config lacks an argument: {text}'
    return ''

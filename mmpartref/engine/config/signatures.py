"""Classes that a config names, and their arguments."""
import inspect
import types
import typing
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

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
    OPTIM_WRAPPER_CONSTRUCTORS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    TRANSFORMS,
    VISBACKENDS,
    VISUALIZERS,
    DefaultScope,
    Registry,
)

from mmpartref.registry import ENTRY_STEPS, SCOPE
from mmpartref.text import nearest

REGISTRIES = (MODELS, DATASETS, ENTRY_STEPS, TRANSFORMS, METRICS, HOOKS, DATA_SAMPLERS, VISUALIZERS, VISBACKENDS,
              OPTIM_WRAPPERS, OPTIMIZERS, PARAM_SCHEDULERS, LOOPS, LOG_PROCESSORS, EVALUATOR, MODEL_WRAPPERS,
              OPTIM_WRAPPER_CONSTRUCTORS)


@dataclass(frozen=True)
class Argument:
    """An argument of a class or function.

    Attributes:
        annotation: resolved; without one that of a default of True, False or an integer, or else ``Any``.
        default: ``inspect.Parameter.empty`` where there is none.
    """
    annotation: Any
    default: Any


def find_class(kind: Any, registries: Iterable[Registry] = REGISTRIES, scope: str = SCOPE) -> Any:
    """Return the class or function of a ``type``, None where it is unknown or cannot be imported.

    Args:
        kind: the type.
        registries: where to look for it.
        scope: the package of a name without prefix.
    """
    if not isinstance(kind, str):
        return kind if callable(kind) else None
    if not is_class_name(kind):
        return None
    with DefaultScope.overwrite_default_scope(scope):
        for registry in registries:
            # Other packages have no such registry, of which mmengine would warn.
            own = SCOPE if registry is ENTRY_STEPS else None
            with registry.switch_scope_and_registry(own) as scoped:
                # A package that is not installed, or lacks compiled operations, raises its own error when built.
                try:
                    found = scoped.get(kind)
                except ImportError:
                    return None
            if found is not None:
                return found
    return None


def is_class_name(kind: str) -> bool:
    """Return whether a text is a name of a class, with or without the names of packages and modules in front."""
    return all(map(str.isidentifier, kind.split('.')))


def arguments_of(function: Any) -> dict[str, Argument]:
    """Return the arguments of a class or function, with those of base classes that are passed on as ``**kwargs``."""
    found: dict[str, Argument] = {}
    for owner in inspect.getmro(function) if inspect.isclass(function) else (function, ):
        target = owner.__dict__.get('__init__') if inspect.isclass(owner) else owner
        if not inspect.isfunction(target):
            continue
        parameters = inspect.signature(target).parameters.values()
        hints = _hints(target)
        for each in parameters:
            if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY) and each.name != 'self':
                found.setdefault(each.name, Argument(_annotation(hints, each), each.default))
        if not any(each.kind is each.VAR_KEYWORD for each in parameters):
            break
    return found


def _hints(function: Any) -> dict[str, Any]:
    """Return the resolved annotations of a function, without those that name what only type checkers import."""
    found = {}
    for name, annotation in getattr(function, '__annotations__', {}).items():
        with suppress(Exception):  # the expression of an annotation can raise anything
            found.update(typing.get_type_hints(types.SimpleNamespace(__annotations__={name: annotation}),
                                               function.__globals__))
    return found


def _annotation(hints: dict[str, Any], parameter: inspect.Parameter) -> Any:
    """Return a parameter's annotation, or where there is none what its default suggests."""
    if parameter.annotation is parameter.empty and isinstance(parameter.default, (bool, int)):
        return {bool: bool, int: float}[type(parameter.default)]
    return hints.get(parameter.name, Any)


def takes_any(function: Any) -> bool:
    """Return whether a class or function, and all base classes that it passes them to, take any keyword argument."""
    for owner in inspect.getmro(function) if inspect.isclass(function) else (function, ):
        target = owner.__dict__.get('__init__') if inspect.isclass(owner) else owner
        if not inspect.isfunction(target):
            continue
        if not any(each.kind is each.VAR_KEYWORD for each in inspect.signature(target).parameters.values()):
            return False
    return True


def nearest_class(kind: str, registry: Registry) -> str:
    """Return the end of a message on a class that one of mmengine's registries lacks: how to write it, or one near."""
    owners = {each.scope: set(each.module_dict) for each in (registry, *registry.children.values())}
    for scope, names in owners.items():
        if kind in names:
            return f"write '{scope}.{kind}'"
    return nearest(kind, owners.get('mmengine', set()) | owners.get(SCOPE, set()), 'one')

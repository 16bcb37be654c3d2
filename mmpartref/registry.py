"""Registries of scope ``mmpartref``, children of mmengine's.

A config with ``default_scope = 'mmpartref'`` needs no ``custom_imports``: ``locations`` are imported at the first
look-up. Classes of sibling packages are found by prefix, e.g. ``mmdet.MaskRCNN``.
"""
import inspect
from collections.abc import Mapping
from typing import Any

from mmengine import registry as mmengine
from mmengine.registry import Registry

SCOPE = 'mmpartref'


def child(parent: Registry, location: str) -> Registry:
    """Return a child of one of mmengine's registries; ``location`` is imported at the first look-up."""
    return Registry(parent.name, parent=parent, scope=SCOPE, locations=[location])


MODELS = child(mmengine.MODELS, 'mmpartref.models')
WEIGHT_INITIALIZERS = child(mmengine.WEIGHT_INITIALIZERS, 'mmpartref.models')
DATASETS = child(mmengine.DATASETS, 'mmpartref.datasets')
DATA_SAMPLERS = child(mmengine.DATA_SAMPLERS, 'mmpartref.datasets')
TRANSFORMS = child(mmengine.TRANSFORMS, 'mmpartref.datasets.transforms')
METRICS = child(mmengine.METRICS, 'mmpartref.evaluation')
HOOKS = child(mmengine.HOOKS, 'mmpartref.engine')
LOOPS = child(mmengine.LOOPS, 'mmpartref.engine')
OPTIM_WRAPPERS = child(mmengine.OPTIM_WRAPPERS, 'mmpartref.engine')
OPTIM_WRAPPER_CONSTRUCTORS = child(mmengine.OPTIM_WRAPPER_CONSTRUCTORS, 'mmpartref.engine')
PARAM_SCHEDULERS = child(mmengine.PARAM_SCHEDULERS, 'mmpartref.engine')
VISUALIZERS = child(mmengine.VISUALIZERS, 'mmpartref.visualization')
# Empty: without a child of scope ``mmpartref``, mmengine warns at every start that it falls back to its own registry.
LOG_PROCESSORS = child(mmengine.LOG_PROCESSORS, 'mmpartref.engine')
OPTIMIZERS = child(mmengine.OPTIMIZERS, 'mmpartref.engine')
EVALUATOR = child(mmengine.EVALUATOR, 'mmpartref.evaluation')
MODEL_WRAPPERS = child(mmengine.MODEL_WRAPPERS, 'mmpartref.models')
VISBACKENDS = child(mmengine.VISBACKENDS, 'mmpartref.visualization')
# Steps that change the entries of a dataset before they are serialised; see ``datasets/referring/steps``.
ENTRY_STEPS = Registry('entry step', scope=SCOPE, locations=['mmpartref.datasets'])


def resolve(registry: Registry, kind: str | type | None) -> Any:
    """Return the class of a config's ``type``, or None if the registry does not have it."""
    return registry.get(kind) if isinstance(kind, str) else kind


def argument(registry: Registry, node: Mapping[str, Any], name: str) -> Any:
    """Return the value that ``registry.build(node)`` passes for an argument: the config's, or else the default.

    The default is that of the class named by ``type``, or of the base class that gets the argument through
    ``**kwargs``; None where the argument does not exist or has no default.
    """
    if name in node:
        return node[name]
    kind = resolve(registry, node.get('type'))
    for owner in inspect.getmro(kind) if inspect.isclass(kind) else ():
        init = owner.__dict__.get('__init__')
        if not inspect.isfunction(init):
            continue
        parameters = inspect.signature(init).parameters
        if name in parameters:
            default = parameters[name].default
            return None if default is inspect.Parameter.empty else default
        if not any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
            return None
    return None

"""Registries of scope ``mmpartref``, children of mmengine's.

``locations`` lets a config that says ``default_scope = 'mmpartref'`` find every part without an import of its own.
Siblings are reached by prefix, e.g. ``mmdet.MaskRCNN``.
"""
import inspect
from collections.abc import Mapping
from typing import Any

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOG_PROCESSORS as MMENGINE_LOG_PROCESSORS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import OPTIMIZERS as MMENGINE_OPTIMIZERS
from mmengine.registry import PARAM_SCHEDULERS as MMENGINE_PARAM_SCHEDULERS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import VISBACKENDS as MMENGINE_VISBACKENDS
from mmengine.registry import VISUALIZERS as MMENGINE_VISUALIZERS
from mmengine.registry import WEIGHT_INITIALIZERS as MMENGINE_WEIGHT_INITIALIZERS
from mmengine.registry import Registry

SCOPE = 'mmpartref'

MODELS = Registry('model', parent=MMENGINE_MODELS, scope=SCOPE, locations=['mmpartref.models'])
DATASETS = Registry('dataset', parent=MMENGINE_DATASETS, scope=SCOPE, locations=['mmpartref.datasets'])
DATA_SAMPLERS = Registry('data sampler', parent=MMENGINE_DATA_SAMPLERS, scope=SCOPE, locations=['mmpartref.datasets'])
TRANSFORMS = Registry('transform', parent=MMENGINE_TRANSFORMS, scope=SCOPE, locations=['mmpartref.datasets.transforms'])
METRICS = Registry('metric', parent=MMENGINE_METRICS, scope=SCOPE, locations=['mmpartref.evaluation'])
HOOKS = Registry('hook', parent=MMENGINE_HOOKS, scope=SCOPE, locations=['mmpartref.engine'])
VISUALIZERS = Registry('visualizer', parent=MMENGINE_VISUALIZERS, scope=SCOPE, locations=['mmpartref.visualization'])
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optimizer wrapper constructor',
    parent=MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
    scope=SCOPE,
    locations=['mmpartref.engine'])
PARAM_SCHEDULERS = Registry(
    'parameter scheduler', parent=MMENGINE_PARAM_SCHEDULERS, scope=SCOPE, locations=['mmpartref.engine'])
WEIGHT_INITIALIZERS = Registry(
    'weight initializer', parent=MMENGINE_WEIGHT_INITIALIZERS, scope=SCOPE, locations=['mmpartref.models'])
LOOPS = Registry('loop', parent=MMENGINE_LOOPS, scope=SCOPE, locations=['mmpartref.engine'])
# Nothing of ours is registered in these yet. Without a child of scope ``mmpartref``, mmengine warns at every start that
# it falls back to its own registry.
LOG_PROCESSORS = Registry('log_processor', parent=MMENGINE_LOG_PROCESSORS, scope=SCOPE, locations=['mmpartref.engine'])
OPTIMIZERS = Registry('optimizer', parent=MMENGINE_OPTIMIZERS, scope=SCOPE, locations=['mmpartref.engine'])
OPTIM_WRAPPERS = Registry('optim_wrapper', parent=MMENGINE_OPTIM_WRAPPERS, scope=SCOPE, locations=['mmpartref.engine'])
VISBACKENDS = Registry('vis_backend', parent=MMENGINE_VISBACKENDS, scope=SCOPE, locations=['mmpartref.visualization'])
# What an entry of a dataset goes through before it is stored, built by name from a config.
ENTRY_STEPS = Registry('entry step', scope=SCOPE, locations=['mmpartref.datasets'])


def resolve(registry: Registry, kind: str | type | None) -> Any:
    """Return the class that the ``type`` of a config names, None where the registry has no such class."""
    return registry.get(kind) if isinstance(kind, str) else kind


def argument(registry: Registry, node: Mapping[str, Any], name: str) -> Any:
    """Return the value of an argument with which ``registry`` builds a config node.

    The config's own value, else the default in the signature of the class that ``type`` names, or of the base that gets
    the argument through ``**kwargs``. None where the class takes no such argument or has no default for it.
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

"""Registration of all classes, under the name that mmengine.hub and scripts for other OpenMMLab packages use."""
from mmengine import registry

import mmpartref.datasets
import mmpartref.engine
import mmpartref.evaluation.metrics
import mmpartref.models
import mmpartref.visualization  # noqa: F401
from mmpartref.registry import SCOPE


def register_all_modules(init_default_scope: bool = True) -> None:
    """Register all classes, as the function of this name in mmdet and mmseg does; importing this module has done so.

    Configs with ``default_scope = 'mmpartref'`` need no call: the registries import the classes at the first look-up.

    Args:
        init_default_scope: set mmengine's default scope to ``'mmpartref'``.
    """
    if init_default_scope:
        registry.init_default_scope(SCOPE)

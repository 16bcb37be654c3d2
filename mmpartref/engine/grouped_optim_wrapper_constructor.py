"""Parameter groups that stay few."""
import logging
from collections.abc import Hashable

from mmengine.logging import MMLogger, print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from mmpartref.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GroupedOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor with one group per distinct setting instead of one per parameter.

    mmengine's own makes 650 groups of CRIS, logs two lines for each, and the optimiser then steps them one by one.
    Settings mean the same here, ``paramwise_cfg`` included.
    """

    def add_params(self,
                   params: list[dict],
                   module: nn.Module,
                   prefix: str = '',
                   is_dcn_module: int | float | None = None) -> None:
        """Append the groups of ``module`` to ``params``; called once by mmengine, then by itself for the children."""
        if prefix:
            super().add_params(params, module, prefix, is_dcn_module)
            return
        single: list[dict] = []
        logger = MMLogger.get_current_instance()
        level = logger.level
        logger.setLevel(logging.WARNING)
        try:
            super().add_params(single, module, prefix, is_dcn_module)
        finally:
            logger.setLevel(level)
        groups: dict[Hashable, dict] = {}
        for group in single:
            settings = {key: value for key, value in group.items() if key != 'params'}
            key = tuple(sorted(settings.items()))
            groups.setdefault(key, {'params': [], **settings})['params'] += group['params']
        for group in groups.values():
            shown = {key: value for key, value in group.items() if key != 'params'} or 'the optimiser\'s own settings'
            count = sum(parameter.numel() for parameter in group['params'])
            print_log(f"{len(group['params'])} tensors, {count / 1e6:.2f} M parameters: {shown}", 'current')
        params += groups.values()

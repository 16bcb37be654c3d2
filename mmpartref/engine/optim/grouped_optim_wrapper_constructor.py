"""Optimiser with one parameter group per distinct setting."""
import logging
from collections.abc import Hashable, Mapping
from typing import Any

from mmengine.logging import MMLogger, print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from mmpartref.errors import InputError
from mmpartref.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GroupedOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """``DefaultOptimWrapperConstructor`` with one parameter group per distinct setting instead of one per parameter.

    mmengine's makes 650 groups of CRIS, logs two lines for each, and the optimiser steps them one by one. All settings
    mean the same. Layer-wise learning rates are added::

        paramwise_cfg=dict(layer_decay=dict(backbone=0.8, text_encoder=0.9))

    multiplies the learning rate of a parameter by ``0.8 ** (num_layers + 1 - depth)``: by 1 after the last layer, by
    less towards the stem. Depths are those of ``layer_id`` (see ``TunableEncoder``). A learning rate of ``custom_keys``
    is multiplied if its key matches the whole encoder; one for a part of it raises an error, unless the factor there is
    1. Multipliers that an encoder declares (``lr_mults``) are added to ``custom_keys``. Source: Clark et al.,
    "ELECTRA", ICLR 2020; for image encoders Bao et al., "BEiT", ICLR 2022.
    """

    paramwise_cfg: dict[str, Any]

    def add_params(self,
                   params: list[dict],
                   module: nn.Module,
                   prefix: str = '',
                   is_dcn_module: int | float | None = None) -> None:
        """Append the groups of ``module`` to ``params``; called by mmengine, and recursively for the children."""
        if prefix:
            super().add_params(params, module, prefix, is_dcn_module)
            return
        self.add_declared_multipliers(module)
        single: list[dict] = []
        logger = MMLogger.get_current_instance()
        level = logger.level
        logger.setLevel(logging.WARNING)
        try:
            super().add_params(single, module, prefix, is_dcn_module)
        finally:
            logger.setLevel(level)
        self.decay_by_depth(single, module)
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

    def add_declared_multipliers(self, model: nn.Module) -> None:
        """Add the ``lr_mults`` of encoders (``TunableEncoder``) to ``custom_keys``, which has precedence.

        Only for encoders that a key gives another learning rate, and not for those with ``layer_decay``.
        """
        custom_keys: dict[str, dict] = self.paramwise_cfg.get('custom_keys') or {}
        layer_decay = self.paramwise_cfg.get('layer_decay')
        decayed = layer_decay if isinstance(layer_decay, Mapping) else {}
        declared = {}
        for name, part in model.named_modules():
            key = next((key for key in sorted(custom_keys, key=len, reverse=True) if key in name), None)
            if name in decayed or key is None or 'lr_mult' not in custom_keys[key]:
                continue
            names = dict(part.named_parameters())
            for inside, factor in getattr(part, 'lr_mults', {}).items():
                if inside in names:
                    declared[f'{name}.{inside}'] = {**custom_keys[key], 'lr_mult': factor}
        if declared:
            self.paramwise_cfg = {**self.paramwise_cfg, 'custom_keys': {**declared, **custom_keys}}

    def decay_by_depth(self, groups: list[dict], model: nn.Module) -> None:
        """Multiply the learning rates in ``groups``, one per parameter, by the factors of ``layer_decay``.

        Raises:
            ValueError: a factor is not between 0 and 1; a module does not exist, has no ``layer_id`` or is frozen; or
                ``custom_keys`` set a rate inside it.
        """
        layer_decay = self.paramwise_cfg.get('layer_decay') or {}
        if not isinstance(layer_decay, Mapping):
            raise InputError(f'paramwise_cfg.layer_decay={layer_decay!r} should be a dict, e.g. '
                             f'dict(backbone={layer_decay!r})')
        scales: dict[int, float] = {}
        parts = dict(model.named_modules())
        for name, factor in layer_decay.items():
            part = parts.get(name)
            if part is None or not hasattr(part, 'layer_id'):
                kind = 'is not in the model' if part is None else f'is a {type(part).__name__} without layer_id'
                raise InputError(f"paramwise_cfg.layer_decay: '{name}' {kind}; use 'backbone' or 'text_encoder'")
            if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor <= 1:
                raise InputError(f'paramwise_cfg.layer_decay: the factor of {name} is {factor!r}; it should be a '
                                 'number above 0 and at most 1')
            learning = {each: parameter for each, parameter in part.named_parameters() if parameter.requires_grad}
            if not learning:
                raise InputError(f"paramwise_cfg.layer_decay: '{name}' is frozen, so that it has no learning rates; "
                                 'remove it')
            try:
                decay = {each: factor**(part.num_layers + 1 - part.layer_id(each)) for each in learning}
            except NotImplementedError as error:
                raise InputError(f"paramwise_cfg.layer_decay: '{name}': {error}") from None
            self.reject_rates_inside(name, decay)
            scales.update({id(parameter): decay[each] for each, parameter in learning.items()})
        for group in groups:
            scale = scales.get(id(group['params'][0]), 1.0)
            if scale != 1.0:
                rate = group.get('lr', self.base_lr)
                if rate is None:
                    raise InputError('paramwise_cfg.layer_decay needs a learning rate; set lr of the optimizer')
                group['lr'] = rate * scale

    def reject_rates_inside(self, part: str, decay: Mapping[str, float]) -> None:
        """Reject an ``lr_mult`` of ``custom_keys`` for only some of the parameters of a module with ``layer_decay``.

        Args:
            part: name of the module.
            decay: factor of each of its parameters, by the name inside the module.

        Raises:
            ValueError: there is one, and its parameter's factor is not 1.
        """
        custom_keys = self.paramwise_cfg.get('custom_keys') or {}
        # mmengine uses the first of them that is a part of the parameter's full name.
        order = sorted(sorted(custom_keys), key=len, reverse=True)
        names = [f'{part}.{name}' for name in decay]
        for name, scale in decay.items():
            key = next((key for key in order if key in f'{part}.{name}'), None)
            if key is None or scale == 1.0 or 'lr_mult' not in custom_keys[key] or all(key in each for each in names):
                continue
            raise InputError(f"paramwise_cfg gives {part}.{name} two learning rates, one by custom_keys['{key}'] and "
                             f'{scale:.3g} of that of {part} by layer_decay; remove the key, its lr_mult or '
                             f'layer_decay.{part}')

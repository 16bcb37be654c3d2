"""Parameter groups that stay few."""
import logging
from collections.abc import Hashable, Mapping

from mmengine.logging import MMLogger, print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from mmpartref.errors import InputError
from mmpartref.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GroupedOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor with one group per distinct setting instead of one per parameter.

    mmengine's own makes 650 groups of CRIS, logs two lines for each, and the optimiser then steps them one by one.
    Settings mean the same here, ``paramwise_cfg`` included. One is added, layer-wise rates::

        paramwise_cfg=dict(layer_decay=dict(backbone=0.8, text_encoder=0.9))

    multiplies the rate that a parameter has by ``0.8 ** (num_layers + 1 - depth)``: all of it behind the last layer,
    less and less towards the stem. Depths are what the part's ``layer_id`` tells (see ``TunableEncoder``). A rate of
    ``custom_keys`` is multiplied where its key is for the whole part; one for a place inside the part contradicts the
    rates by depth and is refused, unless nothing is taken off there. Source: Clark et al., "ELECTRA", ICLR 2020; for
    image encoders Bao et al., "BEiT", ICLR 2022.
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

    def decay_by_depth(self, groups: list[dict], model: nn.Module) -> None:
        """Multiply the rates in ``groups``, one per parameter, as ``layer_decay`` says.

        Raises:
            ValueError: a factor is not between 0 and 1, a part is not there, does not tell its depths or learns
                nothing, or ``custom_keys`` contradict it.
        """
        layer_decay = self.paramwise_cfg.get('layer_decay') or {}
        if not isinstance(layer_decay, Mapping):
            raise InputError(f'paramwise_cfg.layer_decay={layer_decay!r} should name the parts it is for, e.g. '
                             f'dict(backbone={layer_decay!r})')
        scales: dict[int, float] = {}
        parts = dict(model.named_modules())
        for name, factor in layer_decay.items():
            part = parts.get(name)
            if part is None or not hasattr(part, 'layer_id'):
                kind = 'is no part of the model' if part is None else f'is a {type(part).__name__}, which has no depths'
                raise InputError(f"paramwise_cfg.layer_decay: '{name}' {kind}; 'backbone' and 'text_encoder' have")
            if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor <= 1:
                raise InputError(f'paramwise_cfg.layer_decay: the factor of {name} is {factor!r}; it should be a '
                                 'number above 0 and at most 1')
            learning = {each: parameter for each, parameter in part.named_parameters() if parameter.requires_grad}
            if not learning:
                raise InputError(f"paramwise_cfg.layer_decay: nothing of '{name}' learns, so it has no rates: leave it "
                                 'out')
            try:
                decay = {each: factor**(part.num_layers + 1 - part.layer_id(each)) for each in learning}
            except NotImplementedError as error:
                raise InputError(f"paramwise_cfg.layer_decay: '{name}': {error}") from None
            self.refuse_rates_inside(name, decay)
            scales.update({id(parameter): decay[each] for each, parameter in learning.items()})
        for group in groups:
            scale = scales.get(id(group['params'][0]), 1.0)
            if scale != 1.0:
                rate = group.get('lr', self.base_lr)
                if rate is None:
                    raise InputError('paramwise_cfg.layer_decay multiplies a rate: give the optimizer its lr')
                group['lr'] = rate * scale

    def refuse_rates_inside(self, part: str, decay: Mapping[str, float]) -> None:
        """Refuse a rate of ``custom_keys`` for a place inside ``part`` where ``decay`` takes something off.

        Args:
            part: name of the part.
            decay: factor of each of its parameters, named as in the part.

        Raises:
            ValueError: naming the key and the parameter.
        """
        custom_keys = self.paramwise_cfg.get('custom_keys') or {}
        # As mmengine looks them up: the first that is somewhere in the parameter's full name.
        order = sorted(sorted(custom_keys), key=len, reverse=True)
        names = [f'{part}.{name}' for name in decay]
        for name, scale in decay.items():
            key = next((key for key in order if key in f'{part}.{name}'), None)
            if key is None or scale == 1.0 or 'lr_mult' not in custom_keys[key] or all(key in each for each in names):
                continue
            raise InputError(f"paramwise_cfg gives {part}.{name} two rates, custom_keys['{key}'] one of its own and "
                             f'layer_decay {scale:.3g} of the rate of {part}: take the key, or its lr_mult, or '
                             f'layer_decay.{part} out')

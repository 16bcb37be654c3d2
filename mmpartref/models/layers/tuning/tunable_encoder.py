"""Base class of the pretrained encoders: freezing, LoRA, adapters and layer depths."""
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import nn

from mmpartref.errors import InputError
from mmpartref.models.layers.tuning.bottleneck_adapter import add_adapters
from mmpartref.models.layers.tuning.lora import add_lora
from mmpartref.models.layers.tuning.unfused_attention import UnfusedAttention

# Substrings of the names of parameters added by add_lora and add_adapters.
ADDED_PARTS = ('.lora_', '.adapter.')


class TunableEncoder(BaseModule):
    """Base class of the image and text encoders.

    A subclass calls ``set_trainable`` at the end of its constructor with its arguments::

        freeze          train no pretrained parameter
        frozen_stages   freeze depths 0 to this one (0 is the stem or the embeddings); -1 freezes none
        lora            dict(r=8, target_modules=[...]): train LoRA instead of the weights (see ``add_lora``)
        adapter         dict(channels=64, target_modules=['mlp']): train adapters instead (see ``add_adapters``)

    Frozen parameters have ``requires_grad=False``, and frozen modules stay in evaluation mode, so that BatchNorm does
    not update its running statistics. Modules that no pretrained checkpoint has (``new_parts``) are always trained.

    State dicts have the names of the encoder without LoRA and adapters, plus the entries of these. So the original
    checkpoint loads strictly into an encoder with LoRA or adapters, and a trained checkpoint without these entries
    loads into the plain encoder.

    Attributes:
        num_layers: number of stages or blocks, numbered from 1 by ``layer_id``.
        new_parts: prefixes of parameters that no pretrained checkpoint has.
        lr_mults: learning-rate multipliers of parameters, read by ``GroupedOptimWrapperConstructor`` where the config
            has one for the encoder; they replace it.
        block_prefix, embedding_prefixes: prefixes of the names of numbered blocks, and of the stem or embeddings.
    """
    num_layers: int
    new_parts: tuple[str, ...] = ()
    lr_mults: Mapping[str, float] = MappingProxyType({})
    block_prefix = ''
    embedding_prefixes: tuple[str, ...] = ()

    def layer_id(self, name: str) -> int:
        """Return the depth of the parameter with that name.

        0 for the stem or the embeddings, then the number of the stage or block, ``num_layers + 1`` for later layers.
        """
        if not self.block_prefix:
            raise NotImplementedError(f'{type(self).__name__} does not define the depth of its parameters')
        if name.startswith(self.block_prefix):
            return int(name.removeprefix(self.block_prefix).split('.')[0]) + 1
        return 0 if name.startswith(self.embedding_prefixes) else self.num_layers + 1

    def set_trainable(self, *, freeze: bool, frozen_stages: int, lora: Mapping[str, Any] | None,
                      adapter: Mapping[str, Any] | None) -> None:
        """Freeze parameters and add LoRA and adapters; see the class.

        Raises:
            ValueError: arguments exclude each other, or name a stage or layer that does not exist.
        """
        added = lora is not None or adapter is not None
        if freeze and added:
            raise InputError(f'freeze=True has no effect together with lora or adapter, which freeze the pretrained '
                             f'{type(self).__name__}: remove it')
        if frozen_stages != -1 and (freeze or added):
            raise InputError(f'frozen_stages={frozen_stages} has no effect together with freeze, lora or adapter, '
                             f'which freeze the pretrained {type(self).__name__}: remove it')
        if frozen_stages != -1 and not 0 <= frozen_stages <= self.num_layers + 1:
            raise InputError(f'frozen_stages={frozen_stages} of {type(self).__name__} should be -1 (none) or 0 to '
                             f'{self.num_layers + 1}')
        if adapter is not None:
            add_adapters(self, **adapter)
        if lora is not None:
            add_lora(self, lora)
        if added:
            self.register_state_dict_post_hook(_to_plain_names)
            self.register_load_state_dict_pre_hook(_from_plain_names)
        if not (freeze or added or frozen_stages != -1):
            return
        for name, parameter in self.named_parameters():
            new = any(part in f'.{name}' for part in ADDED_PARTS) or name.startswith(self.new_parts)
            parameter.requires_grad = new or (frozen_stages != -1 and self.layer_id(name) > frozen_stages)
        self.train(self.training)

    def train(self, mode: bool = True) -> 'TunableEncoder':
        """Switch between training and evaluation; frozen modules stay in evaluation."""
        super().train(mode)
        if mode:
            set_frozen_eval(self)
        return self


def set_frozen_eval(module: nn.Module) -> None:
    """Set each submodule whose parameters are all frozen to evaluation mode."""
    trainable = [parameter.requires_grad for parameter in module.parameters()]
    if trainable and not any(trainable):
        module.eval()
    elif not all(trainable):
        for child in module.children():
            set_frozen_eval(child)


def plain_names(module: nn.Module) -> dict[str, str]:
    """Return names of state dict entries -> names without LoRA and adapters, where both differ."""
    unfused = {f'{name}.in_proj.'.replace('.base_layer.', '.') for name, each in module.named_modules()
              if isinstance(each, UnfusedAttention)}
    names = [name for name, _ in (*module.named_parameters(), *module.named_buffers())]
    plain = {}
    for name in names:
        short = name.replace('.base_layer.', '.')
        for start in unfused:
            if short.startswith(start) and short.count('.') == start.count('.'):
                # The names of nn.MultiheadAttention.
                short = f'{start[:-1]}_{short.removeprefix(start)}'
        if short != name:
            plain[name] = short
    return plain


def _to_plain_names(module: nn.Module, state: dict[str, torch.Tensor], prefix: str, metadata: dict) -> None:
    plain = plain_names(module)
    # Preserves the order, because some readers match entries by position.
    for key in [key for key in state if key.startswith(prefix)]:
        name = key.removeprefix(prefix)
        state[prefix + plain.get(name, name)] = state.pop(key)


def _from_plain_names(module: nn.Module, state: dict[str, torch.Tensor], prefix: str, *args: Any) -> None:
    for name, short in plain_names(module).items():
        if prefix + short in state:
            state[prefix + name] = state.pop(prefix + short)


def check_maps(maps: Sequence[torch.Tensor], out_channels: Sequence[int], name: str) -> None:
    """Raise a ValueError if the channels of maps (N, C, ..) are not those that an image encoder declares."""
    found = tuple(each.size(1) for each in maps)
    if found != tuple(out_channels):
        raise InputError(f'{name} gives maps of {found} channels but declares out_channels={tuple(out_channels)}: '
                         'set out_channels in the config')

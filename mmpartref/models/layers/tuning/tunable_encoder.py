"""Encoders that start from pretrained weights, and how much of them learns."""
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import nn

from mmpartref.errors import InputError
from mmpartref.models.layers.tuning.bottleneck_adapter import add_adapters
from mmpartref.models.layers.tuning.lora import add_lora
from mmpartref.models.layers.tuning.open_attention import OpenAttention

# Parts of the names of what add_lora and add_adapters put in.
ADDED_PARTS = ('.lora_', '.adapter.')


class TunableEncoder(BaseModule):
    """Base of the image and text encoders.

    A subclass calls ``tune`` at the end of its constructor with the switches it was given::

        freeze          nothing pretrained learns
        frozen_stages   depths 0 to this one do not learn (0 is the stem or the embeddings); -1 freezes none
        lora            dict(r=8, target_modules=[...]): LoRA learns instead of the weights (see ``add_lora``)
        adapter         dict(channels=64, target_modules=['mlp']): adapters learn instead (see ``add_adapters``)

    What does not learn has no gradient and stays in evaluation mode, so that BatchNorm keeps its running statistics.
    Parts that no pretrained checkpoint holds (``new_parts``) always learn.

    Names in a state dict are those of the encoder without LoRA and adapters, which have entries besides: the original
    checkpoint is loaded, strictly, into the encoder with either, and a trained one without them by leaving their
    entries out.

    Attributes:
        num_layers: stages or blocks, numbered from 1 by ``layer_id``.
    """
    new_parts: tuple[str, ...] = ()
    num_layers: int

    def layer_id(self, name: str) -> int:
        """Return how deep the parameter of that name lies.

        0 for the stem or the embeddings, then the number of the stage or block, ``num_layers + 1`` for what follows.
        """
        raise NotImplementedError(f'{type(self).__name__} does not tell how deep its parameters lie')

    def tune(self, *, freeze: bool, frozen_stages: int, lora: Mapping[str, Any] | None,
             adapter: Mapping[str, Any] | None) -> None:
        """Apply the switches; see the class.

        Raises:
            ValueError: they contradict one another, or name what is not there.
        """
        added = lora is not None or adapter is not None
        if freeze and added:
            raise InputError(f'freeze=True says nothing beside lora or adapter, which freeze all of the pretrained '
                             f'{type(self).__name__}: leave it out')
        if frozen_stages != -1 and (freeze or added):
            raise InputError(f'frozen_stages={frozen_stages} says nothing beside freeze, lora or adapter, which freeze '
                             f'all of the pretrained {type(self).__name__}: leave it out')
        if frozen_stages != -1 and not 0 <= frozen_stages <= self.num_layers + 1:
            raise InputError(f'frozen_stages={frozen_stages} of {type(self).__name__} should be -1 (none) or 0 to '
                             f'{self.num_layers + 1}')
        if adapter is not None:
            add_adapters(self, **adapter)
        if lora is not None:
            add_lora(self, lora)
        if added:
            self.register_state_dict_post_hook(_give_plain_names)
            self.register_load_state_dict_pre_hook(_take_plain_names)
        if not (freeze or added or frozen_stages != -1):
            return
        for name, parameter in self.named_parameters():
            new = any(part in f'.{name}' for part in ADDED_PARTS) or name.startswith(self.new_parts)
            parameter.requires_grad = new or (frozen_stages != -1 and self.layer_id(name) > frozen_stages)
        self.train(self.training)

    def train(self, mode: bool = True) -> 'TunableEncoder':
        """Switch between training and evaluation; what has parameters of which none learns stays in evaluation."""
        super().train(mode)
        if mode:
            rest_frozen(self)
        return self


def rest_frozen(module: nn.Module) -> None:
    """Put into evaluation mode each part of ``module`` that has parameters of which none learns."""
    learns = [parameter.requires_grad for parameter in module.parameters()]
    if learns and not any(learns):
        module.eval()
    elif not all(learns):
        for child in module.children():
            rest_frozen(child)


def plain_names(module: nn.Module) -> dict[str, str]:
    """Return the names of a state dict's entries that differ without LoRA and adapters, each with its plain one."""
    opened = {f'{name}.in_proj.'.replace('.base_layer.', '.') for name, each in module.named_modules()
              if isinstance(each, OpenAttention)}
    names = [name for name, _ in (*module.named_parameters(), *module.named_buffers())]
    plain = {}
    for name in names:
        short = name.replace('.base_layer.', '.')
        for start in opened:
            if short.startswith(start) and short.count('.') == start.count('.'):
                # As nn.MultiheadAttention calls it.
                short = f'{start[:-1]}_{short.removeprefix(start)}'
        if short != name:
            plain[name] = short
    return plain


def _give_plain_names(module: nn.Module, state: dict[str, torch.Tensor], prefix: str, metadata: dict) -> None:
    plain = plain_names(module)
    # In the order they have: some readers pair entries by their place.
    for key in [key for key in state if key.startswith(prefix)]:
        name = key.removeprefix(prefix)
        state[prefix + plain.get(name, name)] = state.pop(key)


def _take_plain_names(module: nn.Module, state: dict[str, torch.Tensor], prefix: str, *args: Any) -> None:
    for name, short in plain_names(module).items():
        if prefix + short in state:
            state[prefix + name] = state.pop(prefix + short)


def check_maps(maps: Sequence[torch.Tensor], out_channels: Sequence[int], name: str) -> None:
    """Compare maps (N, C, ..) with the channels that an image encoder declares.

    Raises:
        ValueError: they differ.
    """
    found = tuple(each.size(1) for each in maps)
    if found != tuple(out_channels):
        raise InputError(f'{name} gives maps of {found} channels but declares out_channels={tuple(out_channels)}: '
                         'set out_channels to the former in the config')

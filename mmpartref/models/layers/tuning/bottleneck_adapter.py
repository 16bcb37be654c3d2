"""Bottleneck adapters beside the layers of a frozen encoder."""
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from mmpartref.errors import InputError


class BottleneckAdapter(nn.Module):
    """Down, ReLU, up, scaled; starts as zero, so that the encoder starts as it was.

    Source: Houlsby et al., "Parameter-efficient transfer learning for NLP", ICML 2019 (the bottleneck); Chen et al.,
    "AdaptFormer", NeurIPS 2022 (parallel to the feed-forward part, scaled).

    Args:
        in_channels, out_channels: of the layer it stands beside.
        channels: width of the bottleneck.
        scale: factor on the result.
    """

    def __init__(self, in_channels: int, out_channels: int, channels: int, scale: float) -> None:
        super().__init__()
        self.down = nn.Linear(in_channels, channels)
        self.up = nn.Linear(channels, out_channels)
        self.scale = scale
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (.., in_channels) to (.., out_channels)."""
        return self.up(torch.relu(self.down(x))) * self.scale


class AdaptedLayer(nn.Module):
    """A layer and the adapter beside it: the sum of what both make of the same input.

    Attributes that it does not have are those of the layer, since other packages reach into their layers.
    """

    def __init__(self, base_layer: nn.Module, adapter: BottleneckAdapter) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.adapter = adapter

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__('base_layer'), name)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (.., in_channels) to (.., out_channels)."""
        return self.base_layer(x) + self.adapter(x)


def add_adapters(module: nn.Module, *, channels: int, target_modules: Sequence[str], scale: float = 0.1) -> int:
    """Put a ``BottleneckAdapter`` beside every layer of ``module`` that has one of the names; returns how many.

    Args:
        module: changed in place.
        channels: width of the bottleneck.
        target_modules: last parts of names, e.g. ``['mlp']``. The layers are linear, or made of linear layers.
        scale: factor on what an adapter gives; AdaptFormer uses 0.1.

    Raises:
        ValueError: no layer has such a name, or one has no linear layer inside, or is the projection of
            ``nn.MultiheadAttention``.
    """
    targets = [(parent, name) for parent in module.modules() for name, _ in parent.named_children()
               if name in target_modules]
    if not targets:
        names = sorted({name.rsplit('.', 1)[-1] for name, _ in module.named_modules() if name})
        raise InputError(f'adapter: no layer of {type(module).__name__} is called {" or ".join(target_modules)}; there '
                         f'are {", ".join(name for name in names if not name.isdigit())}')
    for parent, name in targets:
        if isinstance(parent, nn.MultiheadAttention):
            raise InputError(f"adapter: '{name}' of {type(module).__name__} is inside nn.MultiheadAttention, which "
                             'reads its weights past any layer, so an adapter beside it would never be called; name '
                             'feed-forward layers')
        layer = getattr(parent, name)
        linear = [each for each in layer.modules() if isinstance(each, nn.Linear)]
        if not linear:
            raise InputError(f"adapter: '{name}' of {type(module).__name__} has no linear layer, so an adapter beside "
                             'it has no width; name linear or feed-forward layers')
        adapter = BottleneckAdapter(linear[0].in_features, linear[-1].out_features, channels, scale)
        setattr(parent, name, AdaptedLayer(layer, adapter))
    return len(targets)

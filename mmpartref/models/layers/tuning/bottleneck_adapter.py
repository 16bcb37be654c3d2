"""Bottleneck adapters parallel to the layers of a frozen encoder."""
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from mmpartref.errors import InputError


class BottleneckAdapter(nn.Module):
    """Linear down-projection, ReLU, linear up-projection, scale; the up-projection is initialised with zeros.

    Source: Houlsby et al., "Parameter-efficient transfer learning for NLP", ICML 2019 (the bottleneck); Chen et al.,
    "AdaptFormer", NeurIPS 2022 (parallel to the feed-forward layer, scaled).

    Args:
        in_channels, out_channels: of the layer that the adapter is parallel to.
        channels: width of the bottleneck.
        scale: factor on the output.
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
    """Sum of a layer and its adapter, applied to the same input.

    Attributes that it does not have are looked up on the layer, because other packages read attributes of their layers.
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
    """Add a ``BottleneckAdapter`` to every layer of ``module`` with one of the names, in place; return how many.

    Args:
        module: changed in place.
        channels: width of the bottleneck.
        target_modules: last components of names, e.g. ``['mlp']``. Each layer is or contains a linear layer.
        scale: factor on the adapters' outputs; AdaptFormer uses 0.1.

    Raises:
        ValueError: no layer has such a name, a layer contains no linear layer, or it is the projection of
            ``nn.MultiheadAttention``.
    """
    targets = [(parent, name) for parent in module.modules() for name, _ in parent.named_children()
               if name in target_modules]
    if not targets:
        names = sorted({name.rsplit('.', 1)[-1] for name, _ in module.named_modules() if name})
        raise InputError(f'adapter: no layer of {type(module).__name__} is called {" or ".join(target_modules)}; set '
                         f'target_modules to some of {", ".join(name for name in names if not name.isdigit())}')
    for parent, name in targets:
        if isinstance(parent, nn.MultiheadAttention):
            raise InputError(f"adapter: '{name}' of {type(module).__name__} is inside nn.MultiheadAttention, which "
                             'does not call it, so that its adapter would have no effect; name feed-forward layers')
        layer = getattr(parent, name)
        linear = [each for each in layer.modules() if isinstance(each, nn.Linear)]
        if not linear:
            raise InputError(f"adapter: '{name}' of {type(module).__name__} contains no linear layer, which would "
                             'give the width of the adapter; name linear or feed-forward layers')
        adapter = BottleneckAdapter(linear[0].in_features, linear[-1].out_features, channels, scale)
        setattr(parent, name, AdaptedLayer(layer, adapter))
    return len(targets)

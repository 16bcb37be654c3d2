"""Fixed sine/cosine position encodings (Vaswani et al., "Attention is all you need", 2017, section 3.5)."""
import math

import torch

from mmpartref.errors import InputError
from mmpartref.models.layers.cpu.cached_constants import cached_constant


@cached_constant
def sine_positions_1d(length: int, channels: int, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Return (length, channels): sines at even channels, cosines at odd ones.

    Raises:
        ValueError: ``channels`` is odd.
    """
    if channels % 2:
        raise InputError(f'sine positions need an even number of channels, got {channels}')
    frequency = torch.exp(torch.arange(0, channels, 2, dtype=torch.float32) * -(math.log(10000.0) / channels))
    angle = torch.arange(length, dtype=torch.float32)[:, None] * frequency  # (length, channels / 2)
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1).to(device, dtype)


@cached_constant
def sine_positions_2d(height: int, width: int, channels: int, device: torch.device,
                      dtype: torch.dtype) -> torch.Tensor:
    """Return (height * width, channels): the first half of the channels tells x, the second half y.

    Raises:
        ValueError: ``channels`` is not divisible by 4.
    """
    if channels % 4:
        raise InputError(f'two-dimensional sine positions need channels divisible by 4, got {channels}')
    xs = sine_positions_1d(width, channels // 2, device, dtype).expand(height, width, -1)
    ys = sine_positions_1d(height, channels // 2, device, dtype)[:, None].expand(height, width, -1)
    return torch.cat([xs, ys], dim=2).flatten(0, 1)

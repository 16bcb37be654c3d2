"""Position encodings: learned tables resized to another grid, and fixed sines."""
import math

import torch
import torch.nn.functional as F

from mmpartref.errors import InputError


def resize_positions(table: torch.Tensor, grid: tuple[int, int], size: tuple[int, int]) -> torch.Tensor:
    """Resize a learned table (rows * columns, C) from one grid to another, bicubic with ``align_corners=False``.

    Args:
        table: one row per cell of ``grid``, in row-major order.
        grid: (rows, columns) that the table was learned on.
        size: (rows, columns) of the result.

    Returns:
        (size[0] * size[1], C); ``table`` itself where both grids are equal.
    """
    if grid == size:
        return table
    maps = table.reshape(1, *grid, -1).permute(0, 3, 1, 2)  # (1, C, rows, columns)
    return F.interpolate(maps, size=size, mode='bicubic', align_corners=False).flatten(2)[0].transpose(0, 1)


def sine_positions_1d(length: int, channels: int, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Return sine/cosine encodings (length, channels): sines at even channels, cosines at odd ones.

    Source: Vaswani et al., "Attention is all you need", 2017, section 3.5.

    Raises:
        ValueError: ``channels`` is odd.
    """
    if channels % 2:
        raise InputError(f'sine positions need an even number of channels, got {channels}')
    steps = torch.arange(0, channels, 2, dtype=torch.float32, device=device)
    frequency = torch.exp(steps * -(math.log(10000.0) / channels))
    angle = torch.arange(length, dtype=torch.float32, device=device)[:, None] * frequency  # (length, channels / 2)
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1).to(dtype)


def sine_positions_2d(height: int, width: int, channels: int, device: torch.device,
                      dtype: torch.dtype) -> torch.Tensor:
    """Return (height * width, channels): x in the first half of the channels, y in the second.

    Raises:
        ValueError: ``channels`` is not divisible by 4.
    """
    if channels % 4:
        raise InputError(f'two-dimensional sine positions need channels divisible by 4, got {channels}')
    xs = sine_positions_1d(width, channels // 2, device, dtype).expand(height, width, -1)
    ys = sine_positions_1d(height, channels // 2, device, dtype)[:, None].expand(height, width, -1)
    return torch.cat([xs, ys], dim=2).flatten(0, 1)

"""A 3x3 convolution of an upsampled map, computed before the upsampling.

Upsampling U mixes places, a 1x1 convolution mixes channels, so they commute. A 3x3 convolution is nine 1x1 convolutions
(one per tap d), each shifted by its tap::

    conv(U x) = sum_d shift_d(U (W_d x))

The products W_d x run at the low resolution: a quarter of the multiplications for x2. ``shift_d U`` is linear, the same
for all channels and separable, so it is two small banded matrices, one per axis; the zero padding of the convolution is
a row of zeros in them. Exact but for rounding.
"""
from functools import lru_cache

import torch
import torch.nn.functional as F

from mmpartref.models.layers.cpu.cached_constants import KEPT, cached_constant
from mmpartref.models.layers.cpu.cpu_inference import is_cpu_inference

# Below this many output places per input place the plain convolution is the cheaper one.
WORTHWHILE = 1.5
# Places of a line that one block of a banded matrix gives; measured on a CPU, 6 to 16 do alike.
BLOCK = 8

# Places [first, last) given, places [first, last) they need, and the matrix between them.
Block = tuple[int, int, int, int, torch.Tensor]


@cached_constant
def shifted_upsampling(length: int, size: int, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Return (3, size, length): bilinear upsampling of a line, read one place before, at and one place after.

    Row i of tap d gives output place i + d - 1, zeros where that lies outside.
    """
    line = torch.eye(length, dtype=torch.float64)[None]
    upsampling = F.interpolate(line, size=size, mode='linear', align_corners=False)[0].T
    outside = upsampling.new_zeros(1, length)
    before, after = torch.cat([outside, upsampling[:-1]]), torch.cat([upsampling[1:], outside])
    return torch.stack([before, upsampling, after]).to(device, dtype)


def side_by_side_taps(length: int, size: int, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Return (size, length 3): ``shifted_upsampling`` with both of a place's indices, place and tap, summed at once."""
    return shifted_upsampling(length, size, device, dtype).permute(1, 2, 0).reshape(size, length * 3)


def cut(matrix: torch.Tensor) -> list[Block]:
    """Cut a banded matrix into blocks of ``BLOCK`` rows without the columns that are zero in all of them."""
    blocks = []
    for first in range(0, len(matrix), BLOCK):
        rows = matrix[first:first + BLOCK]
        used = rows.ne(0).any(0).nonzero()[:, 0].tolist() or [0]
        blocks.append((first, first + len(rows), used[0], used[-1] + 1, rows[:, used[0]:used[-1] + 1].contiguous()))
    return blocks


@lru_cache(maxsize=KEPT)
def upsampling_blocks(length: int, size: int, dtype: torch.dtype) -> list[list[Block]]:
    """Return ``shifted_upsampling`` on a CPU, cut, for each of the three taps."""
    with torch.inference_mode(False):
        return [cut(tap) for tap in shifted_upsampling(length, size, torch.device('cpu'), dtype)]


@lru_cache(maxsize=KEPT)
def side_by_side_blocks(length: int, size: int, dtype: torch.dtype) -> list[Block]:
    """Return ``side_by_side_taps`` on a CPU, cut."""
    with torch.inference_mode(False):
        return cut(side_by_side_taps(length, size, torch.device('cpu'), dtype))


def conv3x3_of_upsampled(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None,
                         size: tuple[int, int]) -> torch.Tensor:
    """Return ``conv2d(interpolate(x, size, bilinear, align_corners=False), weight, bias, padding=1)``.

    Args:
        x: (M, C, h, w); fastest in channels-last memory.
        weight: (C', C, 3, 3). bias: (C',).
        size: (H, W) of the upsampled map.

    Returns:
        (M, C', H, W), in channels-last memory but for training on a CPU.
    """
    channels, height, width = x.shape[1:]
    if size[0] * size[1] < WORTHWHILE * height * width:
        return F.conv2d(F.interpolate(x, size=size, mode='bilinear', align_corners=False), weight, bias, padding=1)
    out_channels = weight.size(0)
    kernels = weight.permute(2, 1, 3, 0).reshape(3, channels, 3 * out_channels)  # one per row of taps
    total = (_row_by_row if is_cpu_inference(x, weight) else _all_rows)(x, kernels, size)
    maps = (total if bias is None else total + bias).permute(0, 3, 1, 2)
    # On a CPU torch's BatchNorm trains on channels-last maps with two digits less.
    return maps.contiguous() if torch.is_grad_enabled() and maps.device.type == 'cpu' else maps


def _all_rows(x: torch.Tensor, kernels: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return (M, H, W, C') of maps (M, C, h, w) and kernels (3, C, 3 C'); few, large operations."""
    rows, channels, height, width = x.shape
    out_channels = kernels.size(2) // 3
    places = x.permute(0, 2, 3, 1).reshape(-1, channels)  # (M h w, C)
    taps_y = shifted_upsampling(height, size[0], x.device, x.dtype)  # (3, H, h)
    taps_x = side_by_side_taps(width, size[1], x.device, x.dtype)  # (W, w 3)
    total: torch.Tensor | None = None
    for kernel, tap_y in zip(kernels, taps_y, strict=True):
        products = (places @ kernel).view(rows * height, width * 3, out_channels)
        across = (taps_x @ products).view(rows, height, size[1] * out_channels)
        down = tap_y @ across  # (M, H, W C')
        total = down if total is None else total + down
    assert total is not None
    return total.view(rows, *size, out_channels)


def _row_by_row(x: torch.Tensor, kernels: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return what ``_all_rows`` does; without gradient, in maps that stay in a CPU's cache, zeros left out."""
    rows, channels, height, width = x.shape
    out_channels = kernels.size(2) // 3
    blocks_y = upsampling_blocks(height, size[0], x.dtype)
    blocks_x = side_by_side_blocks(width, size[1], x.dtype)
    total = x.new_empty(rows, *size, out_channels)
    products = x.new_empty(height * width, 3 * out_channels)
    across = x.new_empty(height, size[1], out_channels)
    for row in range(rows):
        places = x[row].permute(1, 2, 0).reshape(-1, channels)  # (h w, C)
        lines = total[row].view(size[0], size[1] * out_channels)
        for number, kernel in enumerate(kernels):
            torch.mm(places, kernel, out=products)
            for first, last, begin, end, block in blocks_x:
                across[:, first:last] = block @ products.view(height, width * 3, out_channels)[:, begin:end]
            for first, last, begin, end, block in blocks_y[number]:
                lines_needed = across.view(height, -1)[begin:end]
                if number == 0:
                    torch.mm(block, lines_needed, out=lines[first:last])
                else:
                    lines[first:last].addmm_(block, lines_needed)
    return total

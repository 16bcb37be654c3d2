"""3x3 convolution of a bilinearly upsampled map, computed at the low resolution.

Upsampling U mixes positions and a 1x1 convolution mixes channels, so they commute. A 3x3 convolution is the sum of nine
shifted 1x1 convolutions, one per tap d::

    conv(U x) = sum_d shift_d(U (W_d x))

The products W_d x are computed at the low resolution, with a quarter of the multiplications for x2. ``shift_d U`` is
linear, the same for all channels and separable, so it is one banded matrix per axis, with rows of zeros for the zero
padding of the convolution. The result differs from the convolution of the upsampled map by rounding.
"""
import torch
import torch.nn.functional as F

from mmpartref.models.layers.cpu.cpu_fast_paths import is_cpu_inference

# With fewer output positions per input position than this the plain convolution is faster.
MIN_RATIO = 1.5
# Rows of a banded matrix that are multiplied together; 6 to 16 are equally fast on a CPU.
BLOCK = 8

# First and last + 1 of the output rows, first and last + 1 of the input rows that they need, matrix between them.
Block = tuple[int, int, int, int, torch.Tensor]


def shifted_upsampling(length: int, size: int, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Return (3, size, length): bilinear upsampling of a line, shifted by -1, 0 and 1 positions.

    Row i of tap d computes output position i + d - 1, or zero where that is outside of the line.
    """
    line = torch.eye(length, dtype=torch.promote_types(dtype, torch.float32), device=device)[None]
    upsampling = F.interpolate(line, size=size, mode='linear', align_corners=False)[0].T
    outside = upsampling.new_zeros(1, length)
    before, after = torch.cat([outside, upsampling[:-1]]), torch.cat([upsampling[1:], outside])
    return torch.stack([before, upsampling, after]).to(dtype)


def split_banded(matrix: torch.Tensor) -> list[Block]:
    """Split a banded matrix into blocks of ``BLOCK`` rows without the columns that are zero in all of them."""
    blocks = []
    for first in range(0, len(matrix), BLOCK):
        rows = matrix[first:first + BLOCK]
        used = rows.ne(0).any(0).nonzero()[:, 0].tolist() or [0]
        blocks.append((first, first + len(rows), used[0], used[-1] + 1, rows[:, used[0]:used[-1] + 1].contiguous()))
    return blocks


def conv3x3_of_upsampled(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None,
                         size: tuple[int, int]) -> torch.Tensor:
    """Return ``conv2d(interpolate(x, size, bilinear, align_corners=False), weight, bias, padding=1)``.

    Args:
        x: (M, C, h, w); fastest in channels-last memory.
        weight: (C', C, 3, 3). bias: (C',).
        size: (H, W) of the upsampled map.

    Returns:
        (M, C', H, W), in channels-last memory except in training on a CPU.
    """
    channels, height, width = x.shape[1:]
    if size[0] * size[1] < MIN_RATIO * height * width:
        return F.conv2d(F.interpolate(x, size=size, mode='bilinear', align_corners=False), weight, bias, padding=1)
    out_channels = weight.size(0)
    kernels = weight.permute(2, 1, 3, 0).reshape(3, channels, 3 * out_channels)  # one per row of taps
    taps_y = shifted_upsampling(height, size[0], x.device, x.dtype)  # (3, H, h)
    # One matrix product sums over positions and taps of a row.
    taps_x = shifted_upsampling(width, size[1], x.device, x.dtype).permute(1, 2, 0).flatten(1)  # (W, w * 3)
    compute = _row_by_row if is_cpu_inference(x, weight) else _all_rows
    total = compute(x, kernels, taps_y, taps_x)  # (M, H, W, C')
    maps = (total if bias is None else total + bias).permute(0, 3, 1, 2)  # (M, C', H, W)
    # On a CPU torch's BatchNorm is less accurate by two digits in training on channels-last maps.
    return maps.contiguous() if torch.is_grad_enabled() and maps.device.type == 'cpu' else maps


def _all_rows(x: torch.Tensor, kernels: torch.Tensor, taps_y: torch.Tensor, taps_x: torch.Tensor) -> torch.Tensor:
    """Return (M, H, W, C') of maps (M, C, h, w) and kernels (3, C, 3 C'), in few large operations."""
    rows, channels, height, width = x.shape
    out_channels = kernels.size(2) // 3
    pixels = x.permute(0, 2, 3, 1).reshape(-1, channels)  # (M h w, C)
    total: torch.Tensor | None = None
    for kernel, tap_y in zip(kernels, taps_y, strict=True):
        products = (pixels @ kernel).view(rows * height, width * 3, out_channels)
        across = (taps_x @ products).view(rows, height, len(taps_x) * out_channels)
        down = tap_y @ across  # (M, H, W C')
        total = down if total is None else total + down
    assert total is not None
    return total.view(rows, taps_y.size(1), len(taps_x), out_channels)


def _row_by_row(x: torch.Tensor, kernels: torch.Tensor, taps_y: torch.Tensor, taps_x: torch.Tensor) -> torch.Tensor:
    """Return the result of ``_all_rows`` without gradient, in maps that fit into a CPU's cache, skipping zeros."""
    rows, channels, height, width = x.shape
    size, out_channels = (taps_y.size(1), len(taps_x)), kernels.size(2) // 3
    blocks_y, blocks_x = [split_banded(tap) for tap in taps_y], split_banded(taps_x)
    total = x.new_empty(rows, *size, out_channels)
    products = x.new_empty(height * width, 3 * out_channels)
    across = x.new_empty(height, size[1], out_channels)
    for row in range(rows):
        pixels = x[row].permute(1, 2, 0).reshape(-1, channels)  # (h w, C)
        lines = total[row].view(size[0], size[1] * out_channels)
        for number, kernel in enumerate(kernels):
            torch.mm(pixels, kernel, out=products)
            for first, last, begin, end, block in blocks_x:
                across[:, first:last] = block @ products.view(height, width * 3, out_channels)[:, begin:end]
            for first, last, begin, end, block in blocks_y[number]:
                lines_needed = across.view(height, -1)[begin:end]
                if number == 0:
                    torch.mm(block, lines_needed, out=lines[first:last])
                else:
                    lines[first:last].addmm_(block, lines_needed)
    return total

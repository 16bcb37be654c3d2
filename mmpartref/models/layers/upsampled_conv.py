"""A 3x3 convolution of an upsampled map, computed before the upsampling.

Upsampling U mixes places, a 1x1 convolution mixes channels, so they commute. A 3x3 convolution is nine 1x1 convolutions
(one per tap d), each shifted by its tap::

    conv(U x) = sum_d shift_d(U (W_d x))

The products W_d x run at the low resolution: a quarter of the multiplications for x2. ``shift_d U`` is linear, the same
for all channels and separable, so it is two small banded matrices, one per axis; the zero padding of the convolution is
a row of zeros in them. Exact but for rounding.
"""
import torch
import torch.nn.functional as F

from mmpartref.models.layers.cached_constants import cached_constant

# Below this many output places per input place the plain convolution is the cheaper one.
WORTHWHILE = 1.5


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


def conv3x3_of_upsampled(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None,
                         size: tuple[int, int]) -> torch.Tensor:
    """Return ``conv2d(interpolate(x, size, bilinear, align_corners=False), weight, bias, padding=1)``.

    Args:
        x: (M, C, h, w); fastest in channels-last memory.
        weight: (C', C, 3, 3). bias: (C',).
        size: (H, W) of the upsampled map.

    Returns:
        (M, C', H, W), in channels-last memory.
    """
    rows, channels, height, width = x.shape
    if size[0] * size[1] < WORTHWHILE * height * width:
        return F.conv2d(F.interpolate(x, size=size, mode='bilinear', align_corners=False), weight, bias, padding=1)
    out_channels = weight.size(0)
    places = x.permute(0, 2, 3, 1).reshape(-1, channels)  # (M h w, C)
    taps_y = shifted_upsampling(height, size[0], x.device, x.dtype)  # (3, H, h)
    # Both of a place's indices, place and tap, are summed over at once: (W, w 3).
    taps_x = shifted_upsampling(width, size[1], x.device, x.dtype).permute(1, 2, 0).reshape(size[1], width * 3)
    kernels = weight.permute(2, 1, 3, 0).reshape(3, channels, 3 * out_channels)  # one per row of taps
    total: torch.Tensor | None = None
    for kernel, tap_y in zip(kernels, taps_y, strict=True):
        products = (places @ kernel).view(rows * height, width * 3, out_channels)
        across = (taps_x @ products).view(rows, height, size[1] * out_channels)
        down = tap_y @ across  # (M, H, W C')
        total = down if total is None else total + down
    assert total is not None
    total = total.view(rows, *size, out_channels)
    return (total if bias is None else total + bias).permute(0, 3, 1, 2)

"""Layers of the neck and the projector: convolution with BatchNorm and ReLU, CoordConv, resizing."""
import torch
import torch.nn.functional as F
from torch import nn

from mmpartref.models.layers.cpu.conv3x3 import Conv3x3


def conv_bn_relu(in_channels: int, out_channels: int, kernel_size: int) -> nn.Sequential:
    """Return a bias-free convolution with padding ``kernel_size // 2``, BatchNorm and ReLU."""
    convolution = Conv3x3(in_channels, out_channels) if kernel_size == 3 else nn.Conv2d(
        in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


class RowBatchNorm1d(nn.BatchNorm1d):
    """BatchNorm over rows (M, C) that can train on a single row.

    torch raises for M = 1, where the variance is zero. Here a single row (one image with one expression) is normalised
    with the running statistics, which it does not update.
    """

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        if self.training and rows.size(0) == 1:
            return F.batch_norm(rows, self.running_mean, self.running_var, self.weight, self.bias, False, 0., self.eps)
        return super().forward(rows)


class CoordConv(nn.Module):
    """3x3 convolution of a map with two more channels, the coordinates x and y in [-1, 1].

    Source: Liu et al., "An intriguing failing of convolutional neural networks and the CoordConv solution", 2018.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = conv_bn_relu(in_channels + 2, out_channels, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, _, height, width = x.shape
        xs = torch.linspace(-1, 1, width, device=x.device, dtype=x.dtype).expand(rows, 1, height, width)
        ys = torch.linspace(-1, 1, height, device=x.device, dtype=x.dtype)[:, None].expand(rows, 1, height, width)
        return self.conv(torch.cat([x, xs, ys], dim=1))


def resize_to(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Resize maps (N, C, H, W) to ``size``: bilinear interpolation to enlarge, average pooling to reduce."""
    current = (x.size(2), x.size(3))
    if current == size:
        return x
    if current[0] >= size[0] and current[1] >= size[1]:
        return F.adaptive_avg_pool2d(x, size)
    return F.interpolate(x, size=size, mode='bilinear', align_corners=False)

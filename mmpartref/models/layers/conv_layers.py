"""Convolution and linear layers with BatchNorm and ReLU, the neck's and projector's brick."""
import torch
import torch.nn.functional as F
from torch import nn

from mmpartref.models.layers.cpu.conv3x3 import Conv3x3


def conv_bn_relu(in_channels: int, out_channels: int, kernel_size: int) -> nn.Sequential:
    """A bias-free convolution that keeps the map's size, BatchNorm, ReLU."""
    convolution = Conv3x3(in_channels, out_channels) if kernel_size == 3 else nn.Conv2d(
        in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


class RowBatchNorm1d(nn.BatchNorm1d):
    """BatchNorm over rows (M, C) that also trains on a single row.

    One row has no variance, so torch refuses it. A batch of one photo with one expression is legitimate here: it is
    normalised with the running statistics, which are then left as they were.
    """

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        if self.training and rows.size(0) == 1:
            return F.batch_norm(rows, self.running_mean, self.running_var, self.weight, self.bias, False, 0., self.eps)
        return super().forward(rows)


class CoordConv(nn.Module):
    """3x3 convolution that also sees where it is: x and y in [-1, 1] are appended as two channels.

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
    """Bring a map to ``size``: bilinear where it grows, averaged where it shrinks, untouched where it fits."""
    current = (x.size(2), x.size(3))
    if current == size:
        return x
    if current[0] >= size[0] and current[1] >= size[1]:
        return F.adaptive_avg_pool2d(x, size)
    return F.interpolate(x, size=size, mode='bilinear', align_corners=False)

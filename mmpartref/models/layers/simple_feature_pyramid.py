"""Feature pyramid for plain vision transformers, whose maps all have one stride."""
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from mmpartref.models.layers.cpu.conv3x3 import Conv3x3

STRIDES = (8, 16, 32)


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of maps (N, C, H, W), at each position separately."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class SimpleFeaturePyramid(nn.Module):
    """Turn three maps of the patches' stride into maps of strides 8, 16 and 32, approximately.

    ::

        map of stride P --transposed 2x2 convolutions | nothing | max pool--> 1x1, norm, 3x3, norm --> (N, C, ..)

    Source: Li et al., "Exploring plain vision transformer backbones for object detection" (ViTDet), ECCV 2022,
    section 3. ViTDet makes all scales from the last map; here each scale has its own input, which may be the same map.

    Args:
        in_channels: channels of the three input maps.
        out_channels: C, channels of each output map.
        patch_size: P, in pixels. Output strides are P times a power of two: 7, 14 and 28 for P = 14.
    """

    def __init__(self, in_channels: Sequence[int], out_channels: int, patch_size: int) -> None:
        super().__init__()
        nearest = round(math.log2(patch_size))
        self.branches = nn.ModuleList(
            self._branch(channels, out_channels, nearest - round(math.log2(stride)))
            for channels, stride in zip(in_channels, STRIDES, strict=True))

    @staticmethod
    def _branch(channels: int, out_channels: int, doublings: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for step in range(doublings):
            half = max(1, channels // 2)
            layers.append(nn.ConvTranspose2d(channels, half, 2, stride=2))
            if step < doublings - 1:
                layers += [ChannelNorm(half), nn.GELU()]
            channels = half
        if doublings < 0:
            # ceil_mode: a map of one position stays one position.
            layers.append(nn.MaxPool2d(2**-doublings, ceil_mode=True))
        layers += [nn.Conv2d(channels, out_channels, 1, bias=False), ChannelNorm(out_channels),
                   Conv3x3(out_channels, out_channels), ChannelNorm(out_channels)]
        return nn.Sequential(*layers)

    def forward(self, maps: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Turn three maps (N, C_i, H/P, W/P) into C3, C4, C5 (N, C, ..)."""
        c3, c4, c5 = (branch(each) for branch, each in zip(self.branches, maps, strict=True))
        return c3, c4, c5


def whole_patches(images: torch.Tensor, patch_size: int) -> torch.Tensor:
    """Resize images (N, 3, H, W) bilinearly to the next multiples of ``patch_size``.

    Cropping or padding instead would shift the maps relative to the masks, by up to a patch at the far edges.
    """
    height, width = images.shape[2:]
    size = (-(-height // patch_size) * patch_size, -(-width // patch_size) * patch_size)
    if size == (height, width):
        return images
    return F.interpolate(images, size=size, mode='bilinear', align_corners=False)

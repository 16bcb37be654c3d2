"""CRIS's cross-modal feature pyramid."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import nn

from mmpartref.models.layers.conv_layers import CoordConv, RowBatchNorm1d, conv_bn_relu, resize_to
from mmpartref.registry import MODELS


@MODELS.register_module()
class CRISNeck(BaseModule):
    """Fuse the sentence with C5 and merge three scales at C4's size.

    ::

        per image                              per expression (M rows)
        C5 --1x1--> v5 --- gather ---> v5 * sentence --BN, ReLU--> f5 ------------- 3x3 --up--+
        C4 --3x3--> v4 --- gather ---> [v4, up(f5)] --1x1--> f4 -------------------- 3x3 -----+--cat--1x1--CoordConv
        C3 --3x3--> v3 --pool, gather-> [v3, f4] --1x1--> f3 ----------------------- 3x3 -----+      --3x3--> (M, C)

    The left column does not depend on the text, so it is computed once per image. Source: CRIS (CVPR 2022),
    section 3.2; the layer sizes are those of its published code. Unlike there, the maps may have any three sizes.

    Args:
        in_channels: channels of (C3, C4, C5).
        sentence_channels: width E of the sentence; independent of C5's channels.
        out_channels: channels of the three fusion levels; the output has the middle one.
        split_maps: apply 1x1 convolutions to each map before concatenation (see ``_fuse``), which takes a tenth fewer
            operations per expression. False convolves the concatenated maps, as published; the results differ by
            rounding.
        init_cfg: mmengine's initialisation config.
    """

    def __init__(self,
                 *,
                 in_channels: tuple[int, int, int] = (512, 1024, 1024),
                 sentence_channels: int = 1024,
                 out_channels: tuple[int, int, int] = (256, 512, 1024),
                 split_maps: bool = True,
                 init_cfg: dict | list | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.in_channels = tuple(in_channels)
        self.sentence_channels = sentence_channels
        self.split_maps = split_maps
        low, mid, high = out_channels
        self.out_channels = mid
        self.c3_conv = conv_bn_relu(in_channels[0], low, 3)
        self.c4_conv = conv_bn_relu(in_channels[1], mid, 3)
        self.c5_conv = conv_bn_relu(in_channels[2], high, 1)
        self.sentence_proj = nn.Linear(sentence_channels, high, bias=False)
        self.sentence_norm = nn.Sequential(RowBatchNorm1d(high), nn.ReLU(inplace=True))
        self.fuse5 = nn.Sequential(nn.BatchNorm2d(high), nn.ReLU(inplace=True))
        self.fuse4 = conv_bn_relu(mid + high, mid, 1)
        self.fuse3 = conv_bn_relu(low + mid, mid, 1)
        self.out5_conv = conv_bn_relu(high, mid, 3)
        self.out4_conv = conv_bn_relu(mid, mid, 3)
        self.out3_conv = conv_bn_relu(mid, mid, 3)
        self.aggregate = conv_bn_relu(3 * mid, mid, 1)
        self.coord_conv = CoordConv(mid, mid)
        self.out_conv = conv_bn_relu(mid, mid, 3)

    def forward(self, features: tuple[torch.Tensor, torch.Tensor, torch.Tensor], sentence: torch.Tensor,
                image_index: torch.Tensor, text_index: torch.Tensor) -> torch.Tensor:
        """Fuse images and sentences.

        Args:
            features: (C3, C4, C5) of N images.
            sentence: (U, E), one row per distinct string.
            image_index: (M,), the image of each expression.
            text_index: (M,), the row of ``sentence`` of each expression.

        Returns:
            (M, C, H/16, W/16), of C4's size.
        """
        c3, c4, c5 = features
        size = (c4.size(2), c4.size(3))

        # Once per image.
        v3 = resize_to(self.c3_conv(c3), size)  # (N, low, H/16, W/16)
        v4 = self.c4_conv(c4)  # (N, mid, H/16, W/16)
        v5 = self.c5_conv(c5)[image_index]  # (M, high, H/32, W/32)

        # BatchNorm statistics are over the M rows, as if each expression came with its own image.
        state = self.sentence_norm(self.sentence_proj(sentence)[text_index])  # (M, high)
        f5 = self.fuse5(v5 * state[:, :, None, None])  # (M, high, H/32, W/32)
        f4 = self._fuse(self.fuse4, [(v4, image_index), (f5, None)], size)  # (M, mid, H/16, W/16)
        f3 = self._fuse(self.fuse3, [(v3, image_index), (f4, None)], size)  # (M, mid, H/16, W/16)

        levels = [(self.out3_conv(f3), None), (self.out4_conv(f4), None), (self.out5_conv(f5), None)]
        return self.out_conv(self.coord_conv(self._fuse(self.aggregate, levels, size)))  # (M, mid, H/16, W/16)

    def _fuse(self, layers: nn.Sequential, maps: Sequence[tuple[torch.Tensor, torch.Tensor | None]],
              size: tuple[int, int]) -> torch.Tensor:
        """Concatenate maps, apply a 1x1 convolution, BatchNorm and ReLU.

        ``W [a, b] = W_a a + W_b b``, so each map is convolved with its part of the weight before it is enlarged, and
        maps of images before they are repeated per expression.

        Args:
            layers: convolution, BatchNorm, ReLU.
            maps: each with an index (M,) that repeats its rows, or None where it has M rows.
            size: (rows, columns) of the output.
        """
        convolution = layers[0]
        assert isinstance(convolution, nn.Conv2d)
        if not self.split_maps:
            concatenated = [resize_to(x, size) if index is None else resize_to(x, size)[index] for x, index in maps]
            return layers(torch.cat(concatenated, dim=1))
        weights = convolution.weight.split([x.size(1) for x, _ in maps], dim=1)
        total: torch.Tensor | None = None
        for (x, index), weight in zip(maps, weights, strict=True):
            # Average pooling comes first, since it reduces the number of positions.
            shrinks = x.size(2) >= size[0] and x.size(3) >= size[1]
            part = F.conv2d(resize_to(x, size), weight) if shrinks else resize_to(F.conv2d(x, weight), size)
            part = part if index is None else part[index]
            total = part if total is None else total + part
        assert total is not None
        # There is a bias after tools such as mmcv's fuse_conv_bn.
        return layers[1:](total if convolution.bias is None else total + convolution.bias.view(-1, 1, 1))

"""CRIS's projector: a convolution whose kernel is predicted from the sentence."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from mmpartref.models.layers.conv_layers import conv_bn_relu, resize_to
from mmpartref.models.layers.cpu.upsampled_conv import conv3x3_of_upsampled


class DynamicProjector(nn.Module):
    """Upsample pixels and convolve them with a kernel predicted from the sentence.

    The sentence is projected to a 3x3 kernel and a bias per expression; the convolution is CRIS's text-to-pixel dot
    product (CVPR 2022, equations 1 and 2, in the form of its published code).

    Lateral maps of the image encoder, as in U-Net (arXiv 1505.04597), bring back the detail that the input map has
    lost: the first convolution is that of the enlarged pixels concatenated with the first lateral map, the second that
    with the second. An image's lateral maps are convolved once for all its expressions.

    Args:
        channels: channels C of the input map; the map that is compared with the sentence has C / 2.
        sentence_channels: width E of the sentence.
        low_resolution: convolve before upsampling and merge ``conv3`` into the kernel (see ``upsampled_conv`` and
            ``compare``), which takes a third of the operations. False computes layer by layer, as published; the
            results differ by rounding.
        lateral_channels: channels of none, one or two lateral maps; published are none.
    """
    kernel_size = 3

    def __init__(self, channels: int, sentence_channels: int, low_resolution: bool = True,
                 lateral_channels: Sequence[int] = ()) -> None:
        super().__init__()
        self.low_resolution = low_resolution
        self.pixel_channels = channels // 2
        first, second = [*lateral_channels, 0, 0][:2]
        self.conv1 = conv_bn_relu(channels + first, channels, 3)
        self.conv2 = conv_bn_relu(channels + second, self.pixel_channels, 3)
        self.conv3 = nn.Conv2d(self.pixel_channels, self.pixel_channels, 1)
        self.kernel = nn.Linear(sentence_channels, self.pixel_channels * self.kernel_size**2 + 1)

    def forward(self, x: torch.Tensor, sentence: torch.Tensor, size: tuple[int, int],
                laterals: Sequence[torch.Tensor] = (), image_index: torch.Tensor | None = None) -> torch.Tensor:
        """Compare pixels with sentences.

        Args:
            x: pixels (M, C, H/16, W/16).
            sentence: (M, E).
            size: (H/s, W/s).
            laterals: as many lateral maps (N, C', H', W') as ``lateral_channels`` has, best of H/2s and H/s; others are
                resized.
            image_index: (M,), the row of the lateral maps of each expression.

        Returns:
            Logits ``(M, 1, *size)``.
        """
        sizes = (size[0] // 2, size[1] // 2), size
        first, second = [*laterals, None, None][:2]
        if not self.low_resolution:
            x = self._layer_by_layer(self.conv1, x, sizes[0], first, image_index)
            x = self._layer_by_layer(self.conv2, x, sizes[1], second, image_index)
            return self._compare_layer_by_layer(self.conv3(x), self.kernel(sentence))
        x = self._upsample_and_convolve(self.conv1, x, sizes[0], first, image_index)  # (M, C, H/2s, W/2s)
        x = self._upsample_and_convolve(self.conv2, x, sizes[1], second, image_index)  # (M, C/2, H/s, W/s)
        return self.compare(x, self.kernel(sentence))

    @staticmethod
    def _layer_by_layer(layers: nn.Sequential, x: torch.Tensor, size: tuple[int, int], lateral: torch.Tensor | None,
                        image_index: torch.Tensor | None) -> torch.Tensor:
        x = F.interpolate(x, size=size, mode='bilinear', align_corners=False)
        return layers(x if lateral is None else torch.cat([x, resize_to(lateral, size)[image_index]], dim=1))

    def _compare_layer_by_layer(self, x: torch.Tensor, parameters: torch.Tensor) -> torch.Tensor:
        kernel = parameters[:, :-1].unflatten(1, (self.pixel_channels, -1))
        return self.dynamic_conv(x, kernel, kernel.new_zeros(x.size(0), self.kernel_size**2), parameters[:, -1])

    @staticmethod
    def _upsample_and_convolve(layers: nn.Sequential, x: torch.Tensor, size: tuple[int, int],
                               lateral: torch.Tensor | None, image_index: torch.Tensor | None) -> torch.Tensor:
        convolution = layers[0]
        assert isinstance(convolution, nn.Conv2d)
        weight, of_lateral = convolution.weight.split([x.size(1), convolution.in_channels - x.size(1)], dim=1)
        total = conv3x3_of_upsampled(x, weight, convolution.bias, size)
        if lateral is not None:
            total = total + F.conv2d(resize_to(lateral, size), of_lateral, padding=1)[image_index]
        return layers[1:](total)

    def compare(self, x: torch.Tensor, parameters: torch.Tensor) -> torch.Tensor:
        """Apply ``conv3`` and then the kernel of each row.

        Both are linear, so ``conv3`` is merged into the kernel: with W and b its weight and bias,
        ``kernel * (W x + b) = (kernel W) * x + kernel * b``. The last term is constant inside the map; at the border
        it lacks the taps outside of the map, as in ``dynamic_conv``.

        Args:
            x: (M, C/2, H/s, W/s), before ``conv3``.
            parameters: (M, C/2 * 9 + 1), kernel and bias.

        Returns:
            (M, 1, H/s, W/s).
        """
        assert self.conv3.bias is not None
        kernel = parameters[:, :-1].unflatten(1, (self.pixel_channels, -1))  # (M, C/2, 9)
        merged = self.conv3.weight[:, :, 0, 0].T @ kernel  # (M, C/2, 9)
        constant = self.conv3.bias @ kernel  # (M, 9)
        return self.dynamic_conv(x, merged, constant, parameters[:, -1])

    def dynamic_conv(self, x: torch.Tensor, kernel: torch.Tensor, constant: torch.Tensor,
                     bias: torch.Tensor) -> torch.Tensor:
        """Convolve each row with its own kernel.

        A matrix product computes the contribution of each of the nine taps, and ``fold`` adds them up: the same sum as
        a grouped convolution with M groups of one output channel.

        Args:
            x: (M, C/2, H/s, W/s).
            kernel: (M, C/2, 9).
            constant: (M, 9), added to the contribution of each tap.
            bias: (M,).

        Returns:
            (M, 1, H/s, W/s).
        """
        rows, channels, height, width = x.shape
        pixels = x.permute(0, 2, 3, 1).reshape(rows, height * width, channels)
        # ``fold`` scatters tap d of pixel p to p + d - 1, the convolution gathers from p + d - 1: taps are flipped.
        contributions = torch.baddbmm(constant.flip(1)[:, None], pixels, kernel.flip(2))  # (M, H/s * W/s, 9)
        summed = F.fold(contributions.transpose(1, 2), (height, width), self.kernel_size, padding=self.kernel_size // 2)
        return summed + bias.view(rows, 1, 1, 1)

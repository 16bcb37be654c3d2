"""Projector whose last convolution is written by the sentence."""
import torch
import torch.nn.functional as F
from torch import nn

from mmpartref.models.layers.conv_layers import conv_bn_relu


class DynamicProjector(nn.Module):
    """Upsample pixels four times and compare each 3x3 neighbourhood with the sentence.

    The sentence is projected to a 3x3 kernel and a bias per expression; convolving the pixels with it is CRIS's
    text-to-pixel dot product (CVPR 2022, equations 1 and 2, in the form of its published code).

    Args:
        channels: width C of the incoming map; the last maps have C / 2.
        sentence_channels: width E of the sentence.
    """
    kernel_size = 3

    def __init__(self, channels: int, sentence_channels: int) -> None:
        super().__init__()
        self.pixel_channels = channels // 2
        self.conv1 = conv_bn_relu(channels, channels, 3)
        self.conv2 = conv_bn_relu(channels, self.pixel_channels, 3)
        self.conv3 = nn.Conv2d(self.pixel_channels, self.pixel_channels, 1)
        self.kernel = nn.Linear(sentence_channels, self.pixel_channels * self.kernel_size**2 + 1)

    def forward(self, x: torch.Tensor, sentence: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Map pixels (M, C, H/16, W/16) and sentences (M, E) to logits (M, 1, *size); ``size`` is (H/4, W/4)."""
        x = F.interpolate(x, size=(size[0] // 2, size[1] // 2), mode='bilinear', align_corners=False)
        x = self.conv1(x)  # (M, C, H/8, W/8)
        x = F.interpolate(x, size=size, mode='bilinear', align_corners=False)
        x = self.conv3(self.conv2(x))  # (M, C/2, H/4, W/4)
        return self.dynamic_conv(x, self.kernel(sentence))

    def dynamic_conv(self, x: torch.Tensor, parameters: torch.Tensor) -> torch.Tensor:
        """Convolve each row with its own kernel.

        A matrix product gives what each of the nine taps contributes, and ``fold`` adds them up where they belong:
        the same sum as a grouped convolution without its M groups of one output channel each.

        Args:
            x: (M, C/2, H/4, W/4).
            parameters: (M, C/2 * 9 + 1), kernel then bias.

        Returns:
            (M, 1, H/4, W/4).
        """
        rows, channels, height, width = x.shape
        taps = self.kernel_size**2
        kernel = parameters[:, :-1].reshape(rows, channels, taps)
        bias = parameters[:, -1].reshape(rows, 1, 1, 1)
        # ``fold`` scatters tap d of pixel p to p + d - 1; the convolution gathers from p + d - 1: hence the flip.
        contributions = torch.bmm(kernel.flip(2).transpose(1, 2), x.flatten(2))  # (M, 9, H/4 * W/4)
        summed = F.fold(contributions, (height, width), self.kernel_size, padding=self.kernel_size // 2)
        return summed + bias

"""Mask decoding: from logits at a fraction of the network's input to masks of the image's size, and training targets.

Two decodes exist. ``'cris'`` repeats the published code including its interpolation modes. ``'aligned'`` keeps pixel
centres aligned, which matters for parts a few pixels wide.
"""
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from mmpartref.errors import InputError

# Pixels of the network's input per pixel of the logits, in both directions, as published; a head may have another.
LOGIT_STRIDE = 4


@dataclass(frozen=True)
class MaskDecode:
    """How training targets are computed from masks, and masks from predicted probabilities.

    Attributes:
        name: value of ``decode`` in a config.
        threshold: a pixel belongs to the mask when its probability is greater.
        shrink_target: ``(target (M, 1, H, W), size) -> (M, 1, *size)``.
        resample: ``(probabilities, input size, letterbox matrix, image size, stride) -> (K, h, w)``, see ``to_image``.
        stride: s, pixels of the network's input per pixel of the logits.
    """
    name: str
    threshold: float
    shrink_target: Callable[[torch.Tensor, tuple[int, int]], torch.Tensor]
    resample: Callable[[torch.Tensor, tuple[int, int], np.ndarray, tuple[int, int], int], torch.Tensor]
    stride: int = LOGIT_STRIDE

    def logits_size(self, size: Sequence[int]) -> tuple[int, int]:
        """Return the size of the logits of an input (H, W): (H/s, W/s), rounded up."""
        return -(-size[0] // self.stride), -(-size[1] // self.stride)

    def to_image(self, probs: torch.Tensor, input_size: tuple[int, int], letterbox: np.ndarray,
                 image_size: tuple[int, int]) -> torch.Tensor:
        """Resample probabilities to the image.

        Args:
            probs: (K, H/s, W/s).
            input_size: (H, W).
            letterbox: (2, 3), from image to input pixels.
            image_size: (h, w).

        Returns:
            (K, h, w), computed in float32 also where autocast is on around the prediction (mmengine's
            ``test_cfg.fp16``).
        """
        device = probs.device.type
        available = torch.amp.is_autocast_available(device)
        with torch.autocast(device, enabled=False) if available else nullcontext():
            return self.resample(probs, input_size, letterbox, image_size, self.stride)


def shrink_nearest(target: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Resize targets to ``size`` by the upper left pixel of each block, as published."""
    return F.interpolate(target, size=size, mode='nearest')


def shrink_area(target: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Resize targets to ``size`` by the mean of each block."""
    return F.interpolate(target, size=size, mode='area')


def to_image_cris(probs: torch.Tensor, input_size: tuple[int, int], letterbox: np.ndarray,
                  image_size: tuple[int, int], stride: int) -> torch.Tensor:
    """Upsample bicubically with aligned corners, then invert the letterbox by a cubic warp, as CRIS's ``engine.py``."""
    full = (probs.size(1) * stride, probs.size(2) * stride)
    probs = F.interpolate(probs[:, None].float(), size=full, mode='bicubic', align_corners=True)[:, 0]
    maps = probs[:, :input_size[0], :input_size[1]].cpu().numpy()  # (K, H, W)
    height, width = image_size
    inverse = cv2.invertAffineTransform(np.asarray(letterbox, dtype=np.float64))
    warped = [
        cv2.warpAffine(np.ascontiguousarray(each), inverse, (width, height), flags=cv2.INTER_CUBIC, borderValue=0.)
        for each in maps
    ]
    return torch.from_numpy(np.stack(warped)).to(probs.device)  # (K, h, w)


def cubic_kernel(distance: torch.Tensor) -> torch.Tensor:
    """Compute Keys' cubic convolution kernel with a = -0.75, the value of torch and OpenCV.

    Its slight sharpening suits area-averaged targets: decoded ellipses 16 pixels wide reach an IoU of .93, compared
    with .91 for a = -0.5 and .87 for linear interpolation.
    """
    a = -0.75
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return torch.where(distance <= 1, near, torch.where(distance < 2, far, torch.zeros_like(distance)))


def sampling_matrix(centres: torch.Tensor, length: int, step: float) -> torch.Tensor:
    """Return (len(centres), length): weights of cubic interpolation along one axis, border pixels replicated.

    For reduction (``step`` > 1) the kernel is widened to ``step`` pixels, as in antialiased resizing.

    Args:
        centres: positions of the output pixels, in input pixel indices.
        length: number of input pixels.
        step: distance between neighbouring centres, in input pixels.
    """
    stretch = max(1.0, step)
    reach = math.ceil(2 * stretch)
    taps = centres.floor().long()[:, None] + torch.arange(-reach, reach + 1)
    weights = cubic_kernel((centres[:, None] - taps).abs() / stretch)
    matrix = torch.zeros(len(centres), length, dtype=centres.dtype)
    matrix.scatter_add_(1, taps.clamp(0, length - 1), weights)
    return matrix / matrix.sum(dim=1, keepdim=True)


def to_image_aligned(probs: torch.Tensor, input_size: tuple[int, int], letterbox: np.ndarray,
                     image_size: tuple[int, int], stride: int) -> torch.Tensor:
    """Resample the logit grid at the image's pixel centres, mapped through the letterbox.

    A letterbox scales and shifts without rotation, so rows and columns are resampled by one matrix each.
    """
    del input_size  # implied by the matrix; the letterbox's margins are never sampled
    weights = []
    for axis, (size, length) in enumerate(zip(image_size, probs.shape[1:], strict=True)):
        row = 1 - axis  # the matrix's first row maps x, its second y
        scale, shift = float(letterbox[row][row]), float(letterbox[row][2])
        in_network = torch.arange(size, dtype=torch.float64) * scale + shift
        in_logits = (in_network + 0.5) / stride - 0.5
        weights.append(sampling_matrix(in_logits, length, scale / stride).to(probs.device, torch.float32))
    return weights[0] @ probs.float() @ weights[1].T  # (K, h, w)


DECODES = {
    # 0.35 is the threshold of CRIS's published code.
    'cris': MaskDecode('cris', 0.35, shrink_nearest, to_image_cris),
    'aligned': MaskDecode('aligned', 0.5, shrink_area, to_image_aligned),
}


def get_decode(name: str, threshold: float | None = None, stride: int = LOGIT_STRIDE) -> MaskDecode:
    """Return a decode by name, for logits of a stride, with another threshold if one is given.

    Raises:
        ValueError: the name is unknown, or the threshold is not a probability.
    """
    if name not in DECODES:
        raise InputError(f'decode={name!r} is unknown; choose one of {sorted(DECODES)}')
    if threshold is None:
        return replace(DECODES[name], stride=stride)
    if not 0 <= threshold < 1:
        raise InputError(f'threshold={threshold} should be a probability, at least 0 and less than 1')
    return replace(DECODES[name], threshold=threshold, stride=stride)

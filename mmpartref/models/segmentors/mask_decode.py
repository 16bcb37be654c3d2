"""From logits at a quarter of the network's input to masks on the photo, and back for the training target.

Two decodes exist. ``'cris'`` repeats the published code to the interpolation mode. ``'aligned'`` keeps pixel centres
where they belong, which matters for parts a few pixels wide.
"""
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from mmpartref.errors import InputError

# Logits are a quarter of the network input, in both directions.
LOGIT_STRIDE = 4


@dataclass(frozen=True)
class MaskDecode:
    """How targets are made and predictions read.

    Attributes:
        name: the config's word for it.
        threshold: a pixel belongs to the mask when its probability is greater.
        shrink_target: ``(target (M, 1, H, W), size) -> (M, 1, *size)``.
        to_photo: ``(probabilities (K, H/4, W/4), input size (H, W), letterbox matrix (2, 3), photo size (h, w)) ->
            (K, h, w)``.
    """
    name: str
    threshold: float
    shrink_target: Callable[[torch.Tensor, tuple[int, int]], torch.Tensor]
    to_photo: Callable[[torch.Tensor, tuple[int, int], np.ndarray, tuple[int, int]], torch.Tensor]


def shrink_nearest(target: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The published target: every fourth pixel, taken from the upper left corner of its block."""
    return F.interpolate(target, size=size, mode='nearest')


def shrink_area(target: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The share of each block that the mask covers."""
    return F.interpolate(target, size=size, mode='area')


def to_photo_cris(probs: torch.Tensor, input_size: tuple[int, int], letterbox: np.ndarray,
                  photo_size: tuple[int, int]) -> torch.Tensor:
    """Upsample with corners aligned, then undo the letterbox with a cubic warp, as CRIS's ``engine.py`` does."""
    full = (probs.size(1) * LOGIT_STRIDE, probs.size(2) * LOGIT_STRIDE)
    probs = F.interpolate(probs[:, None].float(), size=full, mode='bicubic', align_corners=True)[:, 0]
    maps = probs[:, :input_size[0], :input_size[1]].cpu().numpy()  # (K, H, W)
    height, width = photo_size
    inverse = cv2.invertAffineTransform(np.asarray(letterbox, dtype=np.float64))
    warped = [
        cv2.warpAffine(np.ascontiguousarray(each), inverse, (width, height), flags=cv2.INTER_CUBIC, borderValue=0.)
        for each in maps
    ]
    return torch.from_numpy(np.stack(warped)).to(probs.device)


def cubic_kernel(distance: torch.Tensor) -> torch.Tensor:
    """Keys' cubic convolution kernel with a = -0.75, the one torch and OpenCV interpolate with.

    It sharpens a little, which suits a target that was averaged: ellipses 16 pixels wide come back with an IoU of .93
    instead of .91 with a = -0.5 and .87 with linear interpolation.
    """
    a = -0.75
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return torch.where(distance <= 1, near, torch.where(distance < 2, far, torch.zeros_like(distance)))


def sampling_matrix(centres: torch.Tensor, length: int, step: float) -> torch.Tensor:
    """Return (len(centres), length): the weights with which each output pixel reads a line of ``length`` pixels.

    Cubic interpolation, the line's ends repeated. Where the output is coarser than the line the kernel is ``step``
    pixels wide instead of one, so that a mask smaller on the photo than in the network is averaged, not skipped over.

    Args:
        centres: positions on the line, in its pixel indices.
        length: pixels on the line.
        step: distance between neighbouring centres, in its pixels.
    """
    stretch = max(1.0, step)
    reach = math.ceil(2 * stretch)
    taps = centres.floor().long()[:, None] + torch.arange(-reach, reach + 1)
    weights = cubic_kernel((centres[:, None] - taps).abs() / stretch)
    matrix = torch.zeros(len(centres), length, dtype=centres.dtype)
    matrix.scatter_add_(1, taps.clamp(0, length - 1), weights)
    return matrix / matrix.sum(dim=1, keepdim=True)


def to_photo_aligned(probs: torch.Tensor, input_size: tuple[int, int], letterbox: np.ndarray,
                     photo_size: tuple[int, int]) -> torch.Tensor:
    """Read each photo pixel straight from the logit grid, pixel centres mapped through the letterbox.

    A letterbox scales and shifts but does not turn, so rows and columns are resampled by one small matrix each.
    """
    del input_size  # the matrix knows where the photo lies; what is outside it is never read
    weights = []
    for axis, (size, length) in enumerate(zip(photo_size, probs.shape[1:], strict=True)):
        row = 1 - axis  # the matrix's first row maps x, its second y
        scale, shift = float(letterbox[row][row]), float(letterbox[row][2])
        in_network = torch.arange(size, dtype=torch.float64) * scale + shift
        in_logits = (in_network + 0.5) / LOGIT_STRIDE - 0.5
        weights.append(sampling_matrix(in_logits, length, scale / LOGIT_STRIDE).to(probs.device, torch.float32))
    return weights[0] @ probs.float() @ weights[1].T  # (K, h, w)


DECODES = {
    'cris': MaskDecode('cris', 0.35, shrink_nearest, to_photo_cris),
    'aligned': MaskDecode('aligned', 0.5, shrink_area, to_photo_aligned),
}


def get_decode(name: str, threshold: float | None = None) -> MaskDecode:
    """Look a decode up, optionally with another threshold than its own.

    Raises:
        ValueError: there is none of that name, or the threshold is no probability.
    """
    if name not in DECODES:
        raise InputError(f'decode={name!r} is unknown; choose one of {sorted(DECODES)}')
    if threshold is None:
        return DECODES[name]
    if not 0 <= threshold < 1:
        raise InputError(f'threshold={threshold} should be a probability, at least 0 and less than 1')
    return replace(DECODES[name], threshold=threshold)

"""Letterbox: an image scaled to the network's input size with its aspect ratio."""
from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mmpartref.argument_checks import check_numbers, check_sequence, check_switch
from mmpartref.datasets.transforms.load_image import loaded_image
from mmpartref.errors import InputError
from mmpartref.registry import TRANSFORMS

# CLIP's mean colour, RGB from 0 to 255: zero after normalisation.
FILL = (0.48145466 * 255, 0.4578275 * 255, 0.40821073 * 255)


def letterbox_matrix(image_size: tuple[int, int], input_size: tuple[int, int], half_pixel: bool) -> np.ndarray:
    """Return the (2, 3) float64 matrix from image pixel indices (x, y, 1) to network-input pixel indices.

    Args:
        image_size: (h, w).
        input_size: (H, W).
        half_pixel: True maps pixel centres, ``x' = (x + 0.5) * s + bias - 0.5``. False is the published map
            ``x' = x * s + bias`` (CRIS, ``utils/dataset.py``), which shifts the content by (1 - s) / 2 pixels.
    """
    height, width = image_size
    scale = min(input_size[0] / height, input_size[1] / width)
    new_height, new_width = height * scale, width * scale
    bias_x, bias_y = (input_size[1] - new_width) / 2, (input_size[0] - new_height) / 2
    if half_pixel:
        shift = 0.5 * scale - 0.5
        return np.array([[scale, 0.0, bias_x + shift], [0.0, scale, bias_y + shift]])
    corners = np.array([[0, 0], [width, 0], [0, height]], np.float32)
    # As published: the corners are rounded to float32 before the matrix is computed.
    placed = np.array([[bias_x, bias_y], [bias_x + new_width, bias_y], [bias_x, bias_y + new_height]], np.float32)
    return cv2.getAffineTransform(corners, placed)


def check_fill(fill: Sequence[float], transform: str) -> tuple[float, ...]:
    """Return the colour of a transform's margins, RGB from 0 to 255.

    Raises:
        InputTypeError, InputError: it is not three numbers in this range.
    """
    colour = tuple(float(level) for level in check_numbers(fill, f'{transform} fill', 0, 255))
    if len(colour) != 3:
        raise InputError(f'{transform} fill={colour} should be red, green and blue')
    return colour


@TRANSFORMS.register_module()
class Letterbox(BaseTransform):
    """Scale the image to fit into ``size``, centred, with margins of one colour, by a single affine warp.

    Reads ``img`` (uint8 (h, w, 3)) and ``gt_masks`` (uint8 (K, h, w), optional); writes both at (H, W), ``img_shape``
    (H, W) and ``letterbox_matrix`` (see the function of that name). Interpolation as published by CRIS: cubic for the
    image, linear for the masks; margins of the masks are 0.

    Args:
        size: network input, (H, W) or one number for both, in pixels.
        half_pixel: see ``letterbox_matrix``. False is the published geometry.
        fill: colour of the margins, RGB from 0 to 255; CLIP's mean by default. Where a config gives none,
            ``fill_letterbox`` sets the mean of its ``model.data_preprocessor``.
        keep_original: also leave the image as it was in ``original``, with ``half_pixel`` and ``fill``, for a model's
            second pass (``zoom``).

    Raises:
        InputTypeError: an argument is of another type.
        InputError: ``size`` is not one or two positive integers, or ``fill`` not three numbers from 0 to 255.
    """

    def __init__(self, size: int | Sequence[int], half_pixel: bool = False, fill: Sequence[float] = FILL,
                 keep_original: bool = False) -> None:
        single = isinstance(size, (int, np.integer))
        sides = check_sequence([size, size] if single else size, 'Letterbox size', 'integers')
        if len(sides) != 2 or not all(isinstance(side, (int, np.integer)) and side > 0 for side in sides):
            raise InputError(f'Letterbox size={size!r} should be a positive integer or two of them, (height, width)')
        self.size: tuple[int, int] = (int(sides[0]), int(sides[1]))
        self.half_pixel = check_switch(half_pixel, 'Letterbox half_pixel')
        self.keep_original = check_switch(keep_original, 'Letterbox keep_original')
        self.fill = check_fill(fill, 'Letterbox')

    def transform(self, results: dict) -> dict:
        """Warp ``img`` and ``gt_masks``."""
        img = loaded_image(results, self)
        matrix = letterbox_matrix(img.shape[:2], self.size, self.half_pixel)
        size = (self.size[1], self.size[0])  # OpenCV wants (width, height)
        results.setdefault('ori_shape', img.shape[:2])
        if self.keep_original:
            results.update(original=img, half_pixel=self.half_pixel, fill=self.fill)
        results['img'] = cv2.warpAffine(img, matrix, size, flags=cv2.INTER_CUBIC, borderValue=self.fill)
        if 'gt_masks' in results:
            warped = [cv2.warpAffine(mask, matrix, size, flags=cv2.INTER_LINEAR, borderValue=0)
                      for mask in results['gt_masks']]
            results['gt_masks'] = np.stack(warped)  # (K, H, W)
        results['img_shape'] = self.size
        results['letterbox_matrix'] = matrix
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(size={self.size}, half_pixel={self.half_pixel}, fill={self.fill})'

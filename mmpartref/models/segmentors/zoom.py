"""Second pass over small parts: windows around the first pass's predictions, at a greater scale."""
import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from mmpartref.argument_checks import check_number
from mmpartref.datasets.transforms.letterbox import letterbox_matrix
from mmpartref.datasets.transforms.random_part_zoom import Window
from mmpartref.errors import InputError
from mmpartref.models.segmentors.mask_decode import MaskDecode
from mmpartref.structures import ReferringDataSample

# Share of an expression's greatest probability from which a pixel is in its box, where none reaches the threshold.
SHARE_OF_PEAK = 0.5
# Windows are united where that costs no more than this share of their scale.
LEAST_SHARE = 0.75


@dataclass(frozen=True)
class Zoom:
    """Where the second pass looks, and how much it counts.

    Attributes:
        context: side of a window in multiples of the predicted part's, at least 1.
        min_gain: scale of a window in multiples of the first pass's, below which there is no second pass.
        max_gain: greatest such scale.
        weight: of the second pass's probabilities in its windows, 0 to 1; the first pass has the rest.

    Raises:
        InputTypeError, InputError: a value is not a number in its range.
    """
    context: float = 3.0
    min_gain: float = 1.3
    max_gain: float = 4.0
    weight: float = 0.7

    def __post_init__(self) -> None:
        check_number(self.context, 'zoom.context', 1, 100)
        check_number(self.min_gain, 'zoom.min_gain', 1, 100)
        check_number(self.max_gain, 'zoom.max_gain', self.min_gain, 100)
        check_number(self.weight, 'zoom.weight', 0, 1)


@dataclass
class ZoomedWindow:
    """A window of an image, and the second pass's probabilities in it.

    Attributes:
        window: in pixels of the image.
        rows: indices of the image's expressions.
        matrix: (2, 3), from pixels of the window to those of the network's input.
        pixels: (H, W, 3) uint8, the network's input; empty once it has been predicted.
        probabilities: (k, H/s, W/s) of these expressions, from then on.
    """
    window: Window
    rows: list[int]
    matrix: np.ndarray
    pixels: np.ndarray
    probabilities: torch.Tensor | None = None


def plan_windows(sample: ReferringDataSample, probability: torch.Tensor, decode: MaskDecode,
                 zoom: Zoom) -> list[ZoomedWindow]:
    """Return the windows of an image for the second pass.

    Args:
        sample: of the image, with ``original``, its own pixels.
        probability: (K, H/s, W/s) of the first pass.
        decode: of its masks.
        zoom: how far.

    Raises:
        InputError: the sample lacks the pixels.
    """
    if 'original' not in sample:
        raise InputError("zoom needs the images' own pixels: set keep_original=True of Letterbox in the test pipeline")
    size = sample.img_shape[0], sample.img_shape[1]
    boxes = predicted_boxes(probability, decode.threshold, decode.stride, sample.letterbox_matrix)
    found = []
    for window, rows in choose_windows(boxes, sample.original.shape[:2], size, zoom):
        content = sample.original[window.top:window.top + window.height, window.left:window.left + window.width]
        matrix = letterbox_matrix(content.shape[:2], size, sample.half_pixel)
        pixels = cv2.warpAffine(content, matrix, size[::-1], flags=cv2.INTER_CUBIC, borderValue=sample.fill)
        found.append(ZoomedWindow(window, rows, matrix, pixels))
    return found


def predicted_boxes(probability: torch.Tensor, threshold: float, stride: int, matrix: np.ndarray) -> np.ndarray:
    """Return (K, 4): left, top, right and bottom of each expression's prediction in pixels of the image.

    Args:
        probability: (K, H/s, W/s) of the first pass.
        threshold: of its masks.
        stride: s.
        matrix: (2, 3), from image to network input.
    """
    peaks = probability.amax(dim=(1, 2), keepdim=True)
    inside = (probability > (SHARE_OF_PEAK * peaks).clamp(max=threshold)).cpu().numpy()
    boxes = np.empty((len(inside), 4))
    for axis in (0, 1):  # x, y
        scale, shift = float(matrix[axis][axis]), float(matrix[axis][2])
        cells = np.asarray(inside.any(axis=1 + axis))  # (K, W/s) or (K, H/s)
        first, last = cells.argmax(axis=1), cells.shape[1] - cells[:, ::-1].argmax(axis=1)
        boxes[:, axis] = (first * stride - 0.5 - shift) / scale
        boxes[:, axis + 2] = (last * stride - 0.5 - shift) / scale
    return boxes


def choose_windows(boxes: np.ndarray, image_size: tuple[int, int], input_size: tuple[int, int],
                   zoom: Zoom) -> list[tuple[Window, list[int]]]:
    """Return windows and the expressions for which each is looked at again; boxes that need no zoom are in none.

    Largest first, a window is united with an earlier one where both then still have ``LEAST_SHARE`` of their scale.

    Args:
        boxes: (K, 4), see ``predicted_boxes``.
        image_size: (h, w).
        input_size: (H, W).
        zoom: how far.
    """
    base = min(input_size[0] / image_size[0], input_size[1] / image_size[1])
    around = [_around(box, image_size, input_size, base, zoom) for box in boxes]
    chosen: list[tuple[Window, list[int]]] = []
    for row in sorted(range(len(boxes)), key=lambda each: -around[each].height * around[each].width):
        if _scale(around[row], input_size) < zoom.min_gain * base:
            continue
        for number, (other, rows) in enumerate(chosen):
            both = _united(around[row], other)
            needed = [_scale(around[each], input_size) for each in (row, *rows)]
            if _scale(both, input_size) >= max(LEAST_SHARE * max(needed), zoom.min_gain * base):
                chosen[number] = (both, [*rows, row])
                break
        else:
            chosen.append((around[row], [row]))
    return [(each, sorted(rows)) for each, rows in chosen]


def _around(box: Sequence[float], image_size: tuple[int, int], input_size: tuple[int, int], base: float,
            zoom: Zoom) -> Window:
    """Return the window around a box (left, top, right, bottom), inside the image."""
    width, height = (zoom.context * (box[axis + 2] - box[axis]) for axis in (0, 1))
    scale = min(input_size[0] / max(height, 1), input_size[1] / max(width, 1), zoom.max_gain * base)
    place, extent = [], []
    for axis, (side, length) in enumerate(zip(image_size, input_size, strict=True)):
        size = min(side, math.ceil(length / scale))
        centre = (box[1 - axis] + box[3 - axis]) / 2 + 0.5
        place.append(min(max(0, round(centre - size / 2)), side - size))
        extent.append(size)
    return Window(place[0], place[1], extent[0], extent[1])


def _scale(window: Window, input_size: tuple[int, int]) -> float:
    """Return the pixels of the network's input per pixel of a window."""
    return min(input_size[0] / window.height, input_size[1] / window.width)


def _united(one: Window, other: Window) -> Window:
    """Return the smallest window that holds two."""
    top, left = min(one.top, other.top), min(one.left, other.left)
    bottom, right = (max(a + c, b + d) for a, c, b, d in ((one.top, one.height, other.top, other.height),
                                                          (one.left, one.width, other.left, other.width)))
    return Window(top, left, bottom - top, right - left)

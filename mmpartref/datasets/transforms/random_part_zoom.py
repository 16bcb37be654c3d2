"""Random zoom of an image: a crop around a whole part, or a larger canvas."""
import math
from collections.abc import Sequence

import cv2
import numpy as np

from mmpartref.argument_checks import check_integer, check_number, check_numbers
from mmpartref.datasets.transforms.letterbox import FILL
from mmpartref.datasets.transforms.load_image import loaded_image
from mmpartref.datasets.transforms.sampled_parts import RandomPartTransform, keep_parts
from mmpartref.errors import InputError
from mmpartref.registry import TRANSFORMS

# Greatest zoom in either direction.
MAX_SCALE = 16


@TRANSFORMS.register_module()
class RandomPartZoom(RandomPartTransform):
    """Crop an image around one whole part, or put it on a larger canvas (large-scale jitter).

    Of the image at scale s > 1 a window of h/s x w/s pixels is cropped, enlarged to hold a sampled part whole. A part
    stays, clipped to the window, if at least ``min_visible`` of its pixels are in it, and is dropped otherwise; absent
    parts stay. At s < 1 the canvas has h/s x w/s pixels. The position is uniform, s log-uniform. Goes after
    ``LoadReferringMasks`` and before ``Letterbox``, which scales the result to the network's input. Draws as
    ``RandomPartTransform``.

    After it ``ori_shape`` and the masks of ``refs`` are still those of the whole image: for training only.

    Args:
        scale: smallest and greatest s, 1/16 to 16.
        prob: probability of a zoom.
        min_visible: share of a part's pixels in the window, 0 to 1, from which it stays.
        fill: colour of the canvas, RGB from 0 to 255; where a config gives none, ``fill_letterbox`` sets the mean of
            its ``model.data_preprocessor``.
        seed: the same on all ranks.

    Raises:
        InputTypeError, InputError: an argument is not a number in its range; in ``transform``: the entry has labels of
            the whole image (``part_presence``).
    """

    def __init__(self, scale: Sequence[float] = (0.5, 3.0), prob: float = 0.5, min_visible: float = 0.5,
                 fill: Sequence[float] = FILL, seed: int = 0) -> None:
        super().__init__(check_number(prob, 'RandomPartZoom prob', 0, 1), check_integer(seed, 'RandomPartZoom seed', 0))
        scales = check_numbers(scale, 'RandomPartZoom scale', 1 / MAX_SCALE, MAX_SCALE)
        if len(scales) != 2 or scales[0] > scales[1]:
            raise InputError(f'RandomPartZoom scale={scale!r} should be (smallest, greatest)')
        self.scale = (float(scales[0]), float(scales[1]))
        self.min_visible = check_number(min_visible, 'RandomPartZoom min_visible', 0, 1)
        self.fill = tuple(float(level) for level in check_numbers(fill, 'RandomPartZoom fill', 0, 255))

    def transform(self, results: dict) -> dict:
        """Change ``img`` and ``gt_masks``; drop ``refs`` and ``expressions`` outside of the window."""
        if 'part_presence' in results:
            raise InputError('RandomPartZoom cannot be used with image labels (entries.labels), which would no longer '
                             'be those of the window; remove one of them')
        rng = self.generator(results)
        if rng.random() >= self.prob:
            return results
        image, masks = loaded_image(results, self), self.loaded_masks(results)
        scale = math.exp(rng.uniform(math.log(self.scale[0]), math.log(self.scale[1])))
        if scale < 1:
            results['img'], results['gt_masks'] = self._enlarge(image, masks, scale, rng)
            return results
        top, left, height, width = window(image.shape[:2], masks, scale, rng)
        whole = np.count_nonzero(masks, axis=(1, 2))
        results['img'] = np.ascontiguousarray(image[top:top + height, left:left + width])
        results['gt_masks'] = np.ascontiguousarray(masks[:, top:top + height, left:left + width])
        visible = np.count_nonzero(results['gt_masks'], axis=(1, 2))
        stays = (visible >= self.min_visible * whole) & ((visible > 0) | (whole == 0))
        keep_parts(results, np.flatnonzero(stays).tolist())
        return results

    def _enlarge(self, image: np.ndarray, masks: np.ndarray, scale: float,
                 rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return image (h/s, w/s, 3) and masks (K, h/s, w/s) on a larger canvas."""
        height, width = image.shape[:2]
        more = round(height / scale) - height, round(width / scale) - width
        top, left = (int(rng.integers(each + 1)) for each in more)
        borders = top, more[0] - top, left, more[1] - left
        canvas = cv2.copyMakeBorder(image, *borders, cv2.BORDER_CONSTANT, value=self.fill)
        return canvas, np.pad(masks, ((0, 0), borders[:2], borders[2:]))

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(scale={self.scale}, prob={self.prob}, min_visible={self.min_visible}, '
                f'seed={self.seed})')


def window(size: tuple[int, int], masks: np.ndarray, scale: float,
           rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Return (top, left, height, width) of a window that holds one of the masks (K, h, w) whole, if one is not empty.

    Args:
        size: (h, w) of the image.
        masks: of its parts.
        scale: of the window's content, above 1.
        rng: for the part and the position.
    """
    parts = np.flatnonzero(masks.any(axis=(1, 2)))
    part = masks[parts[rng.integers(len(parts))]] if len(parts) else None
    place, extent = [], []
    for axis, side in enumerate(size):
        inside = np.flatnonzero(part.any(axis=1 - axis)) if part is not None else np.array([0])
        first, last = (int(inside[0]), int(inside[-1]) + 1) if part is not None else (side, 0)
        length = min(side, max(round(side / scale), last - first, 1))
        place.append(int(rng.integers(max(0, last - length), min(first, side - length) + 1)))
        extent.append(length)
    return place[0], place[1], extent[0], extent[1]

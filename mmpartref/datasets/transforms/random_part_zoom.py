"""Random zoom of an image: a crop around a whole part, or a larger canvas."""
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mmpartref.argument_checks import check_number, check_numbers
from mmpartref.datasets.transforms.letterbox import FILL, check_fill
from mmpartref.datasets.transforms.load_image import loaded_image
from mmpartref.datasets.transforms.sampled_parts import RandomPartTransform, keep_parts
from mmpartref.errors import InputError
from mmpartref.registry import TRANSFORMS

# Greatest zoom in either direction.
MAX_SCALE = 16


class Window(NamedTuple):
    """A rectangle in pixels of an image; it may begin before the image and end behind it."""
    top: int
    left: int
    height: int
    width: int


@TRANSFORMS.register_module()
class RandomPartZoom(RandomPartTransform):
    """Crop an image around one whole part, or put it on a larger canvas (large-scale jitter).

    Of the image at scale s > 1 a window of h/s x w/s pixels is cropped, enlarged to hold a sampled part whole. A part
    stays, clipped to the window, if at least ``min_visible`` of its pixels are in it, and is dropped otherwise; absent
    parts stay. At s < 1 the canvas has h/s x w/s pixels. The position is uniform, s log-uniform. Goes after
    ``LoadReferringMasks`` and before ``Letterbox``, which scales the result to the network's input. Random draws:
    see ``RandomPartTransform``.

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
        super().__init__(prob, seed)
        scales = check_numbers(scale, 'RandomPartZoom scale', 1 / MAX_SCALE, MAX_SCALE)
        if len(scales) != 2 or scales[0] > scales[1]:
            raise InputError(f'RandomPartZoom scale={scale!r} should be (smallest, greatest)')
        self.scale = (float(scales[0]), float(scales[1]))
        self.min_visible = check_number(min_visible, 'RandomPartZoom min_visible', 0, 1)
        self.fill = check_fill(fill, 'RandomPartZoom')

    def transform(self, results: dict) -> dict:
        """Change ``img`` and ``gt_masks``; drop ``refs`` and ``expressions`` outside of the window."""
        if 'part_presence' in results:
            raise InputError('RandomPartZoom cannot be used with image labels (entries.labels), which would no longer '
                             'be those of the window; remove one of them')
        rng = self.generator(results)
        if rng.random() >= self.prob:
            return results
        image, masks = loaded_image(results, self), self.loaded_masks(results)
        chosen = self._choose_window(masks, rng)
        results['img'] = take_window(image, chosen, self.fill)
        results['gt_masks'], kept = self._visible_masks(masks, chosen)
        keep_parts(results, kept, masks=False)
        return results

    def _choose_window(self, masks: np.ndarray, rng: np.random.Generator) -> Window:
        """Return a window for the masks (K, h, w) of an image."""
        return window(masks, math.exp(rng.uniform(math.log(self.scale[0]), math.log(self.scale[1]))), rng)

    def _visible_masks(self, masks: np.ndarray, chosen: Window) -> tuple[np.ndarray, list[int]]:
        """Return the masks that stay, in the window, and their indices."""
        whole = np.count_nonzero(masks, axis=(1, 2))
        inside = np.zeros((len(masks), chosen.height, chosen.width), masks.dtype)
        for number, mask in enumerate(masks):
            inside[number] = take_window(mask, chosen, 0)
        visible = np.count_nonzero(inside, axis=(1, 2))
        kept = np.flatnonzero((visible >= self.min_visible * whole) & ((visible > 0) | (whole == 0)))
        return inside[kept], kept.tolist()

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(scale={self.scale}, prob={self.prob}, min_visible={self.min_visible}, '
                f'fill={self.fill}, seed={self.seed})')


def window(masks: np.ndarray, scale: float, rng: np.random.Generator) -> Window:
    """Return a window that holds a mask that is not empty, if there is one, and for a scale below 1 the image.

    Args:
        masks: (K, h, w), of an image's parts.
        scale: of the window's content; below 1 the window is larger than the image.
        rng: for the part and the position.
    """
    parts = np.flatnonzero(masks.any(axis=(1, 2)))
    part = masks[parts[rng.integers(len(parts))]] if len(parts) else None
    place, extent = [], []
    for axis, side in enumerate(masks.shape[1:]):
        length = max(round(side / scale), 1)
        if scale < 1:
            first, last = 0, side
        elif part is None:
            first, last = side, 0
        else:
            inside = np.flatnonzero(part.any(axis=1 - axis))
            first, last = int(inside[0]), int(inside[-1]) + 1
            length = min(side, max(length, last - first))
        start, stop = (side - length, 0) if scale < 1 else (max(0, last - length), min(first, side - length))
        place.append(int(rng.integers(start, stop + 1)))
        extent.append(length)
    return Window(place[0], place[1], extent[0], extent[1])


def take_window(image: np.ndarray, chosen: Window, fill: Sequence[float] | int) -> np.ndarray:
    """Return a window of an image (h, w, ...); ``fill`` is the value of what is outside of it."""
    top, left, height, width = chosen
    inside = image[max(top, 0):top + height, max(left, 0):left + width]
    taken = np.empty((height, width, *image.shape[2:]), image.dtype)
    taken[:] = np.rint(fill)
    taken[max(-top, 0):max(-top, 0) + inside.shape[0], max(-left, 0):max(-left, 0) + inside.shape[1]] = inside
    return taken

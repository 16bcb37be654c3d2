"""Predictions for an image, which can be drawn."""
import copy
import io
from collections.abc import Sequence
from typing import Any, SupportsIndex, overload

import cv2
import numpy as np
from PIL import Image

from mmpartref.argument_checks import check_integer
from mmpartref.errors import InputError
from mmpartref.images.read_image import DecodedImage
from mmpartref.tables import percent
from mmpartref.text import shown
from mmpartref.visualization.overlay import draw_heat_map, draw_overlay

# Longest side of the pictures in a notebook, in pixels.
NOTEBOOK_SIDE = 1024


class Drawable:
    """Base of results that a notebook shows as a picture.

    Attributes:
        image: the image that they are for.
    """
    image: DecodedImage

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of image, masks and maps."""
        return self.image.size

    def overlay(self, max_side: int | None = None) -> Image.Image:
        """Draw the predictions over the image.

        Args:
            max_side: longest side of the output in pixels; larger images are shrunk before drawing, which is faster.
                None for the image's size.

        Raises:
            InputTypeError, InputError: ``max_side`` is not a positive integer.
        """
        raise NotImplementedError

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.overlay(NOTEBOOK_SIDE).save(file, 'PNG')
        return file.getvalue()


class PartResult(dict[str, Any], Drawable):
    """The prediction for one expression: a dict of ``'expression'``, ``'mask'``, ``'score'`` and maybe ``'heat_map'``.

    Attributes:
        image: the image that the mask is for.
        presence: predicted probability that the part is in the image; None for models that predict none.
    """

    def __init__(self, image: DecodedImage, expression: str, mask: np.ndarray, score: float, *,
                 heat_map: np.ndarray | None = None, presence: float | None = None) -> None:
        super().__init__(expression=expression, mask=mask, score=score)
        if heat_map is not None:
            self['heat_map'] = heat_map
        self.image = image
        self.presence = presence

    @property
    def expression(self) -> str:
        """The query."""
        return self['expression']

    @property
    def mask(self) -> np.ndarray:
        """(h, w) bool, at the size of ``image``."""
        return self['mask']

    @property
    def score(self) -> float:
        """Mean probability inside the mask, or a detector's score, 0 to 1; 0 for an empty mask."""
        return self['score']

    @property
    def heat_map(self) -> np.ndarray:
        """(h, w) float32: each pixel's probability, or the greatest score of a detector's instances that cover it.

        Raises:
            ValueError: the inferencer was called without ``heat_map=True``.
        """
        if 'heat_map' not in self:
            raise InputError(f'{shown(self.expression)} has no heat map; call the inferencer with heat_map=True')
        return self['heat_map']

    def copy(self) -> 'PartResult':
        """Return a copy with the same image, mask and heat map."""
        return copy.copy(self)

    def overlay(self, max_side: int | None = None) -> Image.Image:
        return ImageResults(self.image, [self]).overlay(max_side)

    def heat_overlay(self, max_side: int | None = None) -> Image.Image:
        """Draw the heat map over the image in grey; see ``draw_heat_map``. Arguments and errors: see ``overlay``."""
        image, (heat, ) = shrink_to(self.image.pixels, [self.heat_map], max_side)
        return Image.fromarray(draw_heat_map(image, heat))

    def __repr__(self) -> str:
        height, width = self.size
        return (f'PartResult({shown(self.expression)}, score {percent(self.score)}, {self.mask.mean():.1%} of '
                f'{width} x {height} pixels)')


class ImageResults(list[PartResult], Drawable):
    """The predictions for one image: a list of ``PartResult``, in the order of the expressions.

    Attributes:
        image: the image.
        vis: (h, w, 3) uint8 RGB, the overlay, of a call with ``return_vis=True``; otherwise, and of a slice, None. Its
            longest side is at most 4,096 pixels.
    """

    def __init__(self, image: DecodedImage, results: Sequence[PartResult] = ()) -> None:
        super().__init__(results)
        self.image = image
        self.vis: np.ndarray | None = None

    @overload
    def __getitem__(self, index: SupportsIndex) -> PartResult:
        ...

    @overload
    def __getitem__(self, index: slice) -> 'ImageResults':
        ...

    def __getitem__(self, index: SupportsIndex | slice) -> 'PartResult | ImageResults':
        """Return one result, or those of a slice, for the same image."""
        if isinstance(index, slice):
            return ImageResults(self.image, super().__getitem__(index))
        return super().__getitem__(index)

    def copy(self) -> 'ImageResults':
        """Return a list of the same results for the same image."""
        return copy.copy(self)

    def overlay(self, max_side: int | None = None) -> Image.Image:
        image, masks = shrink_to(self.image.pixels, [each.mask for each in self], max_side)
        stacked = np.stack(masks) if masks else np.zeros((0, *image.shape[:2]), dtype=bool)
        return Image.fromarray(draw_overlay(image, stacked, [each.expression for each in self],
                                            [each.score for each in self]))


def shrink_to(image: np.ndarray, maps: Sequence[np.ndarray],
              max_side: int | None) -> tuple[np.ndarray, list[np.ndarray]]:
    """Shrink an image (h, w, 3) and maps (h, w), float, bool or labels, until no side is longer than ``max_side``.

    Raises:
        InputTypeError, InputError: ``max_side`` is not None or a positive integer.
    """
    if max_side is not None:
        max_side = check_integer(max_side, 'max_side')
    longest = max(image.shape[:2])
    if max_side is None or longest <= max_side:
        return image, list(maps)
    size = (max(1, round(image.shape[1] * max_side / longest)), max(1, round(image.shape[0] * max_side / longest)))

    def shrink(each: np.ndarray) -> np.ndarray:
        if np.issubdtype(each.dtype, np.floating):
            return cv2.resize(each, size, interpolation=cv2.INTER_AREA)
        return cv2.resize(each.view(np.uint8), size, interpolation=cv2.INTER_NEAREST).view(each.dtype)

    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), [shrink(each) for each in maps]

"""What a model says of one's own photo, as values that draw themselves."""
import io
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from PIL import Image

from mmpartref.errors import InputError
from mmpartref.images.read_image import Photo
from mmpartref.visualization.heat_map import draw_heat_map
from mmpartref.visualization.overlay import draw_overlay

# Longest side of what a notebook shows, in pixels.
NOTEBOOK_SIDE = 1024


class PartResult(dict[str, Any]):
    """The answer to one expression: a dict of ``'expression'``, ``'mask'``, ``'score'`` and, if asked, ``'heat_map'``.

    Attributes:
        photo: the photo it is about; the mask lies on its pixels.
        presence: the model's word on whether the part is there at all, 0 to 1; None where it gives none.
    """

    def __init__(self, photo: Photo, expression: str, mask: np.ndarray, score: float, *,
                 heat_map: np.ndarray | None = None, presence: float | None = None) -> None:
        super().__init__(expression=expression, mask=mask, score=score)
        if heat_map is not None:
            self['heat_map'] = heat_map
        self.photo = photo
        self.presence = presence

    @property
    def expression(self) -> str:
        """What was asked."""
        return self['expression']

    @property
    def mask(self) -> np.ndarray:
        """(h, w) bool, on the pixels of ``photo``, upright."""
        return self['mask']

    @property
    def score(self) -> float:
        """0 to 1: mean probability inside the mask, or a detector's; 0 for an empty mask."""
        return self['score']

    @property
    def heat_map(self) -> np.ndarray:
        """(h, w) float32, 0 to 1: each pixel's probability, or the best score of a detector's instances there.

        Raises:
            ValueError: it was not asked for.
        """
        if 'heat_map' not in self:
            raise InputError(f'{self.expression!r} has no heat map; ask with heat_map=True')
        return self['heat_map']

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of photo, mask and heat map."""
        return self.photo.size

    def overlay(self, max_side: int | None = None) -> Image.Image:
        """Draw photo, mask, expression and score; see ``PhotoResults.overlay``."""
        return draw_results(self.photo, [self], max_side)

    def heat_overlay(self, max_side: int | None = None) -> Image.Image:
        """Draw the heat map over the photo in grey; see ``draw_heat_map``."""
        image, (heat, ) = reduced(self.photo.pixels, [self.heat_map], max_side)
        return Image.fromarray(draw_heat_map(image, heat))

    def __repr__(self) -> str:
        height, width = self.size
        return (f'PartResult({self.expression!r}, score {self.score:.3f}, {self.mask.mean():.1%} of {width} x {height} '
                'pixels)')

    def _repr_png_(self) -> bytes:
        return as_png(self.overlay(NOTEBOOK_SIDE))


class PhotoResults(list[PartResult]):
    """The answers about one photo, in the order asked: a list of ``PartResult``.

    Attributes:
        photo: the photo they are about.
    """

    def __init__(self, photo: Photo, results: Sequence[PartResult] = ()) -> None:
        super().__init__(results)
        self.photo = photo

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of photo, masks and heat maps."""
        return self.photo.size

    def overlay(self, max_side: int | None = None) -> Image.Image:
        """Draw the photo with every mask, its expression and its score.

        Args:
            max_side: longest side of the picture in pixels; larger photos are made smaller first, which is faster.
                None keeps the photo's size.
        """
        return draw_results(self.photo, self, max_side)

    def _repr_png_(self) -> bytes:
        return as_png(self.overlay(NOTEBOOK_SIDE))


def reduced(image: np.ndarray, maps: Sequence[np.ndarray],
            max_side: int | None) -> tuple[np.ndarray, list[np.ndarray]]:
    """Scale a photo (h, w, 3) and maps (h, w) down until no side is longer than ``max_side``; bool maps stay bool."""
    longest = max(image.shape[:2])
    if max_side is None or longest <= max_side:
        return image, list(maps)
    size = (max(1, round(image.shape[1] * max_side / longest)), max(1, round(image.shape[0] * max_side / longest)))

    def shrink(each: np.ndarray) -> np.ndarray:
        if each.dtype == np.bool_:
            return cv2.resize(each.view(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(bool)
        return cv2.resize(each, size, interpolation=cv2.INTER_AREA)

    return shrink(image), [shrink(each) for each in maps]


def draw_results(photo: Photo, results: Sequence[PartResult], max_side: int | None) -> Image.Image:
    """Draw masks, expressions and scores over a photo."""
    image, masks = reduced(photo.pixels, [each.mask for each in results], max_side)
    stacked = np.stack(masks) if masks else np.zeros((0, *image.shape[:2]), dtype=bool)
    drawn = draw_overlay(image, stacked, [each.expression for each in results], [each.score for each in results])
    return Image.fromarray(drawn)


def as_png(picture: Image.Image) -> bytes:
    """Encode a picture."""
    file = io.BytesIO()
    picture.save(file, 'PNG')
    return file.getvalue()

"""All parts of an object as one map of labels."""
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

from mmpartref.apis.model_building import spoken_part
from mmpartref.apis.results import NOTEBOOK_SIDE, as_png
from mmpartref.datasets.coco.records import plain
from mmpartref.datasets.partimagenet.partimagenet_names import PARTS
from mmpartref.errors import InputError
from mmpartref.images.read_image import Photo
from mmpartref.visualization.overlay import distinct_colour, draw_overlay

BACKGROUND = 'background'
# Labels are bytes, and 0 is the background.
MOST_PARTS = 255


class PartLabels:
    """Which part each pixel of a photo belongs to.

    Attributes:
        labels: (h, w) uint8 on the pixels of ``photo``: 0 where there is none of the parts, else 1 to P.
        names: P + 1 texts, by label; the first is ``'background'``.
        palette: (P + 1, 3) uint8 RGB, by label; the background is black.
        photo: the photo.
    """

    def __init__(self, photo: Photo, labels: np.ndarray, parts: Sequence[str]) -> None:
        self.photo = photo
        self.labels = labels
        self.names = (BACKGROUND, *parts)
        self.palette = np.array([(0, 0, 0), *map(distinct_colour, range(len(parts)))], dtype=np.uint8)

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of photo and labels."""
        return self.photo.size

    def mask(self, part: str) -> np.ndarray:
        """Return (h, w) bool of one of ``names``.

        Raises:
            ValueError: there is none of that name.
        """
        if part not in self.names:
            raise InputError(f"no part {part!r} was asked for; there are {', '.join(self.names)}")
        return self.labels == self.names.index(part)

    def as_image(self) -> Image.Image:
        """Return the labels as a picture of mode 'P': its pixels are the labels, its palette their colours."""
        image = Image.fromarray(self.labels)
        image.putpalette(self.palette.tobytes())
        return image

    def overlay(self, max_side: int | None = None) -> Image.Image:
        """Draw the parts over the photo; ``max_side`` as in ``PhotoResults.overlay``."""
        image, labels = self.photo.pixels, self.labels
        if max_side is not None and max(self.size) > max_side:
            picture = Image.fromarray(image)
            picture.thumbnail((max_side, max_side))
            image = np.array(picture)
            labels = np.array(Image.fromarray(labels).resize(picture.size, Image.Resampling.NEAREST))
        masks = labels == np.arange(1, len(self.names), dtype=labels.dtype)[:, None, None]
        return Image.fromarray(draw_overlay(image, masks, self.names[1:]))

    def shares(self) -> str:
        """Return in words which share of the photo each of ``names`` takes."""
        shares = np.bincount(self.labels.ravel(), minlength=len(self.names)) / self.labels.size
        return ', '.join(f'{name} {share:.1%}' for name, share in zip(self.names, shares, strict=True))

    def __repr__(self) -> str:
        return f'PartLabels({self.shares()})'

    def _repr_png_(self) -> bytes:
        return as_png(self.overlay(NOTEBOOK_SIDE))


def parts_of(super_category: str) -> list[str]:
    """Return an expression for every part that PartImageNet's objects of a super-category have: "quadruped head", ...

    Raises:
        ValueError: PartImageNet has no such super-category.
    """
    known = {plain(owner): parts for owner, parts in PARTS.items()}
    owner = plain(super_category)
    if owner not in known:
        raise InputError(f"{super_category!r} is none of PartImageNet's super-categories, {', '.join(known)}; give the "
                         'parts yourself, e.g. expressions=["dog head", "dog tail"]')
    return [f'{owner} {spoken_part(part)}' for part in known[owner]]


def strongest(masks: Iterable[np.ndarray], heat_maps: Iterable[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """Return (h, w) uint8: for each pixel 1 + the number of the part with the highest heat whose mask covers it, or 0.

    Of equals the first. One part is looked at after the other, so that no more than two heat maps are in memory.

    Args:
        masks: P times (h, w) bool, at most 255.
        heat_maps: P times (h, w) float32.
        size: (h, w).
    """
    labels = np.zeros(size, dtype=np.uint8)
    best = np.full(size, -1.0, dtype=np.float32)
    for number, (mask, heat) in enumerate(zip(masks, heat_maps, strict=True)):
        wins = mask & (heat > best)
        labels[wins] = number + 1
        best[wins] = heat[wins]
    return labels

"""Label maps of the parts of an object."""
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

from mmpartref.apis.formats.labelled_masks import LabelledMask
from mmpartref.apis.model_building import spoken_part
from mmpartref.apis.results import Drawable, shrink_to
from mmpartref.datasets.coco.records import plain
from mmpartref.datasets.partimagenet.partimagenet_names import PARTS
from mmpartref.errors import InputError
from mmpartref.images.read_image import DecodedImage
from mmpartref.text import shown
from mmpartref.visualization.overlay import distinct_colour, draw_overlay

BACKGROUND = 'background'
# Labels are uint8, and 0 is the background.
MAX_PARTS = 255


class PartLabels(Drawable):
    """Label map of P parts.

    Attributes:
        labels: (h, w) uint8, at the size of ``image``: 0 for the background, 1 to P for the parts.
        names: P + 1 names, by label; the first is ``'background'``.
        palette: (P + 1, 3) uint8 RGB, by label; the background is black.
        image: the image.
    """

    def __init__(self, image: DecodedImage, labels: np.ndarray, parts: Sequence[str]) -> None:
        self.image = image
        self.labels = labels
        self.names = (BACKGROUND, *parts)
        self.palette = np.array([(0, 0, 0), *map(distinct_colour, range(len(parts)))], dtype=np.uint8)

    def mask(self, part: str) -> np.ndarray:
        """Return (h, w) bool of one of ``names``.

        Raises:
            ValueError: ``part`` is not one of them.
        """
        if part not in self.names:
            raise InputError(f"the part {shown(part)} was not predicted; choose from {', '.join(self.names)}")
        return self.labels == self.names.index(part)

    def labelled_masks(self) -> list[LabelledMask]:
        """Return the masks of the parts that have a pixel."""
        masks = [(name, self.mask(name)) for name in self.names[1:]]
        return [LabelledMask(name, mask, None, group) for group, (name, mask) in enumerate(masks) if mask.any()]

    def as_image(self) -> Image.Image:
        """Return a palette image (mode 'P') whose pixels are the labels."""
        image = Image.fromarray(self.labels)
        image.putpalette(self.palette.tobytes())
        return image

    def overlay(self, max_side: int | None = None) -> Image.Image:
        image, (labels, ) = shrink_to(self.image.pixels, [self.labels], max_side)
        masks = labels == np.arange(1, len(self.names), dtype=labels.dtype)[:, None, None]
        return Image.fromarray(draw_overlay(image, masks, self.names[1:], first_number=1))

    def describe_shares(self) -> str:
        """Return the share of the image that each of ``names`` covers, as text."""
        shares = np.bincount(self.labels.ravel(), minlength=len(self.names)) / self.labels.size
        return ', '.join(f'{name} {share:.1%}' for name, share in zip(self.names, shares, strict=True))

    def __repr__(self) -> str:
        return f'PartLabels({self.describe_shares()})'


def parts_of(super_category: str) -> list[str]:
    """Return an expression for each part of a PartImageNet super-category: "quadruped head", ...

    Raises:
        ValueError: the super-category is unknown.
    """
    known = {plain(owner): parts for owner, parts in PARTS.items()}
    owner = plain(super_category)
    if owner not in known:
        raise InputError(f"{shown(super_category)} is not one of PartImageNet's super-categories, {', '.join(known)}; "
                         'give the parts, e.g. expressions=["dog head", "dog tail"]')
    return [f'{owner} {spoken_part(part)}' for part in known[owner]]


def merge_masks(masks: Iterable[np.ndarray], heat_maps: Iterable[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """Return a label map (h, w) uint8: 1 + the index of the mask over a pixel with the greatest heat, 0 without a mask.

    Ties go to the first. The parts are read one by one, so that at most two heat maps are in memory.

    Args:
        masks: P arrays (h, w) bool, at most 255.
        heat_maps: P arrays (h, w) float32.
        size: (h, w).
    """
    labels = np.zeros(size, dtype=np.uint8)
    best = np.full(size, -1.0, dtype=np.float32)
    for number, (mask, heat) in enumerate(zip(masks, heat_maps, strict=True)):
        wins = mask & (heat > best)
        labels[wins] = number + 1
        best[wins] = heat[wins]
    return labels

"""Counts of a split."""
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Bins of the histogram of mask areas: each is 2 ** (1 / 4) times as wide as the one before.
BINS_PER_OCTAVE = 4


@dataclass
class PartCounts:
    """Counts of one split.

    Attributes:
        images: those whose records can be used.
        annotations: entries of the json's list, usable or not, as papers count them.
        masks: annotations that cover at least one pixel, without crowds and repeated ones.
        classes: images per synset, by wnid; PartImageNet only.
        categories: annotations per category name as written, 0 included.
        areas: masks per bin of area: bin b counts areas of at least 2 ** (b / 4) pixels.
        parts_per_image: images per number of masks.
    """
    images: int = 0
    annotations: int = 0
    masks: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    categories: Counter[str] = field(default_factory=Counter)
    areas: Counter[int] = field(default_factory=Counter)
    parts_per_image: Counter[int] = field(default_factory=Counter)

    def add_image(self, areas: list[int]) -> None:
        """Count an image with masks of these areas, in pixels."""
        self.masks += len(areas)
        self.parts_per_image[len(areas)] += 1
        # Areas are whole numbers: the small addition keeps 2, 4, 8, ... from falling below their own bin.
        self.areas.update(math.floor(BINS_PER_OCTAVE * math.log2(area) + 1e-9) for area in areas)

    def as_dict(self) -> dict[str, Any]:
        """Return the counts for a json."""
        counters: dict[str, Mapping] = {
            'classes': self.classes, 'categories': self.categories,
            'parts_per_image': dict(sorted(self.parts_per_image.items()))
        }
        areas = {f'{2 ** (bin_ / BINS_PER_OCTAVE):.1f}': count for bin_, count in sorted(self.areas.items())}
        return {'images': self.images, 'annotations': self.annotations, 'masks': self.masks,
                **{key: dict(counter) for key, counter in counters.items()}, 'masks_by_least_area': areas}

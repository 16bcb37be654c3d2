"""What a split holds, counted."""
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
        photos: images whose records are sound.
        annotations: entries of the json's list, sound or not, which is what a paper counts.
        masks: annotations that cover at least one pixel, without crowds and repeated ones.
        classes: photos per synset, by wnid; PartImageNet only.
        categories: annotations per category name as written, 0 included.
        areas: masks per bin of area: bin b holds areas of at least 2 ** (b / 4) pixels.
        parts_per_photo: photos per number of masks.
    """
    photos: int = 0
    annotations: int = 0
    masks: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    categories: Counter[str] = field(default_factory=Counter)
    areas: Counter[int] = field(default_factory=Counter)
    parts_per_photo: Counter[int] = field(default_factory=Counter)

    def add_photo(self, areas: list[int]) -> None:
        """Count a photo and its masks, whose areas in pixels are given."""
        self.masks += len(areas)
        self.parts_per_photo[len(areas)] += 1
        # Areas are whole numbers: the small addition keeps 2, 4, 8, ... from falling below their own bin.
        self.areas.update(math.floor(BINS_PER_OCTAVE * math.log2(area) + 1e-9) for area in areas)

    def as_dict(self) -> dict[str, Any]:
        """Return the counts for a json."""
        counters: dict[str, Mapping] = {
            'classes': self.classes, 'categories': self.categories,
            'parts_per_photo': dict(sorted(self.parts_per_photo.items()))
        }
        areas = {f'{2 ** (bin_ / BINS_PER_OCTAVE):.1f}': count for bin_, count in sorted(self.areas.items())}
        return {'photos': self.photos, 'annotations': self.annotations, 'masks': self.masks,
                **{key: dict(counter) for key, counter in counters.items()}, 'masks_by_least_area': areas}

"""Which part categories a photo shows: targets of a multi-label classifier."""
from collections.abc import Mapping
from typing import Any

from mmpartref.datasets.coco.read_coco import CocoParts
from mmpartref.datasets.coco.records import PartName, Photo, plain
from mmpartref.datasets.partimagenet.partimagenet_names import PART_ALIASES, PARTS

# In an entry: ids of categories that are there, and of those of which it is not known.
IDS = 'photo_label_ids'


def label_of(super_category: str, part: str) -> str:
    """Return a category's label: "car tire"."""
    return f'{super_category} {part}'.strip()


def partimagenet_labels() -> list[str]:
    """Return the labels of PartImageNet's 40 categories, in its order."""
    return [label_of(plain(owner), PART_ALIASES.get(plain(part), plain(part)))
            for owner, parts in PARTS.items() for part in parts]


class PhotoLabels:
    """What the photos of one json can be asked about: each part category that an annotation is kept of.

    A category whose annotations are all left out, because a protocol hides them or nobody drew one, is no label here:
    that it never appears says nothing of the photos. Neither is a whole object.

    Args:
        parts: the json, without what is left out.
        names: what its categories mean, by id.
    """

    def __init__(self, parts: CocoParts, names: Mapping[int, PartName]) -> None:
        shown = {part.category_id for photo in parts.photos for part in photo.parts}
        self.labels = {key: label_of(*name) for key, name in names.items()
                       if key in shown and parts.categories[key].level != 'object'}

    @staticmethod
    def ids_of(photo: Photo) -> tuple[list[int], list[int]]:
        """Return the ids of categories that are in the photo, and of those with annotations that were all left out."""
        here = {part.category_id for part in photo.parts}
        return sorted(here), sorted(photo.left_out - here)

    def fill(self, entry: dict[str, Any]) -> None:
        """Replace an entry's ids by ``part_presence``: label to whether it is there, without those not known."""
        here, unknown = entry.pop(IDS)
        entry['part_presence'] = {label: key in here for key, label in self.labels.items() if key not in unknown}

"""What category names mean, and whether a json is PartImageNet's."""
import re
from collections.abc import Collection, Iterable

from mmpartref.datasets.coco.records import PartName, plain
from mmpartref.datasets.partimagenet.partimagenet_names import CATEGORY_NAMES, PART_ALIASES, load_synsets
from mmpartref.datasets.partimagenet.partimagenet_referring_dataset import partimagenet_names, wnid
from mmpartref.datasets.referring.expressions import split_category

PARTIMAGENET_NAMES = partimagenet_names()
# Label of a part in PartImageNet's maps: the place of its category among the 40, whatever ids a json gives them.
MAP_LABELS = {PARTIMAGENET_NAMES[plain(name)]: label for label, name in enumerate(CATEGORY_NAMES)}


def meaning_of(name: str, super_category: str | None, part: str | None = None) -> PartName:
    """Return what a category means, as ``PartImageNetReferringDataset`` reads it.

    That agrees with ``PartReferDataset`` on all names but PartImageNet's own.
    """
    known = PARTIMAGENET_NAMES.get(plain(name))
    if known is not None:
        return known
    parts = split_category(name, super_category, part)
    return PARTIMAGENET_NAMES.get(' '.join(parts), parts)


def without_alias(name: str) -> str:
    """Return "Car Tire" for "Car Tier": aliased words replaced, capitals kept."""
    for alias, spoken in PART_ALIASES.items():
        def replacement(match: re.Match, spoken: str = spoken) -> str:
            return spoken.capitalize() if match[0][0].isupper() else spoken
        name = re.sub(rf'\b{alias}\b', replacement, name, flags=re.IGNORECASE)
    return name


def is_partimagenet(meanings: Collection[PartName], file_names: Iterable[str]) -> bool:
    """Whether most categories are among the 40 and most photos are named after one of the 158 synsets."""
    known = sum(name in MAP_LABELS for name in meanings)
    named = [wnid(name.replace('\\', '/')) in load_synsets() for name in file_names]
    return 2 * known > len(meanings) and 2 * sum(named) > len(named)

"""Category names of PartImageNet, as the doctor compares and repairs them."""
import re
from collections.abc import Collection, Iterable

from mmpartref.datasets.coco.records import PartName, plain
from mmpartref.datasets.partimagenet.partimagenet_names import CATEGORY_NAMES, PART_ALIASES, load_synsets
from mmpartref.datasets.partimagenet.partimagenet_referring_dataset import PARTIMAGENET_NAMES, wnid

# Label of a part in PartImageNet's maps: the place of its category among the 40, whatever its id in a json.
MAP_LABELS = {PARTIMAGENET_NAMES[plain(name)]: label for label, name in enumerate(CATEGORY_NAMES)}


def without_alias(name: str) -> str:
    """Return "Car Tire" for "Car Tier": aliased words replaced, capitals unchanged."""
    for alias, spoken in PART_ALIASES.items():
        def replacement(match: re.Match, spoken: str = spoken) -> str:
            return spoken.capitalize() if match[0][0].isupper() else spoken
        name = re.sub(rf'\b{alias}\b', replacement, name, flags=re.IGNORECASE)
    return name


def is_partimagenet(names: Collection[PartName], file_names: Iterable[str]) -> bool:
    """Return whether most categories are among the 40 and most images are named after one of the 158 synsets."""
    known = sum(name in MAP_LABELS for name in names)
    named = [wnid(name.replace('\\', '/')) in load_synsets() for name in file_names]
    return 2 * known > len(names) and 2 * sum(named) > len(named)

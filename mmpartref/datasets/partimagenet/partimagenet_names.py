"""PartImageNet's names: 40 part categories, 11 super-categories, 158 ImageNet synsets.

Source: He et al., "PartImageNet: A Large, High-Quality Dataset of Parts", ECCV 2022, and its annotation files.
"""
import csv
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from mmpartref.datasets.coco.records import PartName, plain

# The part names of each super-category, in the order of the category ids 0-39. "Tier" is the dataset's spelling.
PARTS: dict[str, tuple[str, ...]] = {
    'Quadruped': ('Head', 'Body', 'Foot', 'Tail'),
    'Biped': ('Head', 'Body', 'Hand', 'Foot', 'Tail'),
    'Fish': ('Head', 'Body', 'Fin', 'Tail'),
    'Bird': ('Head', 'Body', 'Wing', 'Foot', 'Tail'),
    'Snake': ('Head', 'Body'),
    'Reptile': ('Head', 'Body', 'Foot', 'Tail'),
    'Car': ('Body', 'Tier', 'Side Mirror'),
    'Bicycle': ('Body', 'Head', 'Seat', 'Tier'),
    'Boat': ('Body', 'Sail'),
    'Aeroplane': ('Head', 'Body', 'Engine', 'Wing', 'Tail'),
    'Bottle': ('Mouth', 'Body'),
}
SUPER_CATEGORIES = tuple(PARTS)
CATEGORY_NAMES = tuple(f'{super_category} {part}' for super_category, parts in PARTS.items() for part in parts)

# Background labels of the label maps next to the json files.
PART_MAP_BACKGROUND = 40
OBJECT_MAP_BACKGROUND = 158

# Misspellings of the dataset, and the correct words.
PART_ALIASES = {'tier': 'tire'}
# Synonyms for matching free expressions, in addition to the 158 class names; not used to write expressions.
OBJECT_SYNONYMS: dict[str, tuple[str, ...]] = {
    'quadruped': ('animal', 'dog', 'puppy', 'cat', 'kitten', 'horse', 'cow', 'bull', 'sheep', 'goat', 'deer',
                  'antelope', 'camel', 'wolf', 'fox', 'bear', 'panda', 'squirrel', 'pig', 'buffalo', 'terrier',
                  'spaniel', 'hound'),
    'biped': ('ape', 'monkey'),
    'fish': ('shark', 'whale', 'orca'),
    'bird': ('eagle', 'stork', 'heron', 'egret', 'duck', 'hawk'),
    'snake': ('cobra', 'python', 'viper', 'mamba', 'boa'),
    'reptile': ('lizard', 'turtle', 'tortoise', 'crocodile', 'alligator', 'frog', 'salamander', 'newt', 'chameleon'),
    'car': ('vehicle', 'automobile', 'truck', 'bus', 'van', 'taxi', 'wagon', 'trolley'),
    'bicycle': ('bike', 'motorbike', 'motorcycle', 'scooter', 'cycle'),
    'boat': ('ship', 'sailboat', 'sailing boat', 'yacht', 'vessel'),
    'aeroplane': ('airplane', 'plane', 'aircraft', 'jet'),
    'bottle': ('flask', ),
}
PART_SYNONYMS: dict[str, tuple[str, ...]] = {
    'tire': ('tier', 'tyre', 'wheel'),
    'side mirror': ('mirror', 'wing mirror', 'rear view mirror'),
    'foot': ('paw', 'leg', 'hoof'),
    'hand': ('arm', ),
    'head': ('face', 'handlebar'),
    'body': ('torso', ),
    'seat': ('saddle', ),
    'fin': ('flipper', ),
    'mouth': ('opening', ),
}
# Parts that objects of a super-category have or may have although PartImageNet has no such category, so that they are
# never used as impossible parts. Some are less evident: saddles of camels, flippers of turtles, wings and tail fins of
# cars, fenders of boats, the neck and the foot of a bottle.
UNLISTED_PARTS: dict[str, tuple[str, ...]] = {
    'Quadruped': ('mouth', 'hand', 'seat'),
    'Biped': ('mouth', ),
    'Fish': ('mouth', ),
    'Bird': ('mouth', ),
    'Snake': ('tail', 'mouth'),
    'Reptile': ('mouth', 'hand', 'fin'),
    'Car': ('head', 'tail', 'seat', 'engine', 'wing', 'fin'),
    'Bicycle': ('tail', 'side mirror', 'engine', 'wing', 'foot'),
    'Boat': ('head', 'tail', 'seat', 'engine', 'fin', 'tire', 'foot', 'wing'),
    'Aeroplane': ('fin', 'tire', 'seat', 'mouth', 'foot'),
    'Bottle': ('head', 'foot'),
}


@dataclass(frozen=True)
class Synset:
    """One of the 158 ImageNet classes: ``wnid`` ("n02085782"), ``class_name``, ``super_category`` ("Quadruped")."""
    wnid: str
    class_name: str
    super_category: str


@lru_cache(maxsize=1)
def load_synsets() -> dict[str, Synset]:
    """Return the 158 synsets by wnid, in the order of the table."""
    table = resources.files(__package__).joinpath('partimagenet_synsets.csv')
    rows = csv.DictReader(table.read_text(encoding='utf-8').splitlines())
    return {row['synset']: Synset(row['synset'], row['class_name'], row['super_category']) for row in rows}


def canonical_name(super_category: str, part: str) -> PartName:
    """Return a category as the datasets name it: lower case, an alias replaced ("tier" is a tire)."""
    return PartName(plain(super_category), PART_ALIASES.get(plain(part), plain(part)))

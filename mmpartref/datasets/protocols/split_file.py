"""Reading a split file: which part categories, or which classes, count as seen and which as unseen.

A split file is a json::

    {"name": "...", "unit": "category" | "class", "about": "...", "folds": {"<fold>": {"seen": [...], "unseen": [...]}}}

An entry of unit 'category' is a pair ["car", "side mirror"] of super-category and part, one of unit 'class' the name of
one of PartImageNet's 158 classes. There are no ids. ``about`` and other keys are for people.
"""
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from mmpartref.datasets.coco.records import PartName, plain
from mmpartref.datasets.partimagenet.partimagenet_names import PART_ALIASES, load_synsets
from mmpartref.errors import InputError, MissingFileError

SPLIT_FILES = ('partimagenet_parts_25_15', 'leave_one_super_category_out', 'partimagenet_classes_25_15')
UNITS = ('category', 'class')
SIDES = ('seen', 'unseen')
AGAIN = 'see docs/protocols.md for the form of a split file'


@dataclass(frozen=True)
class PartSplit:
    """One fold of a split file.

    Attributes:
        name: of the protocol.
        fold: of the file; '' where it has only one.
        unit: what the two sets hold: 'category' (``PartName``, aliases applied) or 'class' (synsets, "n02085782").
        seen, unseen: disjoint, neither is empty.
    """
    name: str
    fold: str
    unit: str
    seen: frozenset[Any]
    unseen: frozenset[Any]

    def side_of(self, each: PartName | str) -> str | None:
        """Return 'seen' or 'unseen', or None for what the split does not know."""
        return 'seen' if each in self.seen else 'unseen' if each in self.unseen else None

    @property
    def title(self) -> str:
        """The protocol with its fold, as it is printed."""
        return f'{self.name}, fold {self.fold}' if self.fold else self.name


def spoken(super_category: str, part: str) -> PartName:
    """Return a category as the data sets name it: lower case, the alias of a part applied ("tier" is a tire)."""
    return PartName(plain(super_category), PART_ALIASES.get(plain(part), plain(part)))


def read_split(name: str, fold: str | None = None) -> PartSplit:
    """Read one fold of a split file.

    Args:
        name: one of ``SPLIT_FILES``, or the path of a file of one's own, which ends in '.json'.
        fold: of the file; may be left out where it has only one.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: there is no such protocol or fold, or the file is damaged.
    """
    if name in SPLIT_FILES:
        text = resources.files(__package__).joinpath(f'{name}.json').read_text(encoding='utf-8')
    elif name.endswith('.json'):
        if not Path(name).is_file():
            raise MissingFileError(f'there is no split file {name}')
        text = Path(name).read_text(encoding='utf-8')
    else:
        raise InputError(f"there is no protocol {name!r} with a split file; choose one of {', '.join(SPLIT_FILES)}, or "
                         'give the path of a .json')
    try:
        document = json.loads(text)
    except ValueError as error:
        raise InputError(f'{name} is not complete JSON ({error}); {AGAIN}') from None
    folds = document.get('folds') if isinstance(document, dict) else None
    if not isinstance(folds, dict) or not folds or document.get('unit') not in UNITS:
        raise InputError(f"{name} has no 'folds', or its 'unit' is none of {', '.join(UNITS)}; {AGAIN}")
    chosen = next(iter(folds)) if fold is None and len(folds) == 1 else fold
    if chosen is None or chosen not in folds:
        raise InputError(f"protocol {name} has no fold {fold!r}; choose one of {', '.join(folds)}")
    return parse_fold(str(document.get('name', name)), chosen if len(folds) > 1 else '', document['unit'],
                      folds[chosen])


def parse_fold(name: str, fold: str, unit: str, content: Any) -> PartSplit:
    """Check one fold of a file and return it.

    Raises:
        ValueError: a side is missing or empty, an entry is none or there twice, or a class is not PartImageNet's.
    """
    where = f'split file {name}' + (f', fold {fold}' if fold else '')
    sides: dict[str, list] = {}
    for side in SIDES:
        entries = content.get(side) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not entries:
            raise InputError(f"{where} has no entries under '{side}'; {AGAIN}")
        sides[side] = [parse_entry(entry, unit, where) for entry in entries]
    known = [*sides['seen'], *sides['unseen']]
    twice = [each for index, each in enumerate(known) if each in known[:index]]
    if twice:
        shown = twice[0] if unit == 'class' else ' '.join(twice[0])
        raise InputError(f'{where} has {shown!r} twice; an entry is either seen or unseen')
    return PartSplit(name, fold, unit, frozenset(sides['seen']), frozenset(sides['unseen']))


def parse_entry(entry: Any, unit: str, where: str) -> PartName | str:
    """Return an entry as ``PartSplit`` holds it."""
    if unit == 'category':
        if not isinstance(entry, list) or len(entry) != 2 or not all(isinstance(text, str) for text in entry):
            raise InputError(f'{where}: {entry!r} is not a pair of super-category and part; {AGAIN}')
        return spoken(*entry)
    wnids = {plain(synset.class_name): synset.wnid for synset in load_synsets().values()}
    if not isinstance(entry, str) or plain(entry) not in wnids:
        raise InputError(f"{where}: {entry!r} is the name of none of PartImageNet's 158 classes; {AGAIN}")
    return wnids[plain(entry)]

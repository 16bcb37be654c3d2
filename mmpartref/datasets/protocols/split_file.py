"""Reader of split files, which list seen and unseen part categories or classes.

A split file is a json::

    {"name": "...", "unit": "category" | "class", "about": "...", "folds": {"<fold>": {"seen": [...], "unseen": [...]}}}

An entry of unit 'category' is a pair ["car", "side mirror"] of super-category and part, one of unit 'class' the name of
one of PartImageNet's 158 classes. There are no ids. ``about`` and other keys are not read.
"""
from dataclasses import dataclass
from importlib import resources
from typing import Any

from mmpartref.argument_checks import check_path, check_text
from mmpartref.datasets.coco.records import PartName, plain
from mmpartref.datasets.partimagenet.partimagenet_names import canonical_name, load_synsets
from mmpartref.datasets.partimagenet.partimagenet_referring_dataset import wnid
from mmpartref.errors import InputError
from mmpartref.files.json_files import load_json, parse_json

SPLIT_FILES = ('partimagenet_parts_25_15', 'leave_one_super_category_out', 'partimagenet_classes_25_15')
UNITS = ('category', 'class')
SIDES = ('seen', 'unseen')
FORMAT_HINT = 'see docs/protocols.md for the form of a split file'


@dataclass(frozen=True)
class Protocol:
    """Division of expressions into seen and unseen, from one fold of a split file.

    Attributes:
        name: as in the file.
        fold: of the file; '' where it has only one.
        unit: type of the entries: 'category' (``PartName``, aliases replaced) or 'class' (synsets, "n02085782").
        seen, unseen: disjoint, neither is empty.
    """
    name: str
    fold: str
    unit: str
    seen: frozenset[Any]
    unseen: frozenset[Any]

    @property
    def title(self) -> str:
        """Name and fold, as printed."""
        return f'{self.name}, fold {self.fold}' if self.fold else self.name

    def side_of_entry(self, entry: PartName | str) -> str | None:
        """Return 'seen' or 'unseen', or None for an entry on neither side."""
        return 'seen' if entry in self.seen else 'unseen' if entry in self.unseen else None

    def entry_of(self, super_category: str, part: str, img_path: str) -> PartName | str:
        """Return the entry that an expression belongs to: its category, or its image's class."""
        return canonical_name(super_category, part) if self.unit == 'category' else wnid(img_path.replace('\\', '/'))

    def side_of(self, super_category: str, part: str, img_path: str) -> str | None:
        """Return 'seen' or 'unseen', or None for an image whose class is not part of the protocol.

        Raises:
            InputError: the category is on neither side; only classes may be.
        """
        side = self.side_of_entry(self.entry_of(super_category, part, img_path))
        if side is None and self.unit == 'category':
            raise InputError(f'the part {f"{super_category} {part}".strip()!r} is neither seen nor unseen in protocol '
                             f'{self.title}; use the data it was made for, or write your own split file')
        return side


def read_split(name: str, fold: str | None = None) -> Protocol:
    """Read one fold of a split file.

    Args:
        name: one of ``SPLIT_FILES``, or the path of another file, which ends in '.json'.
        fold: of the file; not needed where it has only one.

    Raises:
        InputTypeError: an argument is of another type.
        MissingFileError: the file does not exist.
        InputError: there is no such protocol or fold, or the file is damaged.
    """
    name, fold = check_path(name, "the protocol's name"), None if fold is None else check_text(fold, 'fold')
    if name in SPLIT_FILES:
        document = parse_json(resources.files(__package__).joinpath(f'{name}.json').read_bytes(), name)
    elif name.endswith('.json'):
        document = load_json(name, f'split file {name}', hint=FORMAT_HINT)
    else:
        raise InputError(f"there is no protocol {name!r} with a split file; choose one of {', '.join(SPLIT_FILES)}, or "
                         'give the path of a .json')
    folds = document.get('folds') if isinstance(document, dict) else None
    if not isinstance(folds, dict) or not folds or document.get('unit') not in UNITS:
        raise InputError(f"{name} has no 'folds', or its 'unit' is not one of {', '.join(UNITS)}; {FORMAT_HINT}")
    chosen = next(iter(folds)) if fold is None and len(folds) == 1 else fold
    if chosen is None or chosen not in folds:
        raise InputError(f"protocol {name} has no fold {fold!r}; choose one of {', '.join(folds)}")
    return parse_fold(str(document.get('name', name)), chosen if len(folds) > 1 else '', document['unit'],
                      folds[chosen])


def parse_fold(name: str, fold: str, unit: str, content: Any) -> Protocol:
    """Return one fold of a split file.

    Args:
        name: of the protocol.
        fold: name of the fold; '' if the file has only one.
        unit: of the entries, 'class' or 'category'.
        content: of the fold, a dict with the lists ``'seen'`` and ``'unseen'``.

    Raises:
        InputError: it is malformed or has an entry twice.
    """
    where = f'split file {name}' + (f', fold {fold}' if fold else '')
    sides: dict[str, list] = {}
    for side in SIDES:
        entries = content.get(side) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not entries:
            raise InputError(f"{where} has no entries under '{side}'; {FORMAT_HINT}")
        sides[side] = [parse_entry(entry, unit, where) for entry in entries]
    known = [*sides['seen'], *sides['unseen']]
    twice = [each for index, each in enumerate(known) if each in known[:index]]
    if twice:
        shown = twice[0] if unit == 'class' else ' '.join(twice[0])
        raise InputError(f'{where} has {shown!r} twice; an entry is either seen or unseen')
    return Protocol(name, fold, unit, frozenset(sides['seen']), frozenset(sides['unseen']))


def parse_entry(entry: Any, unit: str, where: str) -> PartName | str:
    """Return an entry of ``seen`` or ``unseen``: (super-category, part), or with ``unit='class'`` the synset's id.

    Raises:
        InputError: it is not a pair of strings, or not one of PartImageNet's class names.
    """
    if unit == 'category':
        if not isinstance(entry, list) or len(entry) != 2 or not all(isinstance(text, str) for text in entry):
            raise InputError(f'{where}: {entry!r} is not a pair of super-category and part; {FORMAT_HINT}')
        return canonical_name(*entry)
    wnids = {plain(synset.class_name): synset.wnid for synset in load_synsets().values()}
    if not isinstance(entry, str) or plain(entry) not in wnids:
        raise InputError(f"{where}: {entry!r} is not the name of one of PartImageNet's 158 classes; {FORMAT_HINT}")
    return wnids[plain(entry)]

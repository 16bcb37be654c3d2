"""Find the detector categories that an expression names."""
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mmpartref.datasets.coco.records import plain
from mmpartref.datasets.partimagenet.partimagenet_names import OBJECT_SYNONYMS, PART_SYNONYMS, load_synsets


@dataclass(frozen=True)
class PartCategory:
    """One class of a detector: its name in the json, and super-category and part, which callers give in lower case."""
    name: str
    super_category: str
    part: str


def class_aliases() -> dict[str, list[str]]:
    """Return synonyms of each super-category: common nouns and PartImageNet's 158 class names."""
    aliases = {owner: list(words) for owner, words in OBJECT_SYNONYMS.items()}
    for synset in load_synsets().values():
        aliases.setdefault(plain(synset.super_category), []).extend(
            plain(name) for name in synset.class_name.split(','))
    return aliases


def as_words(text: str) -> str:
    """Return text in lower case, punctuation as blanks, with a blank at both ends: ' the tire of the car '."""
    words = re.findall(r'[^\W_]+', text.lower())
    return f' {" ".join(words)} '


def with_plurals(names: Iterable[str]) -> list[str]:
    """Add a plural to each name: "wing" -> "wings", "foot" -> "feet", "body" -> "bodies"."""
    found = []
    for name in names:
        head, _, last = name.rpartition(' ')
        if last == 'foot':
            plural = 'feet'
        elif last.endswith('y') and last[-2:-1] not in 'aeiou':
            plural = last[:-1] + 'ies'
        elif last.endswith(('s', 'x', 'ch', 'sh')):
            plural = last + 'es'
        else:
            plural = last + 's'
        found += [name, f'{head} {plural}'.strip()]
    return found


class CategoryVocabulary:
    """Match expressions to part categories by words.

    An expression names a category if it contains a name of the object and a name of the part ("the tire of the car",
    "car tire"). Of several categories the one with the longest names is taken ("side mirror" before "mirror"), then the
    one that comes first. An object or a part alone is sufficient if it belongs to a single category ("sail").

    Args:
        categories: the detector's classes, in the order of its labels.
        object_aliases: synonyms of objects, by super-category; default ``class_aliases()``.
        part_aliases: synonyms of parts; default ``PART_SYNONYMS`` of PartImageNet.
    """

    def __init__(self,
                 categories: Sequence[PartCategory],
                 object_aliases: Mapping[str, Sequence[str]] | None = None,
                 part_aliases: Mapping[str, Sequence[str]] | None = None) -> None:
        objects = class_aliases() if object_aliases is None else object_aliases
        parts = PART_SYNONYMS if part_aliases is None else part_aliases
        self.categories = tuple(categories)
        self._objects = {
            owner: [as_words(word) for word in with_plurals([owner, *objects.get(owner, ())])]
            for owner in {each.super_category for each in categories} if owner
        }
        self._parts = {
            part: [as_words(word) for word in with_plurals([part, *parts.get(part, ())])]
            for part in {each.part for each in categories}
        }
        self._labels = {(each.super_category, each.part): label for label, each in enumerate(categories)}

    def label_of(self, super_category: str, part: str) -> int | None:
        """Return the label of the category of a super-category and part, or None."""
        return self._labels.get((super_category, part))

    def find(self, expression: str) -> int | None:
        """Return the label of the category whose part and object an expression names, the longest names first.

        An expression that names a part or an object alone gets the label if a single category fits; otherwise None.
        """
        text = as_words(expression)
        objects, parts = matches(text, self._objects), matches(text, self._parts)
        named = []
        for label, category in enumerate(self.categories):
            part = parts.get(category.part)
            owner = objects.get(category.super_category) if category.super_category else (0, 0)
            if part and owner:
                named.append((-part[0], -owner[0], part[1] + owner[1], label))
        return min(named)[-1] if named else self._only_fit(objects, parts)

    def _only_fit(self, objects: Mapping[str, tuple[int, int]], parts: Mapping[str, tuple[int, int]]) -> int | None:
        """Return the label if the objects or parts alone belong to a single category."""
        if objects and parts:
            return None  # this object does not have this part
        if parts:
            length = max(match[0] for match in parts.values())
            wanted = {part for part, match in parts.items() if match[0] == length}
            fitting = [label for label, each in enumerate(self.categories) if each.part in wanted]
        else:
            fitting = [label for label, each in enumerate(self.categories) if each.super_category in objects]
        return fitting[0] if len(fitting) == 1 else None

    def find_objects(self, expression: str) -> list[str]:
        """Return the super-categories that an expression names, the longest name first."""
        found = matches(as_words(expression), self._objects)
        return sorted(found, key=lambda owner: (-found[owner][0], found[owner][1]))


def longest(text: str, words: Iterable[str]) -> tuple[int, int] | None:
    """Return length and position of the longest of the words in the text, or None."""
    found = [(len(word) - 2, text.index(word)) for word in words if word in text]
    return max(found, key=lambda match: (match[0], -match[1])) if found else None


def matches(text: str, names: Mapping[str, Iterable[str]]) -> dict[str, tuple[int, int]]:
    """Return ``longest`` for each key of ``names`` of which the text contains a name."""
    return {key: match for key, words in names.items() if (match := longest(text, words))}

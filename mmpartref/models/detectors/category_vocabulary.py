"""From an expression to the categories a detector knows."""
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mmpartref.datasets.coco.records import plain
from mmpartref.datasets.partimagenet.partimagenet_names import OBJECT_ALIASES, SPOKEN_PARTS, load_synsets


@dataclass(frozen=True)
class PartCategory:
    """One class of a detector: its name in the json, and what it means, lower case."""
    name: str
    super_category: str
    part: str


def class_aliases() -> dict[str, list[str]]:
    """Return what else an object of each super-category is called: common nouns and PartImageNet's 158 class names."""
    aliases = {owner: list(words) for owner, words in OBJECT_ALIASES.items()}
    for synset in load_synsets().values():
        aliases.setdefault(plain(synset.super_category), []).extend(
            plain(name) for name in synset.class_name.split(','))
    return aliases


def as_words(text: str) -> str:
    """Lower case, punctuation as blanks, a blank at both ends: ' the tire of the car '."""
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
    """Find the category that an expression names.

    A category is named by a word for its object and one for its part, anywhere in the expression ("the tire of the
    car", "car tire"); of several, the one with the longest names counts ("side mirror" before "mirror"), and of equally
    long ones the one named first. An object without a part, or a part without an object, is enough only where a single
    category fits ("sail").

    Args:
        categories: the detector's classes, in the order of its labels.
        object_aliases: other words for objects, by super-category; default ``class_aliases()``.
        part_aliases: other words for parts; default those of ``partimagenet_facts``.
    """

    def __init__(self,
                 categories: Sequence[PartCategory],
                 object_aliases: Mapping[str, Sequence[str]] | None = None,
                 part_aliases: Mapping[str, Sequence[str]] | None = None) -> None:
        objects = class_aliases() if object_aliases is None else object_aliases
        parts = SPOKEN_PARTS if part_aliases is None else part_aliases
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
        """Return the label of a category by what it means, or None where the detector has none."""
        return self._labels.get((super_category, part))

    def find(self, expression: str) -> int | None:
        """Return the label that an expression names, or None."""
        text = as_words(expression)
        objects = {owner: match for owner, words in self._objects.items() if (match := longest(text, words))}
        parts = {part: match for part, words in self._parts.items() if (match := longest(text, words))}
        named = []
        for label, category in enumerate(self.categories):
            part = parts.get(category.part)
            owner = objects.get(category.super_category) if category.super_category else (0, 0)
            if part and owner:
                named.append((-part[0], -owner[0], part[1] + owner[1], label))
        if named:
            return min(named)[-1]
        return self._only_fit(objects, parts)

    def _only_fit(self, objects: Mapping[str, tuple[int, int]], parts: Mapping[str, tuple[int, int]]) -> int | None:
        """Return the label where object or part alone leaves no choice."""
        if objects and parts:
            return None  # a part that this object does not have
        if parts:
            length = max(match[0] for match in parts.values())
            wanted = {part for part, match in parts.items() if match[0] == length}
            fitting = [label for label, each in enumerate(self.categories) if each.part in wanted]
        else:
            fitting = [label for label, each in enumerate(self.categories) if each.super_category in objects]
        return fitting[0] if len(fitting) == 1 else None

    def find_objects(self, expression: str) -> list[str]:
        """Return the super-categories that an expression names, the longest name first."""
        text = as_words(expression)
        found = {owner: match for owner, words in self._objects.items() if (match := longest(text, words))}
        return sorted(found, key=lambda owner: (-found[owner][0], found[owner][1]))


def longest(text: str, words: Iterable[str]) -> tuple[int, int] | None:
    """Return length and place of the longest of the words that occur in the text, None where none does."""
    found = [(len(word) - 2, text.index(word)) for word in words if word in text]
    return max(found, key=lambda match: (match[0], -match[1])) if found else None

"""The records of a COCO json of parts, and what a category means in words."""
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

# ``ref['level']``; a ref without it is of a part.
LEVELS = ('object', 'part', 'subpart')


class PartName(NamedTuple):
    """A category in words, lower case: "car" and "side mirror". ``super_category`` is '' where the json gives none."""
    super_category: str
    part: str


def plain(text: str) -> str:
    """Lower case, underscores as blanks, one blank between words."""
    return ' '.join(text.replace('_', ' ').lower().split())


@dataclass(frozen=True, slots=True)
class Category:
    """A category as the json writes it.

    ``part`` says in words what the name means, ``level`` is 'object', 'part' or 'subpart', where the json has them.
    """
    category_id: int
    name: str
    super_category: str | None
    part: str | None = None
    level: str | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One annotation kept; ``rle`` is compressed, at the photo's own size."""
    ann_id: int
    category_id: int
    rle: dict


@dataclass(frozen=True, slots=True)
class Photo:
    """One entry of ``images``, in pixels, with its parts in the order of the json.

    ``left_out`` has the categories of annotations that were left out: something of that name is there. ``negatives``
    are the ids of categories that the json says are not there (LVIS's ``neg_category_ids``).
    """
    img_id: int | str
    file_name: str
    height: int
    width: int
    parts: list[Part] = field(default_factory=list)
    left_out: set[int] = field(default_factory=set)
    negatives: tuple[int, ...] = ()


def level_of(ref: Mapping[str, Any]) -> str:
    """Return a ref's level."""
    return ref.get('level', 'part')

"""Records of a COCO json of parts, and the meaning of a category name."""
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

# Values of ``ref['level']``; a ref without the key is of a part.
LEVELS = ('object', 'part', 'subpart')
# Super-categories that do not name an object.
UNHELPFUL_SUPER_CATEGORIES = frozenset({'', 'none', 'null', 'n/a', 'unknown', 'part', 'parts', 'object'})


class PartName(NamedTuple):
    """Meaning of a category, lower case: "car" and "side mirror". ``super_category`` is '' where the json has none."""
    super_category: str
    part: str


@dataclass(frozen=True, slots=True)
class Category:
    """One entry of ``categories``.

    ``part`` (the part's name in words) and ``level`` ('object', 'part' or 'subpart') may be missing in the json.
    """
    category_id: int
    name: str
    super_category: str | None
    part: str | None = None
    level: str | None = None


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotation with a mask.

    Attributes:
        rle: compressed, ``counts`` as bytes, at the image's size.
        object_id: the object that the part belongs to: annotations of an image with the same value are parts of one
            object. None where the json has no ``object_id``.
    """
    ann_id: int
    category_id: int
    rle: dict
    object_id: int | str | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """One entry of ``images``.

    Attributes:
        height, width: in pixels.
        annotations: in the order of the json.
        dropped: categories of annotations that were dropped: such parts are in the image without a mask.
        negatives: ids of categories that the json declares absent (LVIS's ``neg_category_ids``).
    """
    img_id: int | str
    file_name: str
    height: int
    width: int
    annotations: tuple[Annotation, ...] = ()
    dropped: frozenset[int] = frozenset()
    negatives: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Ref:
    """One entry of the json's list ``referring``: expressions and the annotations that they refer to.

    Without ``ann_ids`` the expressions refer to nothing in the image. ``source`` is the dataset that they come from.
    """
    ref_id: str
    expressions: list[str]
    ann_ids: list[int]
    source: str | None


def plain(text: str) -> str:
    """Return the text in lower case, with blanks for underscores and single blanks between words."""
    return ' '.join(text.replace('_', ' ').lower().split())


def level_of(ref: Mapping[str, Any]) -> str:
    """Return a ref's level: 'object', 'part' or 'subpart'; 'part' where none is given."""
    return ref.get('level', 'part')


def split_category(category: Category) -> PartName:
    """Return the meaning of a category name.

    The part is ``category.part`` where it is given. Otherwise it is the name without the super-category in front of it
    ("Swivel Chair Back" of "Swivel Chair" -> "back"), or the whole name where it does not begin with it.
    Super-categories that name no object (``UNHELPFUL_SUPER_CATEGORIES``) or repeat the name are dropped.
    """
    whole, owner = plain(category.name), plain(category.super_category or '')
    if owner in UNHELPFUL_SUPER_CATEGORIES:
        owner = ''
    if category.part is not None:
        return PartName(owner, plain(category.part))
    if owner in ('', whole):
        return PartName('', whole)
    rest = whole.removeprefix(owner)
    if rest == whole or rest[0].isalnum():  # "carpet" does not begin with the word "car"
        return PartName(owner, whole)
    return PartName(owner, rest.strip(' :./-') or whole)

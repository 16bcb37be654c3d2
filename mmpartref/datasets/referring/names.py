"""Names that entry steps make expressions from."""
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mmpartref.datasets.coco.records import Image, PartName
from mmpartref.datasets.referring.wordings import Wordings


def _no_class(image: Image, name: PartName) -> str | None:
    del image, name
    return None


def _no_super_category(image: Image) -> str | None:
    del image
    return None


@dataclass
class Names:
    """Meanings of the categories and classes of the objects of one json.

    Attributes:
        categories: meaning of each category, by id.
        class_name: returns the class of the object that a part in an image belongs to, lower case, or None.
        super_category: returns a super-category that is known to be in an image, annotated or not, or None.
        possible: combinations (super-category, part) that exist although the json has no category for them.
        wordings: returns the expressions of a name; the step ``Expressions`` sets its templates.
    """
    categories: Mapping[int, PartName]
    class_name: Callable[[Image, PartName], str | None] = _no_class
    super_category: Callable[[Image], str | None] = _no_super_category
    possible: Sequence[tuple[str, str]] = ()
    wordings: Wordings = field(default_factory=Wordings)

    def __getitem__(self, category_id: int) -> PartName:
        """Return the meaning of a category."""
        return self.categories[category_id]

    def words(self, image: Image, name: PartName) -> tuple[str | None, list[str]]:
        """Return the class name of a part's object in an image, and the part's expressions."""
        class_name = self.class_name(image, name)
        return class_name, self.wordings(name, class_name)

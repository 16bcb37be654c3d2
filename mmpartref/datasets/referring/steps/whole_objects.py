"""Entry step that adds refs of whole objects."""
from typing import Any

from mmpartref.datasets.coco.records import Annotation, Image, PartName
from mmpartref.datasets.coco.validate import CocoParts
from mmpartref.datasets.referring.names import Names
from mmpartref.datasets.referring.steps.entry_step import EntryStep, check_templated, make_ref
from mmpartref.registry import ENTRY_STEPS


@ENTRY_STEPS.register_module()
class WholeObjects(EntryStep):
    """Add one ref per super-category in an image: its object, the union of the annotated parts.

    A super-category whose object is annotated itself in the image (a category with ``"level": "object"``) gets none,
    since ``Expressions`` makes that ref. The expressions are ``object_templates`` of ``Expressions``.
    """

    def prepare(self, document: CocoParts, names: Names) -> None:
        """Remember the categories.

        Raises:
            InputError: the json brings its own expressions.
        """
        check_templated(document, 'WholeObjects')
        self.categories = document.categories
        self.names = names

    def apply(self, image: Image, refs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Add one ref per super-category with annotated parts and no annotated object: the union of the parts."""
        owners: dict[str, list[Annotation]] = {}
        annotated = set()
        for annotation in image.annotations:
            owner = self.names[annotation.category_id].super_category
            if self.categories[annotation.category_id].level == 'object':
                annotated.add(owner)
            elif owner:
                owners.setdefault(owner, []).append(annotation)
        made = []
        for owner, members in owners.items():
            if owner not in annotated:
                name = PartName(owner, '')
                made.append(make_ref(f'{image.img_id}:object:{owner}', None, name, *self.names.words(image, name),
                                     members, level='object'))
        return refs + made

    def finish(self) -> str:
        """Release the names."""
        del self.categories, self.names
        return ''

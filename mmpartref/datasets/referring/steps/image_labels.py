"""Entry step that adds multi-label targets: which part categories are in an image."""
from typing import Any

from mmpartref.datasets.coco.records import Image, PartName
from mmpartref.datasets.coco.validate import CocoParts
from mmpartref.datasets.referring.names import Names
from mmpartref.datasets.referring.steps.entry_step import EntryStep
from mmpartref.registry import ENTRY_STEPS


def label_of(name: PartName) -> str:
    """Return the label of a category: "car tire"."""
    return ' '.join(name).strip()


@ENTRY_STEPS.register_module()
class ImageLabels(EntryStep):
    """Add ``part_presence`` to an entry: whether each part category is in the image, for a ``MultiLabelPresenceHead``.

    Parts that are not annotated count as absent, so the json has to annotate all parts of its categories. Categories
    whose annotations in an image were all dropped are missing from its ``part_presence``: they may be visible or not.
    Categories without any annotation in the json, and whole objects, are not labels.
    """

    def prepare(self, document: CocoParts, names: Names) -> None:
        """Collect the labels: the annotated categories other than whole objects."""
        used = {annotation.category_id for image in document.images for annotation in image.annotations}
        self.labels = {key: label_of(name) for key, name in names.categories.items()
                       if key in used and document.categories[key].level != 'object'}

    def plan(self, image: Image, refs: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the ids of categories that are in the image, and of those that are unknown."""
        del refs
        present = {annotation.category_id for annotation in image.annotations}
        return {'present': sorted(present), 'unknown': sorted(image.dropped - present)}

    def draw(self, entry: dict[str, Any], plan: dict[str, Any], epoch: int) -> None:
        """Add ``part_presence``: label to whether it is in the image, without unknown ones."""
        del epoch
        entry['part_presence'] = {label: key in plan['present'] for key, label in self.labels.items()
                                  if key not in plan['unknown']}

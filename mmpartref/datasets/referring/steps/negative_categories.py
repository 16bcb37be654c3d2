"""Entry step that adds refs of categories that the json declares absent."""
import hashlib
from typing import Any

from mmpartref.argument_checks import check_integer
from mmpartref.datasets.coco.records import Image
from mmpartref.datasets.coco.validate import CocoParts
from mmpartref.datasets.referring.names import Names
from mmpartref.datasets.referring.steps.entry_step import EntryStep, check_templated, make_ref
from mmpartref.datasets.referring.steps.expressions import NO_TARGET
from mmpartref.errors import InputError
from mmpartref.registry import ENTRY_STEPS


@ENTRY_STEPS.register_module()
class NegativeCategories(EntryStep):
    """Add refs of categories that the json declares absent from an image (``neg_category_ids`` of LVIS and PACO).

    ``ref['absent']`` is ``'no_target'``. Categories of which the image has an annotation, dropped or not, are never
    taken. The choice depends on the ids of image and category alone, so it is the same in every epoch.

    Args:
        number: at most this many per image.

    Raises:
        InputTypeError: ``number`` is not an integer.
        InputError: it is not positive; in ``prepare``: the json brings its own expressions or has no
            ``neg_category_ids``.
    """

    def __init__(self, number: int) -> None:
        self.number = check_integer(number, 'negatives.number')

    def prepare(self, document: CocoParts, names: Names) -> None:
        """Check that the json has ``neg_category_ids`` and no ``referring``, and store the names for ``apply``."""
        check_templated(document, 'NegativeCategories')
        if not any(image.negatives for image in document.images):
            raise InputError(f"{document.ann_file} has no 'neg_category_ids', which negatives needs; turn it off "
                             'or use absent to draw absent parts')
        self.names = names

    def apply(self, image: Image, refs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Add the refs where the image has others."""
        if not refs:
            return refs

        def rank(key: int) -> bytes:
            return hashlib.blake2b(f'{image.img_id}:{key}'.encode(), digest_size=8).digest()

        present = {annotation.category_id for annotation in image.annotations} | image.dropped
        absent = [key for key in dict.fromkeys(image.negatives) if key in self.names.categories and key not in present]
        return refs + [
            make_ref(f'{image.img_id}:{NO_TARGET}:{key}', key, self.names[key],
                     *self.names.words(image, self.names[key]), (), absent=NO_TARGET)
            for key in sorted(sorted(absent, key=rank)[:self.number])]

    def finish(self) -> str:
        """Release the names."""
        del self.names
        return ''

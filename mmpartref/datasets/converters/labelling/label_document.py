"""Images and labelled masks of a labelling program, as a json of parts."""
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmpartref.argument_checks import check_sequence, check_text
from mmpartref.datasets.coco.records import plain
from mmpartref.datasets.converters.mask_document import MaskDocument
from mmpartref.datasets.converters.standard_json import Document, count_line
from mmpartref.errors import InputError
from mmpartref.images.read_image import MAX_SIDE
from mmpartref.masks.polygons import MAX_SIDES
from mmpartref.text import has_words, shown, shown_name

SEPARATOR = ':'
# Names of parts in a line.
MAX_PARTS = 20
# Why a shape has no annotation.
NO_LABEL, EMPTY = 'without a label', 'with an empty mask'


@dataclass(frozen=True)
class LabelNames:
    """How a label becomes an object and a part: "car:wheel" -> car, wheel.

    A label with the separator is split at the first one. Otherwise the object is the longest of ``objects`` that the
    label begins with ("swivel chair back" with "swivel chair"), and the part is the rest. A label without either is a
    part without an object.

    Attributes:
        objects: names of objects.
        separator: between object and part.

    Raises:
        InputTypeError, InputError: a value is of another type, or blank.
    """
    objects: Sequence[str] = ()
    separator: str = SEPARATOR

    def __post_init__(self) -> None:
        for name in check_sequence(self.objects, 'objects', 'names of objects'):
            check_text(name, 'objects', blank=False)
        check_text(self.separator, 'separator', blank=False)

    def split(self, label: str) -> tuple[str, str]:
        """Return object and part in plain words; the object may be ''."""
        owner, found, part = label.partition(self.separator)
        if found and has_words(owner) and has_words(part):
            return plain(owner), plain(part)
        words = plain(label)
        for name in sorted(map(plain, self.objects), key=len, reverse=True):
            if words.startswith(f'{name} '):
                return name, words[len(name) + 1:]
        return '', words


class LabelDocument:
    """Collects images and masks with labels; counts what has no annotation.

    Args:
        source: name of the program.
        names: how labels are split.

    Attributes:
        dropped: number of shapes without an annotation, by reason.
    """

    def __init__(self, source: str, names: LabelNames) -> None:
        self.names = names
        self.dropped: Counter[str] = Counter()
        self._document = MaskDocument(source, [])
        self._ids: dict[tuple[str, str], int] = {}
        self._read = 0

    def add_image(self, file_name: str, size: tuple[int, int], where: str) -> int:
        """Add an image of (h, w) pixels; returns its id."""
        if not all(0 < side <= MAX_SIDE for side in size):
            raise InputError(f'{where}: its image is {size[0]} x {size[1]} pixels (height x width); correct the size')
        image_id = len(self._document.images) + 1
        self._document.add_image(image_id, file_name, *size)
        return image_id

    def drop(self, reason: str, number: int = 1) -> None:
        """Count shapes without an annotation."""
        self._read += number
        self.dropped[reason] += number

    def add(self, image_id: int, label: object, mask: np.ndarray, where: str, shapes: int = 1, **keys: Any) -> None:
        """Add an annotation, or count why there is none.

        Args:
            image_id: of the image.
            label: of the mask (h, w).
            where: file and record, for messages.
            shapes: number of shapes that the mask unites.
            **keys: more keys of the annotation.
        """
        if not isinstance(label, str):
            raise InputError(f'{where}: its label is {shown(label)}, not a text; correct it')
        if not has_words(label):
            self.drop(NO_LABEL, shapes)
            return
        category = self.names.split(label)
        category_id = self._ids.setdefault(category, len(self._ids))
        if len(self._document.categories) < len(self._ids):
            owner, part = category
            self._document.categories.append({'id': category_id, 'name': ' '.join(filter(None, category)),
                                              'supercategory': owner, 'part': part})
        if self._document.add_mask(image_id, category_id, mask, **keys):
            self._read += shapes
        else:
            self.drop(EMPTY, shapes)

    def finish(self) -> tuple[Document, list[str]]:
        """Return the json, and lines that count images, shapes and categories.

        Raises:
            InputError: there is no annotation.
        """
        if not self._document.annotations:
            raise InputError(f'{self._document.source}: none of {self._read:,} shapes is a mask with a label'
                             + (f' ({dict(self.dropped)})' if self.dropped else '') + '; label a part first')
        with_parts = len({each['image_id'] for each in self._document.annotations})
        owners = {owner for owner, _ in self._ids} - {''}
        shown_parts = [shown_name(f"{owner or '(no object)'} {part}") for owner, part in self._ids]
        more = f' and {len(shown_parts) - MAX_PARTS:,} more' if len(shown_parts) > MAX_PARTS else ''
        return self._document.to_json(), [
            f'{len(self._document.images):,} images, {with_parts:,} of them with parts',
            count_line('shapes', self._read, self._read - self.dropped.total(), self.dropped)
            + f'; {len(self._document.annotations):,} annotations',
            f"{len(self._ids):,} parts of {len(owners):,} objects: "
            + ', '.join(shown_parts[:MAX_PARTS]) + more]


def check_points(points: object, size: tuple[int, int], where: str) -> np.ndarray:
    """Return points (n, 2), x and y in pixels.

    Raises:
        InputError: they are something else, not finite, or far outside of the image of (h, w) pixels.
    """
    if not isinstance(points, list) or not all(
            isinstance(point, list) and len(point) == 2 and all(type(value) in (int, float) for value in point)
            for point in points):
        raise InputError(f'{where}: its points are {shown(points)}, not [[x, y], ...]; correct them')
    limit = MAX_SIDES * max(size)
    # Integers can be too large for a float.
    if any(not -limit <= value <= limit for point in points for value in point):  # true for NaN
        raise InputError(f'{where}: a point is far outside of its image of {size[0]} x {size[1]} pixels (height x '
                         'width); correct it')
    return np.array(points, dtype=float).reshape(-1, 2)

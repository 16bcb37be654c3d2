"""Predictions for an image, which can be drawn."""
import copy
import io
from collections.abc import Sequence
from typing import Any, SupportsIndex, overload

import cv2
import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from mmpartref.apis.formats.coco_results import CocoOutput
from mmpartref.apis.formats.label_studio_format import label_studio_task
from mmpartref.apis.formats.labelled_masks import FormatOptions, LabelledMask
from mmpartref.apis.formats.polygon_formats import labelme_document, yolo_lines
from mmpartref.argument_checks import check_integer, check_sequence, check_text
from mmpartref.errors import InputError
from mmpartref.images.read_image import DecodedImage
from mmpartref.masks.iou import encode_masks
from mmpartref.tables import percent
from mmpartref.text import shown
from mmpartref.visualization.overlay import draw_heat_map, draw_overlay

# Longest side of the pictures in a notebook, in pixels.
NOTEBOOK_SIDE = 1024


class Drawable:
    """Base of results that a notebook shows as a picture.

    Attributes:
        image: the image that they are for.
    """
    image: DecodedImage

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of image, masks and maps."""
        return self.image.size

    def overlay(self, max_side: int | None = None) -> Image.Image:
        """Draw the predictions over the image.

        Args:
            max_side: longest side of the output in pixels; larger images are shrunk before drawing, which is faster.
                None for the image's size.

        Raises:
            InputTypeError, InputError: ``max_side`` is not a positive integer.
        """
        raise NotImplementedError

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.overlay(NOTEBOOK_SIDE).save(file, 'PNG')
        return file.getvalue()


class PartResult(dict[str, Any], Drawable):
    """The prediction for one expression: a dict of ``'expression'``, ``'mask'``, ``'score'`` and maybe ``'heat_map'``.

    Attributes:
        image: the image that the mask is for.
        presence: predicted probability that the part is in the image; None for models that predict none.
        instances: (mask (h, w) bool, score) of each of a detector's instances whose union the mask is, best first; None
            for models that predict none. They are stored as run lengths.
    """

    def __init__(self, image: DecodedImage, expression: str, mask: np.ndarray, score: float, *,
                 heat_map: np.ndarray | None = None, presence: float | None = None,
                 instances: Sequence[tuple[np.ndarray, float]] | None = None) -> None:
        super().__init__(expression=expression, mask=mask, score=score)
        if heat_map is not None:
            self['heat_map'] = heat_map
        self.image = image
        self.presence = presence
        self.instances = instances

    @property
    def instances(self) -> list[tuple[np.ndarray, float]] | None:
        if self._instances is None:
            return None
        return [(coco_mask.decode(rle).astype(bool), score) for rle, score in self._instances]

    @instances.setter
    def instances(self, instances: Sequence[tuple[np.ndarray, float]] | None) -> None:
        self._instances = None if instances is None else [
            (encode_masks(mask[None])[0], score) for mask, score in instances]

    @property
    def expression(self) -> str:
        """The query."""
        return self['expression']

    @property
    def mask(self) -> np.ndarray:
        """(h, w) bool, at the size of ``image``."""
        return self['mask']

    @property
    def score(self) -> float:
        """Mean probability inside the mask, or a detector's score, 0 to 1; 0 for an empty mask."""
        return self['score']

    @property
    def heat_map(self) -> np.ndarray:
        """(h, w) float32: each pixel's probability, or the greatest score of a detector's instances that cover it.

        Raises:
            ValueError: the inferencer was called without ``heat_map=True``.
        """
        if 'heat_map' not in self:
            raise InputError(f'{shown(self.expression)} has no heat map; call the inferencer with heat_map=True')
        return self['heat_map']

    def copy(self) -> 'PartResult':
        """Return a copy with the same image, mask and heat map."""
        return copy.copy(self)

    def overlay(self, max_side: int | None = None) -> Image.Image:
        return ImageResults(self.image, [self]).overlay(max_side)

    def heat_overlay(self, max_side: int | None = None) -> Image.Image:
        """Draw the heat map over the image in grey; see ``draw_heat_map``. Arguments and errors: see ``overlay``."""
        image, (heat, ) = shrink_to(self.image.pixels, [self.heat_map], max_side)
        return Image.fromarray(draw_heat_map(image, heat))

    def __repr__(self) -> str:
        height, width = self.size
        return (f'PartResult({shown(self.expression)}, score {percent(self.score)}, {self.mask.mean():.1%} of '
                f'{width} x {height} pixels)')


class ImageResults(list[PartResult], Drawable):
    """The predictions for one image: a list of ``PartResult``, in the order of the expressions.

    Attributes:
        image: the image.
        vis: (h, w, 3) uint8 RGB, the overlay, of a call with ``return_vis=True``; otherwise, and of a slice, None. Its
            longest side is at most 4,096 pixels.
    """

    def __init__(self, image: DecodedImage, results: Sequence[PartResult] = ()) -> None:
        super().__init__(results)
        self.image = image
        self.vis: np.ndarray | None = None

    @overload
    def __getitem__(self, index: SupportsIndex) -> PartResult:
        ...

    @overload
    def __getitem__(self, index: slice) -> 'ImageResults':
        ...

    def __getitem__(self, index: SupportsIndex | slice) -> 'PartResult | ImageResults':
        """Return one result, or those of a slice, for the same image."""
        if isinstance(index, slice):
            return ImageResults(self.image, super().__getitem__(index))
        return super().__getitem__(index)

    def copy(self) -> 'ImageResults':
        """Return a list of the same results for the same image."""
        return copy.copy(self)

    def labelled_masks(self) -> list[LabelledMask]:
        """Return the masks that are not empty, one per expression."""
        return [LabelledMask(each.expression, each.mask, each.score, group, each.instances)
                for group, each in enumerate(self) if each.mask.any()]

    def to_coco(self, *, polygons: bool = False, **options: Any) -> dict[str, Any]:
        """Return a COCO json's content with this image and a category per expression.

        Args:
            polygons: rings in place of RLE.
            **options: see ``FormatOptions``: ``instances``, ``min_area``, ``tolerance``.

        Raises:
            InputTypeError, InputError: an option is of another type or out of range.
        """
        output = CocoOutput([each.expression for each in self], {}, FormatOptions(**options), polygons)
        masks = self.labelled_masks()
        output.add(self.image.name, self.size, masks, len(self) - len(masks))
        return output.content()

    def to_yolo(self, names: Sequence[str] | None = None, **options: Any) -> list[str]:
        """Return a line of a YOLO segmentation dataset per annotation.

        Args:
            names: the dataset's names, in order; by default the expressions, each once.
            **options: see ``to_coco``.

        Raises:
            InputTypeError, InputError: an option is of another type or out of range, or an expression is not a name.
        """
        chosen = FormatOptions(**options)
        known = list(dict.fromkeys(each.expression for each in self)) if names is None else [
            check_text(name, 'names') for name in check_sequence(names, 'names', 'strings')]
        missing = [each.expression for each in self if each.expression not in known]
        if missing:
            raise InputError(f'{shown(missing[0])} is not one of names={shown(known)}; add it')
        return yolo_lines(chosen.split(self.labelled_masks()), self.size, known, chosen.tolerance)

    def to_labelme(self, **options: Any) -> dict[str, Any]:
        """Return the content of LabelMe's json. Options and errors: see ``to_coco``."""
        chosen = FormatOptions(**options)
        return labelme_document(chosen.split(self.labelled_masks()), self.size, self.image.name, chosen.tolerance)

    def to_label_studio(self, image_url: str | None = None, *, model_version: str = 'mmpartref',
                        from_name: str = 'label', to_name: str = 'image', **options: Any) -> dict[str, Any]:
        """Return a task of Label Studio with the prediction.

        Args:
            image_url: address of the image for Label Studio; by default its name.
            model_version: name of the model.
            from_name, to_name: names of the ``PolygonLabels`` and ``Image`` tags of the labelling config.
            **options: see ``to_coco``.

        Raises:
            InputTypeError, InputError: an option is of another type or out of range.
        """
        chosen = FormatOptions(**options)
        texts = [check_text(value, name) for name, value in (('model_version', model_version),
                                                             ('from_name', from_name), ('to_name', to_name))]
        address = self.image.name if image_url is None else check_text(image_url, 'image_url')
        return label_studio_task(chosen.split(self.labelled_masks()), self.size, address, chosen.tolerance,
                                 model_version=texts[0], from_name=texts[1], to_name=texts[2])

    def overlay(self, max_side: int | None = None) -> Image.Image:
        image, masks = shrink_to(self.image.pixels, [each.mask for each in self], max_side)
        stacked = np.stack(masks) if masks else np.zeros((0, *image.shape[:2]), dtype=bool)
        return Image.fromarray(draw_overlay(image, stacked, [each.expression for each in self],
                                            [each.score for each in self]))


def shrink_to(image: np.ndarray, maps: Sequence[np.ndarray],
              max_side: int | None) -> tuple[np.ndarray, list[np.ndarray]]:
    """Shrink an image (h, w, 3) and maps (h, w), float, bool or labels, until no side is longer than ``max_side``.

    Raises:
        InputTypeError, InputError: ``max_side`` is not None or a positive integer.
    """
    if max_side is not None:
        max_side = check_integer(max_side, 'max_side')
    longest = max(image.shape[:2])
    if max_side is None or longest <= max_side:
        return image, list(maps)
    size = (max(1, round(image.shape[1] * max_side / longest)), max(1, round(image.shape[0] * max_side / longest)))

    def shrink(each: np.ndarray) -> np.ndarray:
        if np.issubdtype(each.dtype, np.floating):
            return cv2.resize(each, size, interpolation=cv2.INTER_AREA)
        return cv2.resize(each.view(np.uint8), size, interpolation=cv2.INTER_NEAREST).view(each.dtype)

    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), [shrink(each) for each in maps]

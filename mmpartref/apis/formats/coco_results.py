"""Predictions as a COCO json."""
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pycocotools import mask as coco_mask

from mmpartref.apis.formats.labelled_masks import FormatOptions, LabelledMask
from mmpartref.apis.formats.polygon_formats import coco_polygons
from mmpartref.files.atomic_write import write_text
from mmpartref.masks.iou import encode_masks


class CocoOutput:
    """Collects predicted masks and writes them as one COCO json: a category per expression, an annotation per mask.

    Masks are compressed RLEs on the upright image, or polygons; annotations have a ``score``. Empty masks have no
    annotation; ``info.empty_masks`` counts them.

    Args:
        expressions: the categories, ids from 1.
        info: more entries of ``info``: config, checkpoint, ...
        options: how masks become annotations.
        polygons: write a ring per connected piece in place of an RLE.

    Attributes:
        empty_masks: number of empty masks so far.
    """

    def __init__(self, expressions: Sequence[str], info: dict[str, Any], options: FormatOptions | None = None,
                 polygons: bool = False) -> None:
        self.info = info
        self.options = options or FormatOptions()
        self.polygons = polygons
        self.empty_masks = 0
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._ids = {name: number for number, name in enumerate(dict.fromkeys(expressions), 1)}

    def add(self, file_name: str, size: tuple[int, int], masks: Sequence[LabelledMask], empty_masks: int = 0) -> None:
        """Add the masks of one image. Arguments as of ``record``."""
        self.append(self.record(file_name, size, masks, empty_masks))

    def record(self, file_name: str, size: tuple[int, int], masks: Sequence[LabelledMask],
               empty_masks: int = 0) -> dict[str, Any]:
        """Return what ``append`` takes: an image and its annotations, without ids. Thread-safe.

        Args:
            file_name: of the image, for the json.
            size: (h, w).
            masks: those that are not empty, whose labels are among the categories.
            empty_masks: number of expressions with an empty mask.
        """
        annotations = []
        for each in self.options.split(masks):
            (rle, ) = encode_masks(each.mask[None])
            annotation: dict[str, Any] = {
                'category_id': self._ids[each.label],
                'segmentation': coco_polygons(each.mask, self.options.tolerance) if self.polygons else rle,
                'area': int(coco_mask.area(rle)),
                'bbox': [float(side) for side in coco_mask.toBbox(rle)],
                'iscrowd': 0,
            }
            if each.score is not None:
                annotation['score'] = float(each.score)
            annotations.append(annotation)
        return {'image': {'file_name': file_name, 'width': size[1], 'height': size[0]}, 'annotations': annotations,
                'empty_masks': empty_masks}

    def append(self, record: dict[str, Any]) -> None:
        """Add an image; its id and those of its annotations are the next ones."""
        image_id = len(self._images) + 1
        self._images.append({'id': image_id, **record['image']})
        self._annotations += [{'id': number, 'image_id': image_id, **annotation} for number, annotation
                              in enumerate(record['annotations'], len(self._annotations) + 1)]
        self.empty_masks += record['empty_masks']

    def content(self) -> dict[str, Any]:
        """Return the json's content."""
        return {
            'info': {**self.info, 'empty_masks': self.empty_masks},
            'images': self._images,
            'annotations': self._annotations,
            'categories': [{'id': number, 'name': name} for name, number in self._ids.items()],
        }

    def write(self, path: str | Path) -> None:
        """Write the json atomically."""
        write_text(path, json.dumps(self.content()))

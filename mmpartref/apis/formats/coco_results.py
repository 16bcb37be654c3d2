"""Predictions as a COCO json."""
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from mmpartref.files.atomic_write import write_text
from mmpartref.masks.iou import encode_masks


class CocoOutput:
    """Collects predicted masks and writes them as one COCO json: a category per expression, an annotation per mask.

    Masks are compressed RLEs on the upright image; annotations have a ``score``. Empty masks have no annotation;
    ``info.empty_masks`` counts them.

    Args:
        expressions: the categories, ids from 1.
        info: more entries of ``info``: config, checkpoint, ...

    Attributes:
        empty_masks: number of empty masks so far.
    """

    def __init__(self, expressions: Sequence[str], info: dict[str, Any]) -> None:
        self.info = info
        self.empty_masks = 0
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._ids = {name: number for number, name in enumerate(dict.fromkeys(expressions), 1)}

    def add(self, file_name: str, size: tuple[int, int], expressions: Sequence[str], masks: Sequence[np.ndarray],
            scores: Sequence[float] | None = None) -> None:
        """Add the masks of one image.

        Args:
            file_name: of the image, for the json.
            size: (h, w).
            expressions: K of the categories.
            masks: K arrays (h, w) bool.
            scores: K numbers, or None for annotations without a score.
        """
        image_id = len(self._images) + 1
        self._images.append({'id': image_id, 'file_name': file_name, 'width': size[1], 'height': size[0]})
        for number, (expression, mask) in enumerate(zip(expressions, masks, strict=True)):
            if not mask.any():
                self.empty_masks += 1
                continue
            (rle, ) = encode_masks(mask[None])
            annotation = {
                'id': len(self._annotations) + 1,
                'image_id': image_id,
                'category_id': self._ids[expression],
                'segmentation': rle,
                'area': int(coco_mask.area(rle)),
                'bbox': [float(side) for side in coco_mask.toBbox(rle)],
                'iscrowd': 0,
            }
            if scores is not None:
                annotation['score'] = float(scores[number])
            self._annotations.append(annotation)

    def write(self, path: str | Path) -> None:
        """Write the json atomically."""
        content = {
            'info': {**self.info, 'empty_masks': self.empty_masks},
            'images': self._images,
            'annotations': self._annotations,
            'categories': [{'id': number, 'name': name} for name, number in self._ids.items()],
        }
        write_text(path, json.dumps(content))

"""Answers about photos as a COCO json."""
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from mmpartref.files.atomic_write import atomic_write
from mmpartref.masks.iou import encode_masks


class CocoOutput:
    """Collects masks and writes them as one COCO json: a category per expression, an annotation per mask.

    Masks are compressed RLEs on the upright photo, ``score`` stands beside ``area`` and ``bbox``. An empty mask has no
    annotation; how many there were is ``info.empty_masks``.

    Args:
        expressions: the categories, ids from 1.
        info: what else ``info`` says: config, checkpoint, ...

    Attributes:
        empty_masks: how many there were so far.
    """

    def __init__(self, expressions: Sequence[str], info: dict[str, Any]) -> None:
        self.info = info
        self.empty_masks = 0
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._ids = {name: number for number, name in enumerate(dict.fromkeys(expressions), 1)}

    def add(self, file_name: str, size: tuple[int, int], expressions: Sequence[str], masks: Sequence[np.ndarray],
            scores: Sequence[float] | None = None) -> None:
        """Add one photo.

        Args:
            file_name: as the json shall name it.
            size: (h, w).
            expressions: K of those given at the beginning.
            masks: K times (h, w) bool.
            scores: K numbers; None leaves them out.
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
        """Write the file whole or not at all."""
        content = {
            'info': {**self.info, 'empty_masks': self.empty_masks},
            'images': self._images,
            'annotations': self._annotations,
            'categories': [{'id': number, 'name': name} for name, number in self._ids.items()],
        }
        with atomic_write(path) as unfinished:
            unfinished.write_text(json.dumps(content), encoding='utf-8')

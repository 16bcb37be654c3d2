"""Predictions as a COCO json."""
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from pycocotools import mask as coco_mask

from mmpartref.apis.formats.labelled_masks import FormatOptions, LabelledMask
from mmpartref.apis.formats.polygon_formats import coco_polygons
from mmpartref.files.atomic_write import atomic_write
from mmpartref.masks.iou import encode_masks

# An image and its annotations, without ids.
Record: TypeAlias = dict[str, Any]


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
        self._records: list[Record] = []
        self._ids = {name: number for number, name in enumerate(dict.fromkeys(expressions), 1)}

    def add(self, file_name: str, size: tuple[int, int], masks: Sequence[LabelledMask], empty_masks: int = 0) -> None:
        """Add the masks of one image. Arguments as of ``record``."""
        self.append(self.record(file_name, size, masks, empty_masks))

    def record(self, file_name: str, size: tuple[int, int], masks: Sequence[LabelledMask],
               empty_masks: int = 0) -> Record:
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

    def append(self, record: Record) -> None:
        """Add an image; its id and those of its annotations are the next ones."""
        self._records.append(record)
        self.empty_masks += record['empty_masks']

    def content(self) -> dict[str, Any]:
        """Return the json's content."""
        return {'info': {**self.info, 'empty_masks': self.empty_masks}, 'images': list(numbered_images(self._records)),
                'annotations': list(numbered_annotations(self._records)), 'categories': self._categories()}

    def _categories(self) -> list[dict[str, Any]]:
        return [{'id': number, 'name': name} for name, number in self._ids.items()]

    def write(self, path: str | Path, records: Callable[[], Iterable[Record]] | None = None) -> None:
        """Write the json atomically.

        Args:
            path: of the file.
            records: yields the record of each image, every time it is called, and thereby takes the place of those that
                were added; they are not all in memory.
        """
        if records is not None:
            self.empty_masks = sum(each['empty_masks'] for each in records())
        recorded = records or (lambda: self._records)
        with atomic_write(path) as unfinished, unfinished.open('w', encoding='utf-8') as file:
            file.write(f'{{"info": {json.dumps({**self.info, "empty_masks": self.empty_masks})}')
            for key, items in (('images', numbered_images(recorded())),
                               ('annotations', numbered_annotations(recorded())), ('categories', self._categories())):
                file.write(f', "{key}": [')
                for number, item in enumerate(items):
                    file.write(', ' * bool(number) + json.dumps(item))
                file.write(']')
            file.write('}')


def numbered_images(records: Iterable[Record]) -> Iterator[dict[str, Any]]:
    """Yield the images with their ids, from 1."""
    for number, record in enumerate(records, 1):
        yield {'id': number, **record['image']}


def numbered_annotations(records: Iterable[Record]) -> Iterator[dict[str, Any]]:
    """Yield the annotations with their ids, from 1, and those of their images."""
    number = 0
    for image_id, record in enumerate(records, 1):
        for annotation in record['annotations']:
            number += 1
            yield {'id': number, 'image_id': image_id, **annotation}

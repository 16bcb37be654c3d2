"""Horizontal flip of a detector's image that exchanges left and right categories."""
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmpartref.datasets.transforms.load_image import loaded_image
from mmpartref.datasets.transforms.random_part_flip import RandomPartFlip, exchange_sides
from mmpartref.datasets.transforms.sampled_parts import keep_instances
from mmpartref.errors import InputError
from mmpartref.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomDetectorFlip(RandomPartFlip):
    """Flip the image of a detector, and exchange left and right in its categories: ``RandomPartFlip`` for mmdet.

    mmdet's ``RandomFlip`` leaves a left door a left door. An instance whose category cannot be exchanged, or has no
    counterpart among the categories, is dropped; an image with no others is not flipped. Goes after
    ``mmdet.LoadAnnotations``. Random draws: see ``RandomPartTransform``.

    Args:
        prob: probability of a flip.
        categories: names by label; None: ``fill_categories`` sets those of the json.
        seed: the same on all ranks.

    Raises:
        InputTypeError, InputError: an argument is not a number in its range; in ``transform``: there are no categories.
    """

    def __init__(self, prob: float = 0.5, categories: Sequence[str] | None = None, seed: int = 0) -> None:
        super().__init__(prob, seed)
        self.categories = None if categories is None else tuple(categories)

    def transform(self, results: dict) -> dict:
        """Flip ``img``, ``gt_masks`` and ``gt_bboxes``, and change ``gt_bboxes_labels``."""
        if self.categories is None:
            raise InputError('RandomDetectorFlip has no categories; set their names in the order of the labels')
        if self.generator(results).random() >= self.prob:
            return results
        labels = [self._exchanged(int(label)) for label in results['gt_bboxes_labels']]
        kept = [index for index, label in enumerate(labels) if label is not None]
        if not kept:
            return results
        image = loaded_image(results, self)
        results['gt_bboxes_labels'] = np.array([-1 if label is None else label for label in labels], dtype=np.int64)
        boxes: Any = results['gt_bboxes']
        boxes.flip_(image.shape[:2], 'horizontal')
        results['gt_masks'] = results['gt_masks'].flip('horizontal')
        results['img'] = np.ascontiguousarray(image[:, ::-1])
        keep_instances(results, kept)
        results.update(flip=True, flip_direction='horizontal')
        return results

    def _exchanged(self, label: int) -> int | None:
        """Return the label of a category in the mirrored image; None where there is none."""
        assert self.categories is not None
        name = exchange_sides(self.categories[label])
        return self.categories.index(name) if name in self.categories else None

"""Random zoom of a detector's image around a whole part."""
from typing import Any

import numpy as np

from mmpartref.datasets.transforms.load_image import loaded_image
from mmpartref.datasets.transforms.random_part_zoom import RandomPartZoom, take_window
from mmpartref.datasets.transforms.sampled_parts import keep_instances
from mmpartref.errors import InputError
from mmpartref.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomDetectorZoom(RandomPartZoom):
    """``RandomPartZoom`` for mmdet: the same windows and rule for the instances of an image.

    Goes after ``mmdet.LoadAnnotations`` with ``with_mask=True`` and before ``mmdet.Resize``. The boxes are those of the
    clipped masks. Arguments as ``RandomPartZoom``.

    Raises:
        InputTypeError, InputError: as ``RandomPartZoom``; in ``transform``: the masks are polygons.
    """

    def transform(self, results: dict) -> dict:
        """Change ``img`` and ``gt_masks``, and drop instances outside of the window."""
        given: Any = self.loaded_masks(results)
        if not hasattr(given, 'masks') or not isinstance(given.masks, np.ndarray):
            raise InputError('RandomDetectorZoom needs masks of pixels; set poly2mask=True of LoadAnnotations')
        rng = self.generator(results)
        if rng.random() >= self.prob or not len(given):
            return results
        chosen = self._choose_window(given.masks, rng)
        results['img'] = take_window(loaded_image(results, self), chosen, self.fill)
        masks, kept = self._visible_masks(given.masks, chosen)
        keep_instances(results, kept)
        results['gt_masks'] = type(given)(masks, chosen.height, chosen.width)
        results['gt_bboxes'] = results['gt_masks'].get_bboxes(type(results['gt_bboxes']))
        results['img_shape'] = (chosen.height, chosen.width)
        return results

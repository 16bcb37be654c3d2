"""What the random transforms of an image with its parts have in common."""
from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from mmpartref.argument_checks import check_integer, check_number
from mmpartref.errors import InputError
from mmpartref.seeding import EpochDraws, seeded_generator


class RandomPartTransform(EpochDraws, BaseTransform):
    """Base class of random transforms of ``img``, ``gt_masks``, ``refs`` and ``expressions``.

    The draws depend on ``seed``, the epoch, the image id and the class alone, so that they are the same in every
    process and after a resume. ``DatasetEpochHook`` sets the epoch in shared memory.

    Args:
        prob: probability with which an image is changed.
        seed: the same on all ranks.

    Raises:
        InputTypeError, InputError: an argument is not a number in its range.
    """

    def __init__(self, prob: float, seed: int) -> None:
        name = type(self).__name__
        self.prob = check_number(prob, f'{name} prob', 0, 1)
        self.seed = check_integer(seed, f'{name} seed', 0)
        EpochDraws.__init__(self)

    def generator(self, results: dict) -> np.random.Generator:
        """Return the generator of an image's draws in this epoch."""
        return seeded_generator(self.seed, self.epoch, results['img_id'], type(self).__name__)

    def loaded_masks(self, results: dict) -> np.ndarray:
        """Return ``gt_masks`` (K, h, w) of the image.

        Raises:
            InputError: they are missing.
        """
        if 'gt_masks' not in results:
            raise InputError(f'{type(self).__name__} needs masks; put LoadReferringMasks before it in the pipeline')
        return results['gt_masks']


def keep_parts(results: dict, kept: Sequence[int], *, masks: bool = True) -> None:
    """Drop all expressions of an image but those with the given indices: their refs, texts and, if wanted, masks."""
    for key in ('refs', 'expressions'):
        if key in results:
            results[key] = [results[key][index] for index in kept]
    if masks and 'gt_masks' in results:
        results['gt_masks'] = results['gt_masks'][list(kept)]


def keep_instances(results: dict, kept: Sequence[int]) -> None:
    """Drop all instances of an image of mmdet but those with the given indices."""
    for key in ('gt_bboxes', 'gt_bboxes_labels', 'gt_ignore_flags', 'gt_masks'):
        if key in results:
            results[key] = results[key][np.asarray(kept, dtype=np.int64)]

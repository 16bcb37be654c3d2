"""Sample the level of an image's expressions: objects, parts or subparts."""
from collections.abc import Mapping

import numpy as np
from mmcv.transforms import BaseTransform

from mmpartref.argument_checks import NUMBERS, check_integer
from mmpartref.datasets.coco.records import LEVELS, level_of
from mmpartref.errors import InputError
from mmpartref.registry import TRANSFORMS
from mmpartref.seeding import EpochDraws, seeded_generator
from mmpartref.text import shown


@TRANSFORMS.register_module()
class DrawLevel(EpochDraws, BaseTransform):
    """Sample in each epoch one level of an image's refs: its objects, their parts or the parts' parts.

    One of the levels in the image is sampled with a probability in proportion to its weight; refs of other levels are
    dropped for this epoch. The sample depends on ``seed``, the epoch and the image id alone. Needs
    ``group_by='image'``, since an item of one expression has one level. Goes before ``DrawExpressions``; reduces
    ``refs``, and ``gt_masks`` where present.

    Args:
        weights: positive numbers by level (``'object'``, ``'part'``, ``'subpart'``); levels without one are never
            sampled.
        seed: the same on all ranks.

    Raises:
        InputTypeError: ``seed`` is not an integer.
        InputError: a level is unknown, or a weight is not positive; in ``transform``: an image has no such level.
    """

    def __init__(self, weights: Mapping[str, float], seed: int = 0) -> None:
        if not isinstance(weights, Mapping) or not weights or not set(weights) <= set(LEVELS) or not all(
                isinstance(each, NUMBERS) and 0 < each < np.inf for each in weights.values()):
            raise InputError(f'DrawLevel weights={shown(weights)} should be positive numbers for some of {LEVELS}')
        self.weights = {level: float(weights.get(level, 0)) for level in LEVELS}
        self.seed = check_integer(seed, 'DrawLevel seed', 0)
        EpochDraws.__init__(self)

    def expected_expressions(self, counts: np.ndarray) -> np.ndarray:
        """Return (n, 3) float64: the average number of refs after the transform, given (n, 3) by level before it."""
        chances = np.where(counts > 0, [self.weights[level] for level in LEVELS], 0.0)
        return counts * chances / np.maximum(chances.sum(axis=1, keepdims=True), np.finfo(float).tiny)

    def transform(self, results: dict) -> dict:
        """Reduce ``refs`` to one level."""
        levels = [level_of(ref) for ref in results['refs']]
        here = [level for level in LEVELS if level in levels and self.weights[level]]
        if not here:
            raise InputError(f"{results.get('img_path')} has only expressions of {sorted(set(levels))}, which "
                             'DrawLevel never samples; give that level a weight')
        chances = np.array([self.weights[level] for level in here])
        rng = seeded_generator(self.seed, self.epoch, results['img_id'])
        chosen = here[rng.choice(len(here), p=chances / chances.sum())]
        selected = [index for index, level in enumerate(levels) if level == chosen]
        results['refs'] = [results['refs'][index] for index in selected]
        if 'gt_masks' in results:
            results['gt_masks'] = results['gt_masks'][selected]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(weights={self.weights}, seed={self.seed})'

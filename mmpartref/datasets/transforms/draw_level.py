"""Objects in one epoch, parts in another."""
import zlib
from collections.abc import Mapping

import numpy as np
from mmcv.transforms import BaseTransform

from mmpartref.datasets.coco.records import LEVELS, level_of
from mmpartref.errors import InputError
from mmpartref.registry import TRANSFORMS
from mmpartref.seeding import EpochDraws


@TRANSFORMS.register_module()
class DrawLevel(EpochDraws, BaseTransform):
    """Draw, anew in each epoch, whether a photo is asked about its objects, their parts or the parts' parts.

    Of the levels that the photo has expressions of, one is drawn with a probability in proportion to its weight; the
    refs of the others are left out for this epoch. The draw depends on ``seed``, the epoch and the photo's id alone.
    Needs ``group_by='image'``: an item of a single expression has a single level. Goes before ``DrawExpressions``; cuts
    ``refs``, and ``gt_masks`` where present.

    Args:
        weights: positive numbers by level, of ``'object'``, ``'part'`` and ``'subpart'``; a level without is never
            drawn.
        seed: one for all ranks.

    Raises:
        ValueError: there is no such level, or a weight is not positive; in use: a photo has none of these levels.
    """

    def __init__(self, weights: Mapping[str, float], seed: int = 0) -> None:
        if not weights or not set(weights) <= set(LEVELS) or not all(0 < each < np.inf for each in weights.values()):
            raise InputError(f'DrawLevel weights={dict(weights)!r} should be positive numbers for some of '
                             f'{LEVELS}')
        self.weights = {level: float(weights.get(level, 0)) for level in LEVELS}
        self.seed = seed
        EpochDraws.__init__(self)

    def expected_expressions(self, counts: np.ndarray) -> np.ndarray:
        """Return (n, 3) float64: on average so many leave of (n, 3) expressions, by level."""
        chances = np.where(counts > 0, [self.weights[level] for level in LEVELS], 0.0)
        return counts * chances / np.maximum(chances.sum(axis=1, keepdims=True), np.finfo(float).tiny)

    def transform(self, results: dict) -> dict:
        """Cut ``refs``."""
        levels = [level_of(ref) for ref in results['refs']]
        here = [level for level in LEVELS if level in levels and self.weights[level]]
        if not here:
            raise InputError(f"{results.get('img_path')} has expressions of {sorted(set(levels))} alone, which "
                             'DrawLevel never draws; give that level a weight')
        chances = np.array([self.weights[level] for level in here])
        place = zlib.crc32(str(results['img_id']).encode())
        rng = np.random.default_rng([self.seed, self.epoch, place])
        drawn = here[rng.choice(len(here), p=chances / chances.sum())]
        kept = [index for index, level in enumerate(levels) if level == drawn]
        results['refs'] = [results['refs'][index] for index in kept]
        if 'gt_masks' in results:
            results['gt_masks'] = results['gt_masks'][kept]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(weights={self.weights}, seed={self.seed})'

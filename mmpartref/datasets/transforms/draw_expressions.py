"""Another wording of each expression in every epoch."""
import zlib

import numpy as np
from mmcv.transforms import BaseTransform

from mmpartref.errors import InputError
from mmpartref.registry import TRANSFORMS
from mmpartref.seeding import EpochDraws


@TRANSFORMS.register_module()
class DrawExpressions(EpochDraws, BaseTransform):
    """Draw one of each ref's wordings for this epoch, and optionally some of the refs.

    The draw depends on ``seed``, the epoch and the ``ref_id`` alone: not on the number of workers, the order of the
    photos or which others there are. ``DatasetEpochHook`` tells the epoch through shared memory, so that persistent
    worker processes learn of it.

    Writes ``expressions`` (list of K strings); cuts ``refs``, and ``gt_masks`` where present, to the refs drawn.

    Args:
        seed: one for all ranks.
        max_expressions: at most so many refs of a photo, in their order; None takes all.

    Raises:
        ValueError: ``max_expressions`` is not positive.
    """

    def __init__(self, seed: int = 0, max_expressions: int | None = None) -> None:
        if max_expressions is not None and max_expressions < 1:
            raise InputError(f'max_expressions={max_expressions} should be at least 1, or None for all')
        self.seed = seed
        self.max_expressions = max_expressions
        EpochDraws.__init__(self)

    def transform(self, results: dict) -> dict:
        """Add ``expressions``."""
        refs = results['refs']
        epoch = self.epoch
        lots, expressions = [], []
        for ref in refs:
            rng = np.random.default_rng([self.seed, epoch, zlib.crc32(ref['ref_id'].encode())])
            lots.append(rng.random())
            expressions.append(ref['expressions'][rng.integers(len(ref['expressions']))])
        if self.max_expressions is not None and len(refs) > self.max_expressions:
            drawn = sorted(np.argsort(lots)[:self.max_expressions].tolist())
            expressions = [expressions[index] for index in drawn]
            results['refs'] = [refs[index] for index in drawn]
            if 'gt_masks' in results:
                results['gt_masks'] = results['gt_masks'][drawn]
        results['expressions'] = expressions
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(seed={self.seed}, max_expressions={self.max_expressions})'

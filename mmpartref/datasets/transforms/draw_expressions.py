"""Sample one expression of each ref."""
import numpy as np
from mmcv.transforms import BaseTransform

from mmpartref.errors import InputError
from mmpartref.registry import TRANSFORMS
from mmpartref.seeding import EpochDraws, seeded_generator


@TRANSFORMS.register_module()
class DrawExpressions(EpochDraws, BaseTransform):
    """Sample one of each ref's expressions for this epoch, and optionally some of the refs.

    The sample depends on ``seed``, the epoch and the ``ref_id`` alone: not on the number of workers, the order of the
    images or the other refs. ``DatasetEpochHook`` sets the epoch in shared memory, which persistent workers see.

    Adds ``expressions`` (list of K strings); reduces ``refs``, and ``gt_masks`` where present, to the sampled refs.

    Args:
        seed: the same on all ranks.
        max_expressions: largest number of refs of an image; their order stays. None: all.

    Raises:
        InputError: ``max_expressions`` is not positive.
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
        draws, expressions = [], []
        for ref in refs:
            rng = seeded_generator(self.seed, epoch, ref['ref_id'])
            draws.append(rng.random())
            expressions.append(ref['expressions'][rng.integers(len(ref['expressions']))])
        if self.max_expressions is not None and len(refs) > self.max_expressions:
            chosen = sorted(np.argsort(draws)[:self.max_expressions].tolist())
            expressions = [expressions[index] for index in chosen]
            results['refs'] = [refs[index] for index in chosen]
            if 'gt_masks' in results:
                results['gt_masks'] = results['gt_masks'][chosen]
        results['expressions'] = expressions
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(seed={self.seed}, max_expressions={self.max_expressions})'

"""Sample one expression of each ref."""
import numpy as np
from mmcv.transforms import BaseTransform

from mmpartref.argument_checks import check_integer
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
        InputTypeError: an argument is not an integer.
        InputError: ``max_expressions`` is not positive, or ``seed`` is negative.
    """

    def __init__(self, seed: int = 0, max_expressions: int | None = None) -> None:
        self.seed = check_integer(seed, 'DrawExpressions seed', 0)
        self.max_expressions = (None if max_expressions is None else
                                check_integer(max_expressions, 'DrawExpressions max_expressions'))
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

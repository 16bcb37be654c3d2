"""Horizontal flip of an image that exchanges left and right in its expressions."""
import re

import numpy as np

from mmpartref.datasets.transforms.load_image import loaded_image
from mmpartref.datasets.transforms.sampled_parts import RandomPartTransform, keep_parts
from mmpartref.errors import InputError
from mmpartref.registry import TRANSFORMS

# Words that a flip exchanges.
PAIRS = (('left', 'right'), ('leftmost', 'rightmost'), ('lefthand', 'righthand'), ('lefthanded', 'righthanded'))
OTHERS = {one: other for pair in PAIRS for one, other in (pair, pair[::-1])}
WORD = re.compile(rf"(?<![a-z])({'|'.join(OTHERS)})(?![a-z])", re.IGNORECASE)
# Directions with no opposite word here, and other meanings of "right".
UNKNOWN = re.compile(r"(?<![a-z])(right[- ](angled?|next|behind|above|below|beside|under|over|after|before|in|at|on)"
                     r"|(left|right)wards?|(bottom|top|upper|lower|front|back|rear|mid)(left|right)|[a-z]*clock-?wise"
                     r"|o'clock|starboard|(driver|passenger)('?s)?|(near|off)side|(east|west)(ern)?)(?![a-z])",
                     re.IGNORECASE)


def exchange_sides(text: str) -> str | None:
    """Return an expression of the mirrored image: "the left mirror" -> "the right mirror".

    None where it has a direction that cannot be exchanged ("the driver's door").
    """
    return None if UNKNOWN.search(text) else WORD.sub(_other, text)


def _other(found: re.Match[str]) -> str:
    word = found[0]
    other = OTHERS[word.lower()]
    return other.upper() if word.isupper() else other.capitalize() if word[0].isupper() else other


@TRANSFORMS.register_module()
class RandomPartFlip(RandomPartTransform):
    """Flip an image horizontally, and exchange left and right in its expressions.

    Expressions with a direction that cannot be exchanged are dropped; an image with no others is not flipped. Goes
    after ``DrawExpressions`` and ``LoadReferringMasks`` and before ``Letterbox``. Also exchanges the labels of
    ``part_presence``, and drops those without a label for the other side. Random draws: see ``RandomPartTransform``.

    Args:
        prob: probability of a flip.
        seed: the same on all ranks.

    Raises:
        InputTypeError, InputError: an argument is not a number in its range.
    """

    def __init__(self, prob: float = 0.5, seed: int = 0) -> None:
        super().__init__(prob, seed)

    def transform(self, results: dict) -> dict:
        """Flip ``img`` and ``gt_masks``, and change ``expressions``; sets ``flip`` and ``flip_direction``."""
        if self.generator(results).random() >= self.prob:
            return results
        image, masks = loaded_image(results, self), self.loaded_masks(results)
        if 'expressions' not in results:
            raise InputError(f'{type(self).__name__} needs expressions; put DrawExpressions before it in the pipeline')
        exchanged = [exchange_sides(text) for text in results['expressions']]
        kept = [index for index, text in enumerate(exchanged) if text is not None]
        if not kept:
            return results
        results['img'] = np.ascontiguousarray(image[:, ::-1])
        results['gt_masks'] = np.ascontiguousarray(masks[:, :, ::-1])
        results['expressions'] = exchanged
        keep_parts(results, kept)
        presence = results.get('part_presence')
        if presence is not None:
            # Without a label for the other side it is unknown whether that part is there.
            others = {label: exchange_sides(label) for label in presence}
            results['part_presence'] = {label: presence[other] for label, other in others.items() if other in presence}
        results.update(flip=True, flip_direction='horizontal')
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(prob={self.prob}, seed={self.seed})'

"""Images of an evaluation that could not be read (``on_bad_image='skip'``): counted, and ignored by every metric."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmpartref.errors import InputTypeError
from mmpartref.text import shown

# Where the metrics' results of several processes are collected.
COLLECT_DEVICES = ('cpu', 'gpu')
# Images whose error a message quotes.
MAX_REASONS = 5


@dataclass(frozen=True)
class SkippedImage:
    """A data sample without predictions: its path, its number of expressions and the error as a sentence."""
    img_path: str
    expressions: int
    reason: str


def skipped_image(sample: Mapping[str, Any]) -> SkippedImage | None:
    """Return the ``SkippedImage`` of a data sample in the form of a dict, None where the image was read.

    Raises:
        InputTypeError: it is not a dict.
    """
    if not isinstance(sample, Mapping):
        raise InputTypeError(f'a data sample is {shown(sample)}; give it as a dict, as its to_dict() returns')
    if 'skipped' not in sample:
        return None
    return SkippedImage(str(sample['img_path']), len(sample['expressions']), sample['skipped'])


def count_skipped(skipped: Sequence[SkippedImage]) -> dict[str, float]:
    """Return the metrics ``skipped_images`` and ``skipped_expressions``; an empty dict where every image was read."""
    if not skipped:
        return {}
    return {'skipped_images': len({each.img_path for each in skipped}),
            'skipped_expressions': sum(each.expressions for each in skipped)}


def describe_skipped(skipped: Sequence[SkippedImage], scored: int) -> str:
    """Return a warning with the number of skipped expressions and the first reasons.

    Args:
        skipped: at least one.
        scored: number of expressions of the images that were read.
    """
    reasons = list(dict.fromkeys(each.reason for each in skipped))
    more = f'; and {len(reasons) - MAX_REASONS:,} more' if len(reasons) > MAX_REASONS else ''
    images, expressions = map(int, count_skipped(skipped).values())
    return (f'{expressions:,} of {expressions + scored:,} expressions are not scored because their images ({images:,}) '
            f"could not be read: {'; '.join(reasons[:MAX_REASONS])}{more}")

"""Photos of an evaluation that could not be read (``on_bad_sample='skip'``): in no figure, and counted beside them."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Photos that a report names.
NAMED = 5


@dataclass(frozen=True)
class UnreadPhoto:
    """An item whose photo could not be read; ``expressions`` were to be asked about it, ``reason`` is a sentence."""
    img_path: str
    expressions: int
    reason: str


def unread_photo(sample: Mapping[str, Any]) -> UnreadPhoto | None:
    """Return what a data sample in the form of a dict says of its photo, None where it was read."""
    if 'skipped' not in sample:
        return None
    return UnreadPhoto(str(sample['img_path']), len(sample['expressions']), sample['skipped'])


def count_unread(unread: Sequence[UnreadPhoto]) -> dict[str, float]:
    """Return ``unread_photos`` and ``unread_expressions``; nothing where every photo was read."""
    if not unread:
        return {}
    return {'unread_photos': len({each.img_path for each in unread}),
            'unread_expressions': sum(each.expressions for each in unread)}


def describe_unread(unread: Sequence[UnreadPhoto], asked: int) -> str:
    """Return a sentence for beside the figures.

    Args:
        unread: at least one.
        asked: expressions of the photos that were read.
    """
    counts = count_unread(unread)
    reasons = list(dict.fromkeys(each.reason for each in unread))
    more = f'; and {len(reasons) - NAMED:,} more' if len(reasons) > NAMED else ''
    missing, photos = int(counts['unread_expressions']), int(counts['unread_photos'])
    return (f'{missing:,} of {missing + asked:,} expressions are in no figure, for their photos ({photos:,}) could not '
            f"be read: {'; '.join(reasons[:NAMED])}{more}")

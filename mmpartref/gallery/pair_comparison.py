"""Two models on the same questions: which one is better where."""
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mmpartref.errors import InputError
from mmpartref.evaluation.comparison.compare_dumps import check_same
from mmpartref.evaluation.dumps.dump import PredictionDump
from mmpartref.evaluation.scoring.iou_metrics import mean
from mmpartref.gallery.entries import Entry, PhotoEntries, all_entries, read_entries


@dataclass(frozen=True)
class Versus:
    """A second model beside the first.

    Attributes:
        name: what the page calls it.
        header: its dump's.
        others: its entry for each of the first model's, by ``Entry.key``; of parts that are not in the photo only where
            both models were asked for them.
    """
    name: str
    header: dict[str, Any]
    others: dict[str, Entry]

    @property
    def reworded(self) -> int:
        """How many expressions the second model was asked with other words."""
        return sum(key != other.key for key, other in self.others.items())


def there(photos: Sequence[PhotoEntries]) -> list[Entry]:
    """Return the entries of parts that are in their photo."""
    return [entry for entry in all_entries(photos) if entry.there]


def key_of_words(entry: Entry) -> str:
    """Name an expression by its ref and its words."""
    return entry.key


def key_of_ref(entry: Entry) -> str:
    """Name an expression by its ref alone."""
    return entry.prediction.ref_id


def shared_key(first: Sequence[PhotoEntries], second: Sequence[PhotoEntries]) -> Callable[[Entry], str]:
    """Choose what two dumps are paired by: ref and words; the ref where the words differ and no ref occurs twice.

    The latter is how a model that is given no words, or other ones, is compared.
    """
    one, other = there(first), there(second)
    if {each.key for each in one} == {each.key for each in other}:
        return key_of_words
    unique = all(len({key_of_ref(each) for each in entries}) == len(entries) for entries in (one, other))
    return key_of_ref if unique else key_of_words


def truths(photos: Sequence[PhotoEntries], key: Callable[[Entry], str], file: str) -> dict[str, tuple]:
    """Return what is true of each expression: photo, super-category, part and the annotations' masks, in any order.

    Parts that are not there are passed over, as in ``comparison``: reference points do not answer them.

    Raises:
        ValueError: two expressions have the same key, so that they cannot be paired.
    """
    found: dict[str, tuple] = {}
    for each in photos:
        for entry in each.entries:
            asked = entry.prediction
            if not entry.there:
                continue
            if key(entry) in found:
                raise InputError(f'{file} holds the ref {key(entry)} twice, so that it cannot be paired with another '
                                 'dump; ask for each ref once')
            found[key(entry)] = (each.photo.img_id, asked.super_category, asked.part,
                                 sorted((*rle['size'], rle['counts']) for rle in asked.truth))
    return found


def read_versus(photos: Sequence[PhotoEntries], file: str, other: PredictionDump, other_file: str,
                name: str) -> Versus:
    """Pair the expressions of a second dump with those of the first, see ``shared_key``.

    Raises:
        ValueError: an expression occurs twice, or the two dumps do not hold the same ones with the same truth.
    """
    other_photos = read_entries(other)
    key = shared_key(photos, other_photos)
    check_same(truths(photos, key, file), truths(other_photos, key, other_file), file, other_file)
    others = {key(entry): entry for entry in all_entries(other_photos)}
    return Versus(name, other.header, {entry.key: others[key(entry)] for entry in all_entries(photos)
                                       if key(entry) in others})


def summarise_versus(photos: Sequence[PhotoEntries], versus: Versus) -> dict[str, Any]:
    """Return both mean IoUs and how often each model is better, over the parts that are there.

    Equal means the same IoU to the last digit.
    """
    pairs = [(entry.score.overlap.iou, versus.others[entry.key].score.overlap.iou) for entry in there(photos)]
    return {
        'expressions': len(pairs),
        'mIoU': [mean([one for one, _ in pairs]), mean([other for _, other in pairs])],
        'first': sum(one > other for one, other in pairs),
        'equal': sum(one == other for one, other in pairs),
        'second': sum(one < other for one, other in pairs),
    }

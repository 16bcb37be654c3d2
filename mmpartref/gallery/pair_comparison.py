"""Comparison of two models on the same expressions."""
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from mmpartref.evaluation.dumps.dump import PredictionDump
from mmpartref.evaluation.dumps.match_dumps import check_same_refs
from mmpartref.evaluation.scoring.iou_metrics import mean
from mmpartref.gallery.entries import Entry, ImageEntries, all_entries, read_entries


@dataclass(frozen=True)
class PairComparison:
    """A second model to compare with the first.

    Attributes:
        name: on the page.
        header: of its dump.
        others: its entries by ``Entry.key`` of the first model's; absent parts only if both dumps have them.
    """
    name: str
    header: dict[str, Any]
    others: dict[str, Entry]

    @property
    def reworded(self) -> int:
        """Number of expressions with different words in the two dumps."""
        return sum(key != other.key for key, other in self.others.items())


def present_entries(images: Sequence[ImageEntries]) -> list[Entry]:
    """Return the entries of parts that are in their image."""
    return [entry for entry in all_entries(images) if entry.present]


def shared_key(first: Sequence[ImageEntries], second: Sequence[ImageEntries]) -> Callable[[Entry], str]:
    """Choose the key that pairs two dumps: ref and expression, or the ref where expressions differ.

    The latter pairs models that get no text, or different texts.
    """
    by_expression = attrgetter('key')
    one, other = ({entry.key for entry in present_entries(images)} for images in (first, second))
    return by_expression if one == other else attrgetter('prediction.ref_id')


def truth_by_key(images: Sequence[ImageEntries], key: Callable[[Entry], str]) -> dict[str, tuple]:
    """Return image, super-category, part and sorted annotation masks of each expression whose part is in the image."""
    truth: dict[str, tuple] = {}
    for each in images:
        for entry in each.entries:
            if not entry.present:
                continue
            prediction = entry.prediction
            truth[key(entry)] = (each.image.img_id, prediction.super_category, prediction.part,
                                 sorted((*rle['size'], rle['counts']) for rle in prediction.truth))
    return truth


def pair_dumps(images: Sequence[ImageEntries], file: str, other: PredictionDump, other_file: str,
               name: str) -> PairComparison:
    """Pair the expressions of a second dump with those of the first, see ``shared_key``.

    Raises:
        ValueError: the dumps differ in expressions or ground truth.
    """
    other_images = read_entries(other)
    key = shared_key(images, other_images)
    check_same_refs(truth_by_key(images, key), truth_by_key(other_images, key), file, other_file)
    others = {key(entry): entry for entry in all_entries(other_images)}
    return PairComparison(name, other.header, {entry.key: others[key(entry)] for entry in all_entries(images)
                                               if key(entry) in others})


def summarise_pairs(images: Sequence[ImageEntries], comparison: PairComparison) -> dict[str, Any]:
    """Return both mean IoUs and how often each model is better, over the parts that are in their image."""
    pairs = [(entry.score.overlap.iou, comparison.others[entry.key].score.overlap.iou)
             for entry in present_entries(images)]
    return {
        'expressions': len(pairs),
        'mIoU': [mean([one for one, _ in pairs]), mean([other for _, other in pairs])],
        'first': sum(one > other for one, other in pairs),
        'equal': sum(one == other for one, other in pairs),
        'second': sum(one < other for one, other in pairs),
    }

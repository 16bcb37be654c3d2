"""Match the expressions of several dumps, which must have the same queries and the same ground truth."""
from collections.abc import Mapping

from mmpartref.errors import InputError
from mmpartref.evaluation.dumps.dump import PredictionDump, check_dump
from mmpartref.evaluation.dumps.queries import Queries, check_same_queries
from mmpartref.text import shown_name

SAME_SPLIT = 'compare dumps of the same ann_file and split'


def truth_by_ref(dump: PredictionDump, file: str) -> dict[str, tuple]:
    """Return, by ``ref_id``, the image, the super-category, the part and the annotations' masks, sorted.

    Expressions of absent parts are ignored: reference points have none.

    Args:
        dump: predictions.
        file: name of the dump in messages.

    Raises:
        InputTypeError: ``dump`` is of another type.
        ValueError: the dump has no expression.
    """
    check_dump(dump)
    truths = {each.ref_id: (image.img_id, each.super_category, each.part,
                            sorted((*rle['size'], rle['counts']) for rle in each.truth))
              for image in dump.images for each in image.expressions if each.absent is None}
    if not truths:
        raise InputError(f'{shown_name(file)} contains no expression; check the dataset and its ann_file')
    return truths


def check_same_refs(first: Mapping[str, tuple], other: Mapping[str, tuple], first_file: str, other_file: str) -> None:
    """Check that two dumps have the same refs with the same ground truth.

    Args:
        first, other: as ``truth_by_ref`` returns them.
        first_file, other_file: names of the dumps in messages.

    Raises:
        ValueError: they differ; the message has the number of refs and one example.
    """
    missing, extra = first.keys() - other.keys(), other.keys() - first.keys()
    if missing or extra:
        raise InputError(f'{other_file} lacks {len(missing)} refs of {first_file} and has {len(extra)} others, '
                         f'e.g. {shown_name(min(missing or extra))}; {SAME_SPLIT}')
    changed = [ref_id for ref_id, truth in first.items() if other[ref_id] != truth]
    if changed:
        raise InputError(f'{first_file} and {other_file} differ in the ground truth (image, names or masks) of '
                         f'{len(changed)} refs, e.g. {shown_name(min(changed))}; {SAME_SPLIT}')


def check_same_expressions(first: PredictionDump, other: PredictionDump, first_file: str, other_file: str) -> None:
    """Check that two dumps have the same expression for each ref; expressions of absent parts are ignored.

    Raises:
        InputError: they differ; the message has the number of differences and one example.
    """
    check_same_queries(present_queries(other), present_queries(first), shown_name(other_file), shown_name(first_file),
                       'compare models on the same expressions (tools/export_queries.py writes them)')


def is_text_blind(dump: PredictionDump) -> bool:
    """Return whether several refs have one expression: a control, which may be compared with every dump."""
    queries = present_queries(dump)
    return len(queries) > 1 and len({text for _, text in queries.values()}) == 1


def present_queries(dump: PredictionDump) -> Queries:
    """Return (img_id, expression) by ref_id of the parts that are in their image."""
    return {each.ref_id: (image.img_id, each.expression)
            for image in dump.images for each in image.expressions if each.absent is None}

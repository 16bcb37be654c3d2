"""Several dumps side by side: one name per dump, and the proof that all of them answer the same questions."""
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmpartref.errors import InputError
from mmpartref.evaluation.dumps.dump import PredictionDump, read_dump
from mmpartref.evaluation.scoring.iou_metrics import Row, summarise
from mmpartref.evaluation.scoring.score_dump import score_dump

SAME_QUESTIONS = 'compare dumps of the same ann_file and split'


@dataclass(frozen=True)
class Entry:
    """One dump: a line of the main table.

    Attributes:
        name: what tables and pictures call it, unique; ends in ' (oracle)' where the header says so.
        header: the dump's.
        rows: its scored expressions.
        summary: what ``summarise`` makes of them, fractions.
    """
    name: str
    header: Mapping[str, Any]
    rows: Sequence[Row]
    summary: Mapping[str, float]


@dataclass(frozen=True)
class Comparison:
    """Entries in the order asked for; ``strict`` says whether Precision@X counts IoU > X or IoU >= X."""
    entries: Sequence[Entry]
    strict: bool


def read_comparison(paths: Sequence[str | Path], *, names: Sequence[str] | None = None,
                    strict: bool = True) -> Comparison:
    """Read and score dumps.

    Raises:
        FileNotFoundError: there is no such dump.
        ValueError: a dump is damaged or empty, two of them do not hold the same refs with the same truth, or the names
            are not one per dump and distinct.
    """
    dumps = [read_dump(path) for path in paths]
    files = [str(path) for path in paths]
    labels = name_entries(dumps, files, names)
    truths = [truth_by_ref(dump, file) for dump, file in zip(dumps, files, strict=True)]
    for truth, file in zip(truths[1:], files[1:], strict=True):
        check_same(truths[0], truth, files[0], file)
    entries = []
    for name, dump in zip(labels, dumps, strict=True):
        rows = score_dump(dump)
        entries.append(Entry(name, dump.header, rows, summarise(rows, strict=strict)))
    return Comparison(entries, strict)


def truth_by_ref(dump: PredictionDump, file: str) -> dict[str, tuple]:
    """Return what is true of each ref: photo, super-category, part and the annotations' masks, in any order.

    Parts that are not there are passed over, as in ``score_dump``: reference points do not answer them.

    Raises:
        ValueError: there is no ref, or one occurs twice, so that predictions cannot be paired.
    """
    truths: dict[str, tuple] = {}
    for photo in dump.photos:
        for each in photo.expressions:
            if each.absent is not None:
                continue
            if each.ref_id in truths:
                raise InputError(f'{file} holds the ref {each.ref_id} twice, so that it cannot be paired with another '
                                 'dump; ask for each ref once')
            masks = sorted((*rle['size'], rle['counts']) for rle in each.truth)
            truths[each.ref_id] = (photo.img_id, each.super_category, each.part, masks)
    if not truths:
        raise InputError(f'{file} holds no expression; check the data set and its ann_file')
    return truths


def check_same(first: Mapping[str, tuple], other: Mapping[str, tuple], first_file: str, other_file: str) -> None:
    """Compare two dumps' refs, then what is true of each.

    Raises:
        ValueError: they differ; says how many and names one.
    """
    missing, extra = first.keys() - other.keys(), other.keys() - first.keys()
    if missing or extra:
        raise InputError(f'{other_file} lacks {len(missing)} refs of {first_file} and holds {len(extra)} that the '
                         f'latter lacks, e.g. {min(missing or extra)}; {SAME_QUESTIONS}')
    changed = [ref_id for ref_id, truth in first.items() if other[ref_id] != truth]
    if changed:
        raise InputError(f'{first_file} and {other_file} disagree on the truth (photo, names or masks) of '
                         f'{len(changed)} refs, e.g. {min(changed)}; {SAME_QUESTIONS}')


def name_entries(dumps: Sequence[PredictionDump], files: Sequence[str], names: Sequence[str] | None) -> list[str]:
    """Return one name per dump: ``names``, or the header's name, the config's stem, the file's stem.

    Names that occur twice give way to the file's stem, and stems that occur twice to the file's path.

    Raises:
        ValueError: there are not as many names as dumps, or two dumps end up with the same name.
    """
    if names is not None and len(names) != len(files):
        raise InputError(f'there are {len(files)} dumps but {len(names)} names; give one name per dump, in order')
    stems = [Path(file).stem for file in files]
    chosen = names or [_own_name(dump.header) or stem for dump, stem in zip(dumps, stems, strict=True)]
    labels = _shown(chosen, dumps)
    for fallback in () if names else (_shown(stems, dumps), _shown(files, dumps)):
        counts = Counter(labels)
        labels = [spare if counts[label] > 1 else label for label, spare in zip(labels, fallback, strict=True)]
    twice = [label for label, count in Counter(labels).items() if count > 1]
    if twice:
        raise InputError(f"two dumps are called '{twice[0]}'; tell them apart with --names")
    return labels


def _own_name(header: Mapping[str, Any]) -> str:
    return str(header.get('name') or '').strip() or Path(str(header.get('config') or '')).stem


def _shown(names: Sequence[str], dumps: Sequence[PredictionDump]) -> list[str]:
    """Put names on one line each; a model that was told the answer's category must not pass for one that was not."""
    return [' '.join(name.split()) + (' (oracle)' if dump.header.get('resolver') == 'oracle' else '')
            for name, dump in zip(names, dumps, strict=True)]

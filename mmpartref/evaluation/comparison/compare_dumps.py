"""Read several dumps of the same expressions and score them under one name each."""
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmpartref.argument_checks import check_instance, check_path, check_sequence, check_switch, check_text
from mmpartref.errors import InputError
from mmpartref.evaluation.dumps.dump import PredictionDump, read_dump
from mmpartref.evaluation.dumps.match_dumps import check_same_refs, truth_by_ref
from mmpartref.evaluation.scoring.iou_metrics import Row, summarise
from mmpartref.evaluation.scoring.score_dump import score_dump
from mmpartref.text import shown


@dataclass(frozen=True)
class ComparisonEntry:
    """One dump: a line of the main table.

    Attributes:
        name: unique, in tables and plots; ends in ' (oracle)' where the header has ``resolver='oracle'``.
        header: the dump's.
        rows: its scored expressions.
        summary: the metrics of ``summarise``, fractions.
    """
    name: str
    header: Mapping[str, Any]
    rows: Sequence[Row]
    summary: Mapping[str, float]


@dataclass(frozen=True)
class Comparison:
    """Entries in the given order; ``strict`` is whether Precision@X counts IoU > X or IoU >= X."""
    entries: Sequence[ComparisonEntry]
    strict: bool


def read_comparison(paths: Sequence[str | Path], *, names: Sequence[str] | None = None,
                    strict: bool = True) -> Comparison:
    """Read and score dumps.

    Raises:
        InputTypeError: an argument is of another type.
        FileNotFoundError: a dump does not exist.
        ValueError: there is no dump, one is damaged or empty, two of them have different refs or ground truth, or the
            names are not one per dump and distinct.
    """
    strict = check_switch(strict, 'strict')
    paths = check_sequence(paths, 'paths', 'paths')
    files = [check_path(path, f'paths[{number}]') for number, path in enumerate(paths)]
    if not files:
        raise InputError('paths is empty; give at least one dump')
    dumps = [read_dump(file) for file in files]
    labels = name_entries(dumps, files, names)
    truths = [truth_by_ref(dump, file) for dump, file in zip(dumps, files, strict=True)]
    for truth, file in zip(truths[1:], files[1:], strict=True):
        check_same_refs(truths[0], truth, files[0], file)
    entries = []
    for name, dump in zip(labels, dumps, strict=True):
        rows = score_dump(dump)
        entries.append(ComparisonEntry(name, dump.header, rows, summarise(rows, strict=strict)))
    return Comparison(entries, strict)


def name_entries(dumps: Sequence[PredictionDump], files: Sequence[str], names: Sequence[str] | None) -> list[str]:
    """Return one name per dump: ``names``, or the header's name, the config's stem, the file's stem.

    Names that occur twice are replaced by the file's stem, and stems that occur twice by the file's path.

    Raises:
        InputTypeError: ``names`` are not a list of strings.
        ValueError: a name is blank, there are not as many names as dumps, or two dumps end up with the same name.
    """
    if names is not None:
        names = [check_text(name, f'names[{number}]', blank=False)
                 for number, name in enumerate(check_sequence(names, 'names', 'strings'))]
        if len(names) != len(files):
            raise InputError(f'there are {len(files)} dumps but {len(names)} names; give one name per dump, in order')
    stems = [Path(file).stem for file in files]
    chosen = names or [_header_name(dump.header) or stem for dump, stem in zip(dumps, stems, strict=True)]
    labels = _labels(chosen, dumps)
    for fallback in () if names else (_labels(stems, dumps), _labels(files, dumps)):
        counts = Counter(labels)
        labels = [spare if counts[label] > 1 else label for label, spare in zip(labels, fallback, strict=True)]
    twice = [label for label, count in Counter(labels).items() if count > 1]
    if twice:
        raise InputError(f"two dumps have the name {shown(twice[0])}; give distinct names with --names")
    return labels


def check_comparison(comparison: object) -> None:
    """Raise an ``InputTypeError`` where an argument is not a ``Comparison``."""
    check_instance(comparison, 'comparison', Comparison, 'make one with read_comparison')


def _header_name(header: Mapping[str, Any]) -> str:
    return str(header.get('name') or '').strip() or Path(str(header.get('config') or '')).stem


def _labels(names: Sequence[str], dumps: Sequence[PredictionDump]) -> list[str]:
    """Return the names on one line each; a model that got the true category is marked as an oracle."""
    return [' '.join(name.split()) + (' (oracle)' if dump.header.get('resolver') == 'oracle' else '')
            for name, dump in zip(names, dumps, strict=True)]

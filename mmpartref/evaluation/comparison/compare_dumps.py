"""Read several dumps of the same expressions and score them under one name each."""
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmpartref.argument_checks import check_instance, check_path, check_sequence, check_switch, check_text
from mmpartref.errors import InputError
from mmpartref.evaluation.comparison.bootstrap import RESAMPLES, Resamples, resample
from mmpartref.evaluation.dumps.dump import PredictionDump, read_dump
from mmpartref.evaluation.dumps.match_dumps import (
    check_same_expressions,
    check_same_refs,
    is_text_blind,
    truth_by_ref,
)
from mmpartref.evaluation.scoring.grouped_metrics import BREAKDOWNS
from mmpartref.evaluation.scoring.iou_metrics import Row, mean, summarise
from mmpartref.evaluation.scoring.score_dump import score_dump
from mmpartref.text import shown, shown_name

# Keys of a header that are the same in all runs of a model.
SAME_IN_RUNS = ('config', 'ann_file', 'decode', 'parameters', 'resolver', 'rule', 'targets')


@dataclass(frozen=True)
class ComparisonEntry:
    """One model, with one dump or those of several runs: a line of the main table.

    Attributes:
        name: unique, in tables and plots; ends in ' (oracle)' where the header has ``resolver='oracle'``.
        headers: of the dumps.
        runs: scored expressions of each dump.
        summary: the metrics of ``summarise``, fractions, mean over the runs.
    """
    name: str
    headers: Sequence[Mapping[str, Any]]
    runs: Sequence[Sequence[Row]]
    summary: Mapping[str, float]

    def split(self, breakdown: str) -> dict[str, list[list[Row]]]:
        """Return the scored expressions of each group, of each run; ``breakdown`` is a key of ``BREAKDOWNS``."""
        groups = [BREAKDOWNS[breakdown](rows) for rows in self.runs]
        return {name: [each[name] for each in groups] for name in groups[0]}


@dataclass(frozen=True)
class Comparison:
    """Entries in the given order; ``strict`` is whether Precision@X counts IoU > X or IoU >= X."""
    entries: Sequence[ComparisonEntry]
    strict: bool

    def resample(self, *, resamples: int = RESAMPLES, seed: int = 0) -> Resamples:
        """Draw images and runs; see ``mmpartref.evaluation.comparison.bootstrap.resample``."""
        return resample([rows for entry in self.entries for rows in entry.runs],
                        runs=[len(entry.runs) for entry in self.entries], strict=self.strict, resamples=resamples,
                        seed=seed)


def read_comparison(paths: Sequence[str | Path], *, names: Sequence[str] | None = None,
                    strict: bool = True) -> Comparison:
    """Read and score dumps.

    Args:
        paths: of the dumps.
        names: one per dump; dumps with one name are runs of one model, e.g. with several seeds.
        strict: whether Precision@X counts IoU > X or IoU >= X.

    Raises:
        InputTypeError: an argument is of another type.
        FileNotFoundError: a dump does not exist.
        ValueError: there is no dump, one is damaged or empty, two of them have different refs, expressions or
            ground truth, the names are not one per dump, or the dumps of one name are not of one model.
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
    reading = [(dump, file) for dump, file in zip(dumps, files, strict=True) if not is_text_blind(dump)]
    for dump, file in reading[1:]:
        check_same_expressions(reading[0][0], dump, reading[0][1], file)
    models: dict[str, list[PredictionDump]] = {}
    seen = set()
    for name, file, dump in zip(labels, files, dumps, strict=True):
        run = name, Path(file).resolve()
        if run in seen:
            raise InputError(f'{shown_name(file)} is given twice as a run of {shown(name)}; give each dump once')
        seen.add(run)
        models.setdefault(name, []).append(dump)
    return Comparison([_entry(name, of_name, strict) for name, of_name in models.items()], strict)


def _entry(name: str, dumps: Sequence[PredictionDump], strict: bool) -> ComparisonEntry:
    """Score the dumps of one model."""
    for key in SAME_IN_RUNS:
        found = sorted({shown(dump.header.get(key)) for dump in dumps})
        if len(found) > 1:
            raise InputError(f'the dumps named {shown(name)} differ in {key} ({", ".join(found)}); runs of one model '
                             'have the same, give other models other --names')
    runs = [score_dump(dump) for dump in dumps]
    summaries = [summarise(rows, strict=strict) for rows in runs]
    return ComparisonEntry(name, [dump.header for dump in dumps], runs,
                           {key: mean([each[key] for each in summaries]) for key in summaries[0]
                            if all(key in each for each in summaries)})


def name_entries(dumps: Sequence[PredictionDump], files: Sequence[str], names: Sequence[str] | None) -> list[str]:
    """Return one name per dump: ``names``, or the header's name, the config's stem, the file's stem.

    Of those that are not given, names that occur twice are replaced by the file's stem, and stems that occur twice by
    the file's path.

    Raises:
        InputTypeError: ``names`` are not a list of strings.
        ValueError: a name is blank, there are not as many names as dumps, or one dump is given twice.
    """
    if names is not None:
        names = [check_text(name, f'names[{number}]', blank=False)
                 for number, name in enumerate(check_sequence(names, 'names', 'strings'))]
        if len(names) != len(files):
            raise InputError(f'there are {len(files)} dumps but {len(names)} names; give one name per dump, in order')
    stems = [Path(file).stem for file in files]
    chosen = names or [_header_name(dump.header) or stem for dump, stem in zip(dumps, stems, strict=True)]
    labels = _labels(chosen, dumps)
    if names:
        return labels
    for fallback in (_labels(stems, dumps), _labels(files, dumps)):
        counts = Counter(labels)
        labels = [spare if counts[label] > 1 else label for label, spare in zip(labels, fallback, strict=True)]
    twice = [label for label, count in Counter(labels).items() if count > 1]
    if twice:
        raise InputError(f"two dumps have the name {shown(twice[0])}; give them names with --names, one name for all "
                         'runs of one model')
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

"""Tables of a comparison: metrics, paired differences and breakdowns.

For readers metrics are in percent; CSV has fractions.
"""
import math
from collections.abc import Sequence

from mmpartref.errors import InputError
from mmpartref.evaluation.comparison.bootstrap import (
    DETECTABLE,
    PRECISIONS,
    SIZE_METRICS,
    Resamples,
    check_resamples,
    paired_differences,
)
from mmpartref.evaluation.comparison.compare_dumps import Comparison, ComparisonEntry, check_comparison
from mmpartref.evaluation.scoring.grouped_metrics import BREAKDOWNS
from mmpartref.evaluation.scoring.iou_metrics import GROUP_METRICS, Row, group_metrics, mean
from mmpartref.tables import Cell, Column, Estimate, Table, percent_columns
from mmpartref.text import shown, shown_name

# Metrics with a p-value for each pair.
TESTED_METRICS = ('mIoU', 'cIoU', 'P@0.5', *SIZE_METRICS)
# Keys of a dump's header that are noted below the table.
NOTED = ('decode', 'choices', 'device')
# Below these numbers the table warns; by simulation of equal models: of 10 images p <= .05 in 7 % of the cases.
FEW_RUNS, FEW_IMAGES = 5, 10
IN_PERCENT = ('Metrics in percent.', )


def main_table(comparison: Comparison, resamples: Resamples) -> Table:
    """Return one line per model: metrics, then size and speed from the dumps' headers.

    Raises:
        InputTypeError: an argument is of another type.
        InputError: a header's value is not a number, or ``resamples`` are of other models.
    """
    check_comparison(comparison)
    check_resamples(resamples, len(comparison.entries))
    metrics = ('cIoU', *PRECISIONS, 'mIoU_part', 'mIoU_super', 'ann_mIoU', 'ann_cIoU', 'ann_P@0.5')
    several = any(len(entry.runs) > 1 for entry in comparison.entries)
    columns = [Column('name'), *([Column('runs')] if several else []), Column('mIoU', percent=True, interval=True),
               *percent_columns(*metrics), Column('parameters (M)'), Column('GFLOPs per expression'),
               Column('seconds per image', 4)]
    cells: list[list[Cell]] = []
    for number, entry in enumerate(comparison.entries):
        parameters = header_number(entry, 'parameters')
        cells.append([entry.name, *([len(entry.runs)] if several else []),
                      Estimate(entry.summary['mIoU'], *resamples.interval(number, 'mIoU')),
                      *(entry.summary[name] for name in metrics), None if parameters is None else parameters / 1e6,
                      header_number(entry, 'gflops_per_expression'), header_number(entry, 'seconds_per_image')])
    notes = [precision_note(comparison.strict), f'mIoU with {resamples.method()}.']
    row_notes = ['; '.join(f'{key} {value}' for key in NOTED if (value := header_text(entry, key)))
                 for entry in comparison.entries]
    return Table('Comparison', columns, cells, notes, row_notes, IN_PERCENT)


def header_text(entry: ComparisonEntry, key: str) -> str:
    """Return what the headers of a model's dumps have at a key, each value once; '' for nothing."""
    return ' or '.join(dict.fromkeys(str(header[key]) for header in entry.headers if header.get(key)))


def header_number(entry: ComparisonEntry, key: str) -> float | None:
    """Return a number from the dumps' headers, the mean over the runs; None where one lacks the key.

    Raises:
        ValueError: it is not a finite number from 0 up.
    """
    values = [header.get(key) for header in entry.headers]
    for value in values:
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)
                                  or not math.isfinite(value) or value < 0):
            raise InputError(f'the header of the dump {shown_name(entry.name)} has {key} {shown(value)}; write a '
                             'number from 0 up, or drop the key')
    numbers = [float(value) for value in values if value is not None]
    return mean(numbers) if len(numbers) == len(values) else None


def precision_note(strict: bool) -> str:
    """Return the note below a table that P@X counts IoU > X, or >= X if not ``strict``."""
    return f"P@X counts IoU {'>' if strict else '>='} X."


def significance_table(comparison: Comparison, resamples: Resamples) -> Table:
    """Return one line per metric and pair of models: the difference, its interval and p-values.

    Raises:
        InputTypeError, InputError: an argument is of another type, or ``resamples`` are of other models.
    """
    check_comparison(comparison)
    check_resamples(resamples, len(comparison.entries))
    entries = comparison.entries
    several = len(entries) > 2
    cells: list[list[Cell]] = []
    for metric in TESTED_METRICS:
        if metric not in entries[0].summary:
            continue
        pairs = paired_differences(resamples, [entry.summary[metric] for entry in entries], metric)
        cells += [[metric, entries[pair.first].name, entries[pair.second].name,
                   Estimate(pair.difference, pair.low, pair.high), pair.detectable, pair.p,
                   *([pair.p_holm] if several else [])] for pair in pairs]
    # As many decimals as the smallest p needs.
    decimals = max(4, len(str(len(resamples.values))))
    columns = [Column('metric'), Column('first', left=True), Column('second', left=True),
               Column('difference', percent=True, interval=True), Column('detectable', percent=True),
               Column('p', decimals),
               *([Column('p (Holm)', decimals)] if several else [])]
    notes = [precision_note(comparison.strict),
             f'First minus second, with {resamples.method()}; all models on the same draws.',
             f'Detectable is the smallest difference that is found with a probability of 80 %, {DETECTABLE:.1f} '
             'standard errors (Bloom 1995).',
             *run_notes(resamples),
             f'p is two-sided and cannot fall below 1/{len(resamples.values) + 1}.',
             *(['p (Holm) is corrected for the number of pairs, within each metric.'] if several else [])]
    return Table('Paired differences', columns, cells, notes, format_notes=IN_PERCENT)


def run_notes(resamples: Resamples) -> list[str]:
    """Return a note on what p-values of few runs and images mean."""
    notes = []
    if min(resamples.runs) < FEW_RUNS:
        notes.append('With one run of a model, p and intervals are of its checkpoint, not of its training; with fewer '
                     f'than {FEW_RUNS} they are rough.')
    if resamples.images < FEW_IMAGES:
        notes.append(f'Intervals over fewer than {FEW_IMAGES} images are too narrow, and p too small.')
    return notes


def breakdown_tables(comparison: Comparison) -> list[Table]:
    """Return one table per breakdown, one line per group: its size, then each model's metrics.

    Raises:
        InputTypeError: ``comparison`` is of another type.
    """
    check_comparison(comparison)
    columns = [Column('n'), *percent_columns(*(f'{entry.name} {metric}'
                                               for entry in comparison.entries for metric in GROUP_METRICS))]
    tables = []
    for title in BREAKDOWNS:
        split_runs = [entry.split(title) for entry in comparison.entries]
        cells: list[list[Cell]] = []
        for group, runs in split_runs[0].items():
            cells.append([group, len(runs[0]), *(value for each in split_runs
                                                 for value in mean_metrics(each[group], comparison.strict))])
        tables.append(Table(f'By {title}', [Column(title), *columns], cells, [precision_note(comparison.strict)],
                            format_notes=IN_PERCENT))
    return tables


def breakdown_list(comparison: Comparison) -> Table:
    """Return all breakdowns as one table in long form, one line per breakdown, group and model.

    Raises:
        InputTypeError: ``comparison`` is of another type.
    """
    check_comparison(comparison)
    cells: list[list[Cell]] = []
    for title in BREAKDOWNS:
        for entry in comparison.entries:
            for group, runs in entry.split(title).items():
                cells.append([title, group, entry.name, len(runs[0]), *mean_metrics(runs, comparison.strict)])
    columns = [Column('breakdown'), Column('group', left=True), Column('name', left=True), Column('n'),
               *percent_columns(*GROUP_METRICS)]
    return Table('Breakdowns', columns, cells, [precision_note(comparison.strict)], format_notes=IN_PERCENT)


def mean_metrics(runs: Sequence[Sequence[Row]], strict: bool) -> list[float]:
    """Return ``GROUP_METRICS`` of a group, mean over the runs."""
    return [mean(values) for values in zip(*(group_metrics(rows, strict).values() for rows in runs), strict=True)]

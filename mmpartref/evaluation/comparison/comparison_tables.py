"""A comparison as tables in Markdown, CSV and LaTeX.

A table is made once, of numbers, and rendered three times. Markdown and LaTeX are to be read: percent, rounded. CSV is
for programs: fractions from 0 to 1 with all digits, an interval as three columns.
"""
import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmpartref.errors import InputError
from mmpartref.evaluation.comparison.bootstrap import THRESHOLDS, Resamples, paired_differences
from mmpartref.evaluation.comparison.compare_dumps import Comparison, Entry
from mmpartref.evaluation.scoring.grouped_metrics import BREAKDOWNS, FIGURES, group_figures

# A p-value per pair for each of these.
COMPARED = ('mIoU', 'cIoU', 'P@0.5')
MISSING = '-'


@dataclass(frozen=True)
class Estimate:
    """A figure and its interval."""
    value: float
    low: float
    high: float


Cell = str | int | float | Estimate | None


@dataclass(frozen=True)
class Column:
    """A heading and how Markdown and LaTeX show the numbers below it: ``decimals`` after the point, or percent."""
    name: str
    decimals: int = 2
    percent: bool = False
    interval: bool = False


@dataclass(frozen=True)
class Table:
    """Cells by line; None where a figure is unknown.

    Attributes:
        notes: sentences that go below the table.
        line_notes: one per line, or none at all; below the table too, in CSV a last column 'notes'.
    """
    title: str
    columns: Sequence[Column]
    cells: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    line_notes: Sequence[str] = field(default=())

    def remarks(self) -> list[str]:
        """Return what stands below the table when it is read."""
        percent = ['Metrics in percent.'] if any(column.percent for column in self.columns) else []
        named = [f'{line[0]}: {note}' for line, note in zip(self.cells, self.line_notes, strict=False) if note]
        return [*percent, *self.notes, *named]


def main_table(comparison: Comparison, resamples: Resamples) -> Table:
    """Return one line per model: metrics, then what the headers say of size and speed.

    Raises:
        ValueError: a header's figure is no number.
    """
    metrics = ('cIoU', *THRESHOLDS, 'mIoU_part', 'mIoU_super', 'ann_mIoU', 'ann_cIoU', 'ann_P@0.5')
    columns = [Column('name'), Column('mIoU', percent=True, interval=True),
               *(Column(name, percent=True) for name in metrics),
               Column('parameters (M)'), Column('GFLOPs per expression'), Column('seconds per photo', 4)]
    cells: list[list[Cell]] = []
    for number, entry in enumerate(comparison.entries):
        parameters = header_number(entry, 'parameters')
        cells.append([entry.name, Estimate(entry.summary['mIoU'], *resamples.interval(number, 'mIoU')),
                      *(entry.summary[name] for name in metrics), None if parameters is None else parameters / 1e6,
                      header_number(entry, 'gflops_per_expression'), header_number(entry, 'seconds_per_photo')])
    notes = [precision_note(comparison.strict), f'mIoU with {resamples.method()}.']
    return Table('Comparison', columns, cells, notes, [header_note(entry.header) for entry in comparison.entries])


def header_number(entry: Entry, key: str) -> float | None:
    """Return a number from a dump's header, None where it is not there.

    Raises:
        ValueError: it is something else, or negative.
    """
    value = entry.header.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise InputError(f"the dump of {entry.name} says {key} {value!r} in its header; write a number from 0 up, or "
                         'leave it out')
    return float(value)


def header_note(header: Mapping[str, Any]) -> str:
    """Return how the masks were decoded, which published choices were taken and where the model was timed."""
    return '; '.join(f'{key} {header[key]}' for key in ('decode', 'choices', 'device') if header.get(key))


def precision_note(strict: bool) -> str:
    """Say what Precision@X counts."""
    return f"P@X counts IoU {'>' if strict else '>='} X."


def significance_table(comparison: Comparison, resamples: Resamples) -> Table:
    """Return one line per metric and pair of models: the difference, its interval and p-values."""
    entries = comparison.entries
    several = len(entries) > 2
    cells: list[list[Cell]] = []
    for metric in COMPARED:
        pairs = paired_differences(resamples, [entry.summary[metric] for entry in entries], metric)
        cells += [[metric, entries[pair.first].name, entries[pair.second].name,
                   Estimate(pair.difference, pair.low, pair.high), pair.p, *([pair.p_holm] if several else [])]
                  for pair in pairs]
    # As many decimals as the smallest p needs.
    decimals = max(4, len(str(len(resamples.values))))
    columns = [Column('metric'), Column('first'), Column('second'), Column('difference', percent=True, interval=True),
               Column('p', decimals), *([Column('p (Holm)', decimals)] if several else [])]
    notes = [precision_note(comparison.strict),
             f'First minus second, with {resamples.method()}; all models on the same draws.',
             f'p is two-sided and cannot fall below 1/{len(resamples.values) + 1}.',
             *(['p (Holm) is corrected for the number of pairs, within each metric.'] if several else [])]
    return Table('Paired differences', columns, cells, notes)


def breakdown_tables(comparison: Comparison) -> list[Table]:
    """Return one table per breakdown, one line per group: its size, then each model's figures."""
    columns = [Column('n'), *(Column(f'{entry.name} {figure}', percent=True)
                              for entry in comparison.entries for figure in FIGURES)]
    tables = []
    for title, split in BREAKDOWNS.items():
        split_rows = [split(entry.rows) for entry in comparison.entries]
        cells: list[list[Cell]] = []
        for group, rows in split_rows[0].items():
            figures = [group_figures(each[group], comparison.strict) for each in split_rows]
            cells.append([group, len(rows), *(each[figure] for each in figures for figure in FIGURES)])
        tables.append(Table(f'By {title}', [Column(title), *columns], cells, [precision_note(comparison.strict)]))
    return tables


def breakdown_list(comparison: Comparison) -> Table:
    """Return all breakdowns as one long table, a line per group and model, as programs like it."""
    cells: list[list[Cell]] = []
    for title, split in BREAKDOWNS.items():
        for entry in comparison.entries:
            for group, rows in split(entry.rows).items():
                cells.append([title, group, entry.name, len(rows), *group_figures(rows, comparison.strict).values()])
    columns = [Column('breakdown'), Column('group'), Column('name'), Column('n'),
               *(Column(figure, percent=True) for figure in FIGURES)]
    return Table('Breakdowns', columns, cells, [precision_note(comparison.strict)])


def to_markdown(table: Table) -> str:
    """Render with a heading; a '|' in a name is escaped."""
    lines = [[column.name for column in table.columns], *_shown(table)]
    escaped = [[cell.replace('\\', '\\\\').replace('|', '\\|') for cell in line] for line in lines]
    widths = [max(3, *map(len, column)) for column in zip(*escaped, strict=True)]
    flush = [str.rjust if right else str.ljust for right in _numeric(table)]
    rule = ['-' * (width - 1) + ':' if right else '-' * width
            for width, right in zip(widths, _numeric(table), strict=True)]
    padded = [[put(cell, width) for cell, width, put in zip(line, widths, flush, strict=True)] for line in escaped]
    body = '\n'.join('| ' + ' | '.join(line) + ' |' for line in [padded[0], rule, *padded[1:]])
    remarks = '\n'.join(f'- {remark}' for remark in table.remarks())
    return f'### {table.title}\n\n{body}\n' + (f'\n{remarks}\n' if remarks else '')


def to_csv(table: Table) -> str:
    """Render a heading line and the cells; an interval adds the columns '..._low' and '..._high'."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator='\n')
    heads = [[column.name, *([f'{column.name}_low', f'{column.name}_high'] if column.interval else [])]
             for column in table.columns]
    writer.writerow([*(name for head in heads for name in head), *(['notes'] if table.line_notes else [])])
    for number, line in enumerate(table.cells):
        values: list[str | int | float] = []
        for cell in line:
            if isinstance(cell, Estimate):
                values += [cell.value, cell.low, cell.high]
            else:
                values.append(MISSING if cell is None else cell)
        writer.writerow([*values, *([' '.join([*table.notes, table.line_notes[number]])] if table.line_notes else [])])
    return file.getvalue()


LATEX = {'\\': r'\textbackslash{}', '~': r'\textasciitilde{}', '^': r'\textasciicircum{}', '<': r'\textless{}',
         '>': r'\textgreater{}', '|': r'\textbar{}', '[': '{[}', **{sign: f'\\{sign}' for sign in '&%$#_{}'}}


def escape_latex(text: str) -> str:
    """Escape what LaTeX would act on; '[' too, which after a line break would be read as a length."""
    return ''.join(LATEX.get(sign, sign) for sign in text)


def to_latex(table: Table) -> str:
    """Render a table environment; the document needs the package booktabs."""
    def line(cells: Sequence[str]) -> str:
        return ' & '.join(map(escape_latex, cells)) + r' \\'

    align = ''.join('r' if right else 'l' for right in _numeric(table))
    return '\n'.join([r'\begin{table}', r'\centering', rf'\caption{{{escape_latex(table.title)}}}',
                      rf'\begin{{tabular}}{{{align}}}', r'\toprule', line([column.name for column in table.columns]),
                      r'\midrule', *map(line, _shown(table)), r'\bottomrule', r'\end{tabular}',
                      *(rf'\par{{\footnotesize {escape_latex(remark)}}}' for remark in table.remarks()),
                      r'\end{table}', ''])


RENDERERS: Mapping[str, Callable[[Table], str]] = {'markdown': to_markdown, 'csv': to_csv, 'latex': to_latex}


def _shown(table: Table) -> list[list[str]]:
    return [[_show(cell, column) for cell, column in zip(line, table.columns, strict=True)] for line in table.cells]


def _show(cell: Cell, column: Column) -> str:
    def number(value: float) -> str:
        return f'{100 * value if column.percent else value:.{column.decimals}f}'

    if isinstance(cell, Estimate):
        return f'{number(cell.value)} [{number(cell.low)}, {number(cell.high)}]'
    if isinstance(cell, float):
        return number(cell)
    return MISSING if cell is None else str(cell)


def _numeric(table: Table) -> list[bool]:
    return [all(not isinstance(line[index], str) for line in table.cells) for index in range(len(table.columns))]

"""Tables as plain text, Markdown, CSV and LaTeX.

Plain text, Markdown and LaTeX are for readers: rounded, and percent where a column is. CSV is for programs: numbers as
they are, an interval as three columns.
"""
import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from mmpartref.text import one_line

MISSING = '-'
# Characters; rich shortens the cells of a table that is wider than its console.
MAX_WIDTH = 1_000_000
# Characters of a cell; the middle of a longer text is not shown, except in CSV.
MAX_CELL = 1000
LATEX_ESCAPES = {'\\': r'\textbackslash{}', '~': r'\textasciitilde{}', '^': r'\textasciicircum{}',
                 '<': r'\textless{}', '>': r'\textgreater{}', '|': r'\textbar{}', '[': '{[}',
                 **{sign: f'\\{sign}' for sign in '&%$#_{}'}}


@dataclass(frozen=True)
class Estimate:
    """A number with its interval."""
    value: float
    low: float
    high: float


Cell = str | int | float | Estimate | None


@dataclass(frozen=True)
class Column:
    """A heading and the format of the floats below it.

    Attributes:
        name: heading; where all headings of a table are empty, plain text has no heading line.
        decimals: after the point.
        percent: multiply by 100, except in CSV.
        interval: the cells are ``Estimate``; CSV gets the columns ``<name>_low`` and ``<name>_high`` too.
        left: set flush left; the first column always is.
    """
    name: str
    decimals: int = 2
    percent: bool = False
    interval: bool = False
    left: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of cells below a title and headings.

    Attributes:
        title: a line above the table; '' for none.
        columns: one per cell of a row.
        rows: None stands for an unknown number and is shown as '-'.
        notes: sentences below the table.
        row_notes: one per row, or none; below the table too, in CSV a last column 'notes'.
        format_notes: sentences on how cells are shown; above the other notes, not in CSV.
    """
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    row_notes: Sequence[str] = ()
    format_notes: Sequence[str] = ()

    def all_notes(self) -> list[str]:
        """Return all notes, those of rows behind the row's first cell."""
        named = [f'{row[0]}: {note}' for row, note in zip(self.rows, self.row_notes, strict=False) if note]
        return [*self.format_notes, *self.notes, *named]

    def texts(self) -> list[list[str]]:
        """Return the cells as text, without the headings."""
        return [[_cell_text(cell, column) for cell, column in zip(row, self.columns, strict=True)]
                for row in self.rows]

    def left(self) -> list[bool]:
        """Return for each column whether it is aligned left; the first one always is."""
        return [number == 0 or column.left for number, column in enumerate(self.columns)]


def percent(value: float) -> str:
    """Return a fraction as percent with two decimals."""
    return f'{100 * value:.2f}'


def percent_columns(*names: str) -> list[Column]:
    """Return columns of fractions that are shown in percent."""
    return [Column(name, percent=True) for name in names]


def to_text(table: Table) -> str:
    """Render for a terminal or a log file: one line per row of any length, without colours and rules."""
    grid = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style='',
                     show_header=any(column.name for column in table.columns))
    for column, left in zip(table.columns, table.left(), strict=True):
        grid.add_column(Text(column.name), justify='left' if left else 'right', no_wrap=True, overflow='crop')
    for row in table.texts():
        grid.add_row(*map(Text, row))
    file = io.StringIO()
    Console(file=file, width=MAX_WIDTH, color_system=None, force_terminal=False, force_jupyter=False).print(grid)
    lines = [f'  {line.rstrip()}' for line in file.getvalue().splitlines()]
    return '\n'.join([*([table.title] if table.title else []), *lines, *(f'  {note}' for note in table.all_notes())])


def to_markdown(table: Table) -> str:
    """Render with the title as a heading; a '|' in a cell is escaped."""
    lines = [[column.name for column in table.columns], *table.texts()]
    escaped = [[cell.replace('\\', '\\\\').replace('|', '\\|') for cell in line] for line in lines]
    widths = [max(3, *map(len, column)) for column in zip(*escaped, strict=True)]
    rule = ['-' * width if left else '-' * (width - 1) + ':' for width, left in zip(widths, table.left(), strict=True)]
    padded = [[cell.ljust(width) if left else cell.rjust(width)
               for cell, width, left in zip(line, widths, table.left(), strict=True)] for line in escaped]
    body = ''.join(f"| {' | '.join(line)} |\n" for line in [padded[0], rule, *padded[1:]])
    notes = ''.join(f'- {note}\n' for note in table.all_notes())
    return (f'### {table.title}\n\n' if table.title else '') + body + (f'\n{notes}' if notes else '')


def to_csv(table: Table) -> str:
    """Render a heading line and the rows, numbers with all their digits."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator='\n')
    heads = [name for column in table.columns
             for name in (column.name, *([f'{column.name}_low', f'{column.name}_high'] if column.interval else []))]
    writer.writerow([*heads, *(['notes'] if table.row_notes else [])])
    for number, row in enumerate(table.rows):
        values: list[str | int | float] = []
        for cell in row:
            if isinstance(cell, Estimate):
                values += [cell.value, cell.low, cell.high]
            else:
                values.append(MISSING if cell is None else cell)
        writer.writerow([*values, *([' '.join([*table.notes, table.row_notes[number]])] if table.row_notes else [])])
    return file.getvalue()


def to_latex(table: Table) -> str:
    """Render a table environment; the document needs the package booktabs."""
    def line(cells: Sequence[str]) -> str:
        return ' & '.join(map(escape_latex, cells)) + r' \\'

    alignment = ''.join('l' if left else 'r' for left in table.left())
    return '\n'.join([r'\begin{table}', r'\centering', rf'\caption{{{escape_latex(table.title)}}}',
                      rf'\begin{{tabular}}{{{alignment}}}', r'\toprule',
                      line([column.name for column in table.columns]), r'\midrule',
                      *map(line, table.texts()), r'\bottomrule', r'\end{tabular}',
                      *(rf'\par{{\footnotesize {escape_latex(note)}}}' for note in table.all_notes()),
                      r'\end{table}', ''])


def escape_latex(text: str) -> str:
    """Escape LaTeX's special characters, and '[', which LaTeX reads as an optional length after a line break."""
    return ''.join(LATEX_ESCAPES.get(sign, sign) for sign in text)


TABLE_FORMATS: Mapping[str, Callable[[Table], str]] = {
    'text': to_text,
    'markdown': to_markdown,
    'csv': to_csv,
    'latex': to_latex,
}


def _cell_text(cell: Cell, column: Column) -> str:
    """Return a cell as text on one line, shortened where it is very long."""
    def number(value: float) -> str:
        return f'{100 * value if column.percent else value:.{column.decimals}f}'

    if isinstance(cell, Estimate):
        return f'{number(cell.value)} [{number(cell.low)}, {number(cell.high)}]'
    if isinstance(cell, float):
        return number(cell)
    return MISSING if cell is None else one_line(str(cell), MAX_CELL)

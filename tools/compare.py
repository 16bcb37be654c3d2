#!/usr/bin/env python
"""Compare dumps of predictions in one table, with confidence intervals, significance and breakdowns."""
import argparse
from pathlib import Path

from mmpartref.arguments import ToolParser, input_path, output_folder, positive_int, seed, text_argument
from mmpartref.errors import InputError, one_sentence_errors
from mmpartref.evaluation.comparison.bootstrap import RESAMPLES, Resamples
from mmpartref.evaluation.comparison.compare_dumps import Comparison, read_comparison
from mmpartref.evaluation.comparison.comparison_plots import draw_plots
from mmpartref.evaluation.comparison.comparison_tables import (
    breakdown_list,
    breakdown_tables,
    main_table,
    significance_table,
)
from mmpartref.files.atomic_write import write_text
from mmpartref.tables import TABLE_FORMATS, Table
from mmpartref.text import shown_name

# Suffixes of the tables and plots.
OUTPUTS = ('.md', '.csv', '.tex', '.png', '.svg')


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument('dumps', type=input_path, nargs='+', metavar='DUMP',
                        help='file that tools/test.py wrote with --dump')
    parser.add_argument('--names', type=text_argument, nargs='+', metavar='NAME',
                        help='names of the models, one per dump; dumps of one name are runs (seeds) of one model')
    parser.add_argument('--out', type=output_folder, metavar='DIR', help='write tables and plots into this folder')
    parser.add_argument('--format', choices=TABLE_FORMATS, default='markdown', help='format of the printed tables')
    parser.add_argument('--inclusive', dest='strict', action='store_false',
                        help='Precision@X counts IoU >= X, not IoU > X')
    parser.add_argument('--resamples', type=positive_int, default=RESAMPLES,
                        help='bootstrap resamples (default: %(default)s)')
    parser.add_argument('--seed', type=seed, default=0, help='seed of the bootstrap (default: %(default)s)')
    return parser.parse_args()


def render(tables: list[Table], name: str) -> str:
    return '\n'.join(TABLE_FORMATS[name](table) for table in tables)


def significance_tables(comparison: Comparison, resamples: Resamples) -> list[Table]:
    """Return the table of paired differences, where there are several models and images."""
    several = len(comparison.entries) > 1 and resamples.images > 1
    return [significance_table(comparison, resamples)] if several else []


def write(folder: Path, tables: dict[str, list[Table]], comparison: Comparison, resamples: Resamples) -> None:
    all_tables = [table for group in tables.values() for table in group]
    contents = {'table.md': render(all_tables, 'markdown'), 'table.csv': render(tables['main'], 'csv'),
                'table.tex': render(all_tables, 'latex'), 'breakdown.csv': render([breakdown_list(comparison)], 'csv')}
    if tables['significance']:
        contents['significance.csv'] = render(tables['significance'], 'csv')
    for name, content in contents.items():
        write_text(folder / name, content)
    draw_plots(comparison, resamples, folder)


@one_sentence_errors()
def main() -> None:
    args = parse_args()
    for dump in map(Path, args.dumps):
        if args.out and dump.suffix in OUTPUTS and dump.resolve().parent == Path(args.out).resolve():
            raise InputError(f'{shown_name(str(dump))} is an input in the folder of the outputs; name another --out')
    comparison = read_comparison(args.dumps, names=args.names, strict=args.strict)
    resamples = comparison.resample(resamples=args.resamples, seed=args.seed)
    tables = {'main': [main_table(comparison, resamples)],
              'significance': significance_tables(comparison, resamples),
              'breakdowns': breakdown_tables(comparison)}
    print(render([table for group in tables.values() for table in group], args.format))
    if args.out:
        write(Path(args.out), tables, comparison, resamples)


if __name__ == '__main__':
    main()

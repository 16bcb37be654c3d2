#!/usr/bin/env python
"""Compare dumps of predictions: one table, with intervals, significance and breakdowns."""
import argparse
from pathlib import Path

from mmpartref.evaluation.comparison.bootstrap import RESAMPLES, Resamples, resample
from mmpartref.evaluation.comparison.compare_dumps import Comparison, read_comparison
from mmpartref.evaluation.comparison.comparison_plots import draw_plots
from mmpartref.evaluation.comparison.comparison_tables import (
    RENDERERS,
    Table,
    breakdown_list,
    breakdown_tables,
    main_table,
    significance_table,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('dumps', nargs='+', metavar='DUMP', help='file that tools/test.py wrote with --dump')
    parser.add_argument('--names', nargs='+', metavar='NAME', help='what to call them, one per dump')
    parser.add_argument('--out', metavar='DIR', help='write tables and plots into this folder')
    parser.add_argument('--format', choices=RENDERERS, default='markdown', help='of what is printed')
    parser.add_argument('--inclusive', dest='strict', action='store_false',
                        help='Precision@X counts IoU >= X, not IoU > X')
    parser.add_argument('--resamples', type=int, default=RESAMPLES, help='of the bootstrap (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='of the bootstrap (default: %(default)s)')
    return parser.parse_args()


def render(tables: list[Table], name: str) -> str:
    return '\n'.join(RENDERERS[name](table) for table in tables)


def write(folder: Path, tables: dict[str, list[Table]], comparison: Comparison, resamples: Resamples) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    all_tables = [table for group in tables.values() for table in group]
    contents = {'table.md': render(all_tables, 'markdown'), 'table.csv': render(tables['main'], 'csv'),
                'table.tex': render(all_tables, 'latex'), 'breakdown.csv': render([breakdown_list(comparison)], 'csv')}
    if tables['significance']:
        contents['significance.csv'] = render(tables['significance'], 'csv')
    for name, content in contents.items():
        (folder / name).write_text(content, encoding='utf-8')
    draw_plots(comparison, resamples, folder)


def main() -> None:
    args = parse_args()
    try:
        comparison = read_comparison(args.dumps, names=args.names, strict=args.strict)
        resamples = resample([entry.rows for entry in comparison.entries], strict=args.strict,
                             resamples=args.resamples, seed=args.seed)
        tables = {'main': [main_table(comparison, resamples)],
                  'significance': [significance_table(comparison, resamples)] if len(args.dumps) > 1 else [],
                  'breakdowns': breakdown_tables(comparison)}
        print(render([table for group in tables.values() for table in group], args.format))
        if args.out:
            write(Path(args.out), tables, comparison, resamples)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from None


if __name__ == '__main__':
    main()

#!/usr/bin/env python
"""Score a dump of predictions again, without the model and the data set."""
import argparse
import json
from pathlib import Path

from mmpartref.evaluation.dump import read_dump
from mmpartref.evaluation.report import describe_header, format_table, summarise


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('dump', help='file that tools/test.py wrote with --dump')
    boundary = parser.add_mutually_exclusive_group()
    boundary.add_argument(
        '--strict', dest='strict', action='store_true', default=True, help='Precision@X counts IoU > X (default)')
    boundary.add_argument('--inclusive', dest='strict', action='store_false', help='Precision@X counts IoU >= X')
    parser.add_argument('--json', metavar='OUT', help='write the metrics, fractions from 0 to 1, to this file')
    parser.add_argument('--by-part', action='store_true', help='one line per part as well')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    try:
        dump = read_dump(args.dump)
        rows = dump.rows()
        print(format_table(rows, strict=args.strict, note=describe_header(dump.header), by_part=args.by_part))
        summary = summarise(rows, strict=args.strict)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from None
    if args.json:
        Path(args.json).write_text(json.dumps(summary, indent=2) + '\n')


if __name__ == '__main__':
    main()

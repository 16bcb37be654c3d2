#!/usr/bin/env python
"""Score a dump of predictions again, without the model and the data set."""
import argparse
import json
from pathlib import Path

from mmpartref.evaluation.dump import read_dump
from mmpartref.evaluation.report import describe_header, format_table, summarise
from mmpartref.evaluation.sweep import best_threshold, dump_at, format_sweep, sweep


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('dump', help='file that tools/test.py wrote with --dump')
    boundary = parser.add_mutually_exclusive_group()
    boundary.add_argument(
        '--strict', dest='strict', action='store_true', default=True, help='Precision@X counts IoU > X (default)')
    boundary.add_argument('--inclusive', dest='strict', action='store_false', help='Precision@X counts IoU >= X')
    parser.add_argument('--json', metavar='OUT', help='write the metrics, fractions from 0 to 1, to this file')
    parser.add_argument('--by-part', action='store_true', help='one line per part as well')
    parser.add_argument('--sweep', action='store_true', help='every threshold, from a dump written with --candidates')
    parser.add_argument('--rule', choices=('union', 'top1'), default='union', help='which candidates a sweep unites')
    parser.add_argument('--metric', default='mIoU', help='what the best threshold of a sweep is best in')
    parser.add_argument('--threshold', type=float, help='score the candidates of the dump at this threshold')
    parser.add_argument('--out', help='write the dump as it is at --threshold to this file')
    return parser.parse_args()


def write_json(path: str | None, content: dict) -> None:
    if path:
        Path(path).write_text(json.dumps(content, indent=2) + '\n')


def main() -> None:
    args = parse_args()
    try:
        dump = read_dump(args.dump)
        if args.sweep:
            results = sweep(dump, rule=args.rule, strict=args.strict)
            best = best_threshold(results, args.metric)
            print(f'{describe_header(dump.header)}\n{format_sweep(results, best)}\nbest {args.metric} at {best}')
            write_json(args.json, {'best_threshold': best, 'metric': args.metric, 'rule': args.rule,
                                   'thresholds': {str(key): value for key, value in results.items()}})
            return
        if args.threshold is not None:
            dump = dump_at(dump, args.threshold, args.rule)
            if args.out:
                dump.write(args.out)
        rows = dump.rows()
        print(format_table(rows, strict=args.strict, note=describe_header(dump.header), by_part=args.by_part))
        summary = summarise(rows, strict=args.strict)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from None
    write_json(args.json, summary)


if __name__ == '__main__':
    main()

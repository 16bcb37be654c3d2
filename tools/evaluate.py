#!/usr/bin/env python
"""Score a dump of predictions again, without the model and the data set."""
import argparse
import json
from pathlib import Path
from typing import Any

from mmpartref.datasets.protocols import load_protocol
from mmpartref.errors import InputError
from mmpartref.evaluation.baselines.decode_ceiling import ceiling_figures, check_ceiling, format_ceiling
from mmpartref.evaluation.dumps.dump import read_dump
from mmpartref.evaluation.scoring.conventions import EMPTY_RULES
from mmpartref.evaluation.scoring.iou_metrics import describe_header, format_table, summarise
from mmpartref.evaluation.scoring.presence import format_presence, summarise_presence
from mmpartref.evaluation.scoring.protocol_metrics import format_protocol, summarise_protocol, tag_rows
from mmpartref.evaluation.scoring.score_dump import score_absent_parts, score_dump
from mmpartref.evaluation.scoring.threshold_sweep import best_threshold, dump_at, format_sweep, sweep


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('dump', help='file that tools/test.py wrote with --dump')
    boundary = parser.add_mutually_exclusive_group()
    boundary.add_argument(
        '--strict', dest='strict', action='store_true', default=True, help='Precision@X counts IoU > X (default)')
    boundary.add_argument('--inclusive', dest='strict', action='store_false', help='Precision@X counts IoU >= X')
    parser.add_argument('--empty', choices=EMPTY_RULES, default='one', help='where prediction and truth are both '
                        'empty: IoU 1 (default), IoU 0, or left out of every mean')
    parser.add_argument('--ceiling', metavar='DUMP', help='decode ceiling of the same refs, shown beside the result by '
                        'mask size; tools/reference_points.py makes one')
    parser.add_argument('--json', metavar='OUT', help='write the metrics, fractions from 0 to 1, to this file')
    parser.add_argument('--by-part', action='store_true', help='one line per part as well')
    parser.add_argument('--sweep', action='store_true', help='every threshold, from a dump written with --candidates')
    parser.add_argument('--rule', choices=('union', 'top1'), default='union', help='which candidates a sweep unites')
    parser.add_argument('--metric', default='mIoU', help='what the best threshold of a sweep is best in')
    parser.add_argument('--threshold', type=float, help='score the candidates of the dump at this threshold')
    parser.add_argument('--out', help='write the dump as it is at --threshold to this file')
    parser.add_argument('--presence-threshold', type=float, metavar='T', help='of absent parts: masks of a lower '
                        'presence count as empty; tools/calibrate_presence.py chooses one on a validation split')
    parser.add_argument('--protocol', metavar='NAME', help='means over seen and unseen parts as well: a name of '
                        'docs/protocols.md, or the .json of a split of your own')
    parser.add_argument('--fold', help='of --protocol, where it has several')
    parser.add_argument('--train-json', metavar='JSON', help="of --protocol partimagenet_ood: its classes are seen")
    args = parser.parse_args()
    if not args.protocol and (args.fold or args.train_json):
        parser.error('--fold and --train-json belong to --protocol')
    if args.sweep and args.protocol:
        parser.error('--protocol stands beside one result; leave out --sweep, or choose with --threshold')
    if args.sweep and args.ceiling:
        parser.error('--ceiling stands beside one result; leave out --sweep, or choose with --threshold')
    return args


def write_json(path: str | None, content: dict) -> None:
    if path:
        Path(path).write_text(json.dumps(content, indent=2) + '\n')


def main() -> None:
    args = parse_args()
    try:
        protocol = load_protocol(args.protocol, args.fold, args.train_json) if args.protocol else None
        dump = read_dump(args.dump)
        if args.sweep:
            results = sweep(dump, rule=args.rule, strict=args.strict, empty=args.empty)
            best = best_threshold(results, args.metric)
            print(f'{describe_header(dump.header)}\n{format_sweep(results, best)}\nbest {args.metric} at {best}')
            write_json(args.json, {'best_threshold': best, 'metric': args.metric, 'rule': args.rule,
                                   'thresholds': {str(key): value for key, value in results.items()}})
            return
        if args.threshold is not None:
            dump = dump_at(dump, args.threshold, args.rule)
            if args.out:
                dump.write(args.out)
        rows = score_dump(dump)
        conventions = {'strict': args.strict, 'empty': args.empty}
        print(format_table(rows, note=describe_header(dump.header), by_part=args.by_part, **conventions))
        summary: dict[str, Any] = summarise(rows, **conventions)
        if args.ceiling:
            ceiling = read_dump(args.ceiling)
            check_ceiling(dump, ceiling, args.dump, args.ceiling)
            figures = ceiling_figures(rows, score_dump(ceiling), **conventions)
            print(format_ceiling(figures, ceiling))
            summary['ceiling'] = figures
        if protocol is not None:
            tagged = tag_rows(rows, protocol, {photo.img_id: photo.img_path for photo in dump.photos})
            print(format_protocol(tagged, protocol, **conventions))
            summary.update(summarise_protocol(tagged, **conventions))
        asked = rows + score_absent_parts(dump)
        if len(asked) == len(rows) and args.presence_threshold is not None:
            raise InputError(f'{args.dump} asks about no absent part, so that --presence-threshold decides nothing')
        if len(asked) > len(rows):
            print(format_presence(asked, args.presence_threshold))
            summary.update(summarise_presence(asked, args.presence_threshold))
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from None
    write_json(args.json, summary)


if __name__ == '__main__':
    main()

#!/usr/bin/env python
"""Compute the metrics of a dump of predictions, without the model and the dataset."""
import argparse
from typing import Any

from mmpartref.arguments import ToolParser, fraction, input_path, is_given, output_file, text_argument
from mmpartref.datasets.protocols import load_protocol
from mmpartref.errors import InputError, one_sentence_errors
from mmpartref.evaluation.baselines.decode_ceiling import ceiling_metrics, check_ceiling, format_ceiling
from mmpartref.evaluation.dumps.dump import PredictionDump, read_dump
from mmpartref.evaluation.scoring.conventions import EMPTY_RULES
from mmpartref.evaluation.scoring.iou_metrics import (
    count_truncated,
    describe_header,
    describe_truncated,
    format_table,
    summarise,
)
from mmpartref.evaluation.scoring.presence import format_presence, summarise_presence
from mmpartref.evaluation.scoring.protocol_metrics import format_protocol, summarise_protocol, tag_rows
from mmpartref.evaluation.scoring.score_dump import score_absent_parts, score_dump
from mmpartref.evaluation.scoring.threshold_sweep import best_threshold, dump_at, format_sweep, sweep
from mmpartref.files.json_files import write_json


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument('dump', type=input_path, help='file that tools/test.py wrote with --dump')
    boundary = parser.add_mutually_exclusive_group()
    boundary.add_argument(
        '--strict', dest='strict', action='store_true', default=True, help='Precision@X counts IoU > X (default)')
    boundary.add_argument('--inclusive', dest='strict', action='store_false', help='Precision@X counts IoU >= X')
    parser.add_argument('--empty', choices=EMPTY_RULES, default='one', help='IoU where prediction and ground truth '
                        'are both empty: 1 (default), 0, or skipped in every mean')
    parser.add_argument('--ceiling', type=input_path, metavar='DUMP',
                        help='dump with the decode ceiling of the same refs, printed next '
                        'to the result by mask size; tools/reference_points.py writes one')
    parser.add_argument('--json', type=output_file, metavar='OUT',
                        help='write the metrics to this JSON file (fractions from 0 to '
                        "1), '-' for stdout")
    parser.add_argument('--by-part', action='store_true', help='print a line per part as well')
    parser.add_argument('--sweep', action='store_true', help='evaluate all thresholds; the dump needs --candidates')
    parser.add_argument('--rule', choices=('union', 'top1'), help='candidates to unite at --threshold or in a sweep '
                        '(default: union)')
    parser.add_argument('--metric', type=text_argument, help='metric that selects the best threshold of a sweep '
                        '(default: mIoU)')
    parser.add_argument('--threshold', type=fraction, help='threshold for the candidates of the dump')
    parser.add_argument('--out', type=output_file, help='write the dump at --threshold to this file')
    parser.add_argument('--presence-threshold', type=fraction, metavar='T', help='count masks of a lower presence as '
                        'empty; tools/calibrate_presence.py chooses a threshold on a validation split')
    parser.add_argument('--protocol', type=text_argument, metavar='NAME',
                        help='print means over seen and unseen parts as well: a name of '
                        'docs/protocols.md, or the .json of a custom split')
    parser.add_argument('--fold', type=text_argument, help='fold of --protocol, if it has several')
    parser.add_argument('--train-json', type=input_path, metavar='JSON',
                        help='json of the seen classes of --protocol partimagenet_ood')
    args = parser.parse_args()
    for option, needed in (('--fold', '--protocol'), ('--train-json', '--protocol'), ('--metric', '--sweep'),
                           ('--out', '--threshold')):
        parser.require(args, option, needed)
    if args.rule and not args.sweep and args.threshold is None:
        parser.error('--rule needs --threshold or --sweep')
    for option in ('threshold', 'out', 'protocol', 'ceiling', 'by_part', 'presence_threshold') if args.sweep else ():
        if is_given(args, option):
            parser.error(f"--{option.replace('_', '-')} needs one threshold, and --sweep evaluates all; remove --sweep")
    args.rule, args.metric = args.rule or 'union', args.metric or 'mIoU'
    return args


def print_sweep(dump: PredictionDump, args: argparse.Namespace) -> dict[str, Any]:
    """Print the metrics at every threshold; return them for --json."""
    results = sweep(dump, rule=args.rule, strict=args.strict, empty=args.empty)
    best = best_threshold(results, args.metric)
    print(f'{describe_header(dump.header)}\n{format_sweep(results, best)}\nbest {args.metric} at {best}')
    return {'best_threshold': best, 'metric': args.metric, 'rule': args.rule,
            'thresholds': {str(key): value for key, value in results.items()}}


def print_metrics(dump: PredictionDump, args: argparse.Namespace) -> dict[str, Any]:
    """Print the metrics; return them for --json.

    Raises:
        InputError: --presence-threshold is given for a dump without absent parts.
    """
    protocol = load_protocol(args.protocol, args.fold, args.train_json) if args.protocol else None
    rows = score_dump(dump)
    conventions = {'strict': args.strict, 'empty': args.empty}
    print(format_table(rows, note=describe_header(dump.header), by_part=args.by_part, **conventions))
    summary: dict[str, Any] = summarise(rows, **conventions)
    if args.ceiling:
        ceiling = read_dump(args.ceiling)
        check_ceiling(dump, ceiling, args.dump, args.ceiling)
        summary['ceiling'] = ceiling_metrics(rows, score_dump(ceiling), **conventions)
        print(format_ceiling(summary['ceiling'], ceiling))
    if protocol is not None:
        tagged = tag_rows(rows, protocol, {image.img_id: image.img_path for image in dump.images})
        print(format_protocol(tagged, protocol, **conventions))
        summary.update(summarise_protocol(tagged, **conventions))
    absent_rows = score_absent_parts(dump)
    if absent_rows:
        print(format_presence(rows + absent_rows, args.presence_threshold))
        summary.update(summarise_presence(rows + absent_rows, args.presence_threshold))
    elif args.presence_threshold is not None:
        raise InputError(f'{args.dump} has no expression of an absent part; remove --presence-threshold')
    summary.update(count_truncated(rows + absent_rows))
    if truncated := describe_truncated(rows + absent_rows):
        print(truncated)
    return summary


@one_sentence_errors()
def main() -> None:
    args = parse_args()
    dump = read_dump(args.dump)
    if args.threshold is not None:
        dump = dump_at(dump, args.threshold, args.rule)
        if args.out:
            dump.write(args.out)
    summary = print_sweep(dump, args) if args.sweep else print_metrics(dump, args)
    if args.json:
        write_json(args.json, summary)


if __name__ == '__main__':
    main()

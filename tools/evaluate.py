#!/usr/bin/env python
"""Compute the metrics of a dump, or of masks that any other program predicted; no model is needed."""
import argparse
import os
from pathlib import Path
from typing import Any

from mmpartref.arguments import ToolParser, fraction, input_path, is_given, output_file, text_argument
from mmpartref.datasets.protocols import load_protocol
from mmpartref.errors import InputError, one_sentence_errors
from mmpartref.evaluation.baselines.decode_ceiling import ceiling_metrics, check_ceiling, format_ceiling
from mmpartref.evaluation.dumps.dump import PredictionDump, read_dump
from mmpartref.evaluation.dumps.mask_folder import PATTERN
from mmpartref.evaluation.dumps.predictions import RULES, Rule
from mmpartref.evaluation.dumps.queries import check_same_queries, read_queries
from mmpartref.evaluation.dumps.query_index import QueryIndex
from mmpartref.evaluation.dumps.read_predictions import dump_predictions
from mmpartref.evaluation.scoring.conventions import EMPTY_RULES
from mmpartref.evaluation.scoring.iou_metrics import (
    count_truncated,
    describe_header,
    describe_truncated,
    format_table,
    summarise,
)
from mmpartref.evaluation.scoring.object_given import compare_object_given, format_object_given, limit_to_objects
from mmpartref.evaluation.scoring.part_ap import PartAP, format_ap, has_categories, instance_ap, merged_ap
from mmpartref.evaluation.scoring.presence import format_presence, summarise_presence
from mmpartref.evaluation.scoring.protocol_metrics import format_protocol, summarise_protocol, tag_rows
from mmpartref.evaluation.scoring.score_dump import score_absent_parts, score_dump
from mmpartref.evaluation.scoring.threshold_sweep import best_threshold, dump_at, format_sweep, sweep
from mmpartref.files.json_files import write_json
from mmpartref.text import shown_name


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument('dump', type=input_path, nargs='?', help='file that tools/test.py wrote with --dump')
    add_prediction_arguments(parser)
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
    parser.add_argument('--ap', action='store_true', help="also print COCO's average precision: of instances for COCO "
                        'results with category ids, otherwise of one mask per expression')
    parser.add_argument('--object', choices=('given', ), help='also score the predictions within their object: the '
                        'union of its annotated parts, or what --object-ann or --object-maps has')
    objects = parser.add_mutually_exclusive_group()
    objects.add_argument('--object-ann', type=input_path, metavar='JSON', help='COCO json of the objects')
    objects.add_argument('--object-maps', type=input_path, metavar='DIR', help="PartImageNet's object maps, "
                         'annotations/<split>_whole')
    parser.add_argument('--by-part', action='store_true', help='print a line per part as well')
    parser.add_argument('--sweep', action='store_true', help='evaluate all thresholds; the dump needs --candidates')
    parser.add_argument('--rule', choices=RULES, help='masks of one expression to unite, of --predictions, at '
                        '--threshold or in a sweep (default for the last two: union)')
    parser.add_argument('--metric', type=text_argument, help='metric that selects the best threshold of a sweep '
                        '(default: mIoU)')
    parser.add_argument('--threshold', type=fraction, help='threshold for the candidates of the dump')
    parser.add_argument('--out', type=output_file, help='write the dump of --predictions, or at --threshold, to this '
                        'file')
    parser.add_argument('--presence-threshold', type=fraction, metavar='T', help='count masks of a lower presence as '
                        'empty; tools/calibrate_presence.py chooses a threshold on a validation split')
    parser.add_argument('--protocol', type=text_argument, metavar='NAME',
                        help='print means over seen and unseen parts as well: a name of '
                        'docs/protocols.md, or the .json of a custom split')
    parser.add_argument('--fold', type=text_argument, help='fold of --protocol, if it has several')
    parser.add_argument('--train-json', type=input_path, metavar='JSON',
                        help='json of the seen classes of --protocol partimagenet_ood')
    args = parser.parse_args()
    check_predictions(parser, args)
    for option, needed in (('--fold', '--protocol'), ('--train-json', '--protocol'), ('--metric', '--sweep'),
                           ('--object-ann', '--object'), ('--object-maps', '--object')):
        parser.require(args, option, needed)
    if args.rule and not args.sweep and args.threshold is None and not args.predictions:
        parser.error('--rule needs --predictions, --threshold or --sweep')
    if args.out and args.threshold is None and not args.predictions:
        parser.error('--out needs --predictions or --threshold')
    for option in ('threshold', 'out', 'protocol', 'ceiling', 'by_part', 'presence_threshold',
                   'object', 'ap') if args.sweep else ():
        if is_given(args, option):
            parser.error(f"--{option.replace('_', '-')} needs one threshold, and --sweep evaluates all; remove --sweep")
    args.metric = args.metric or 'mIoU'
    return args


def add_prediction_arguments(parser: ToolParser) -> None:
    """Add the arguments that masks of another program need."""
    group = parser.add_argument_group('masks of another program')
    group.add_argument('--predictions', type=input_path, metavar='X', help='COCO results .json, .jsonl, or a folder of '
                       'PNG masks, in place of a dump (docs/evaluate_any_model.md)')
    group.add_argument('--ann-file', type=input_path, metavar='JSON', help='COCO json of the parts, for --predictions')
    group.add_argument('--queries', type=input_path, metavar='Q', help='file of tools/export_queries.py with the '
                       'queries that the dump or --predictions must be of')
    group.add_argument('--pattern', type=text_argument, help=f'names of the PNG masks in a folder, below it (default: '
                       f'{PATTERN})')
    group.add_argument('--score-threshold', type=fraction, metavar='T', help='ignore masks of a lower score')


def check_predictions(parser: ToolParser, args: argparse.Namespace) -> None:
    """End the program unless there is either a dump or predictions, with what they need."""
    if bool(args.dump) == bool(args.predictions):
        parser.error('give either a dump or --predictions')
    for option in ('--ann-file', '--pattern', '--score-threshold'):
        parser.require(args, option, '--predictions')
    parser.require(args, '--predictions', '--ann-file')
    if args.predictions and args.threshold is not None:
        parser.error('--threshold is for a dump; use --score-threshold')
    for folder in (args.predictions, args.object_maps):
        for output in (args.out, args.json):
            if folder and output and os.path.isdir(folder) and Path(folder).resolve() in Path(output).resolve().parents:
                parser.error(f'{shown_name(output)} is in the folder {shown_name(folder)}, which is read; name another')
    if args.predictions and args.sweep and (args.score_threshold is not None):
        parser.error('--sweep evaluates all thresholds; remove --score-threshold')
    if args.pattern and not os.path.isdir(args.predictions or ''):
        parser.error('--pattern is for a folder of PNG masks')
    if args.predictions and args.sweep and args.out:
        parser.error('--sweep evaluates all thresholds and --out writes one; remove one of them')


def read_input(args: argparse.Namespace) -> PredictionDump:
    """Return the dump, or that of the predictions.

    Raises:
        InputError: it is not of the queries; see also ``read_dump`` and ``dump_predictions``.
    """
    queries = read_queries(args.queries) if args.queries else None
    if args.predictions:
        rule: Rule | None = args.rule or ('union' if args.sweep else None)
        dump, report = dump_predictions(args.predictions, QueryIndex(args.ann_file, queries), rule=rule,
                                        pattern=args.pattern or PATTERN, score_threshold=args.score_threshold)
        print(report)
    else:
        dump = read_dump(args.dump)
        if queries is not None:
            check_same_queries(dump.queries(), queries.by_ref(), shown_name(args.dump), shown_name(args.queries),
                               'test the model on these queries')
        if args.threshold is not None:
            dump = dump_at(dump, args.threshold, args.rule or 'union')
    if args.out:
        dump.write(args.out)
    return dump


def print_sweep(dump: PredictionDump, args: argparse.Namespace) -> dict[str, Any]:
    """Print the metrics at every threshold; return them for --json."""
    results = sweep(dump, rule=args.rule or 'union', strict=args.strict, empty=args.empty)
    best = best_threshold(results, args.metric)
    print(f'{describe_header(dump.header)}\n{format_sweep(results, best)}\nbest {args.metric} at {best}')
    return {'best_threshold': best, 'metric': args.metric, 'rule': args.rule or 'union',
            'thresholds': {str(key): value for key, value in results.items()}}


def part_ap(dump: PredictionDump, args: argparse.Namespace) -> PartAP:
    """Return the average precision of instances where the predictions are COCO results of categories."""
    if args.predictions and os.path.isfile(args.predictions) and has_categories(args.predictions):
        return instance_ap(args.predictions, args.ann_file, [image.img_id for image in dump.images])
    return merged_ap(dump)


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
        check_ceiling(dump, ceiling, args.dump or args.predictions, args.ceiling)
        summary['ceiling'] = ceiling_metrics(rows, score_dump(ceiling), **conventions)
        print(format_ceiling(summary['ceiling'], ceiling))
    if args.ap:
        found = part_ap(dump, args)
        summary['part_ap'] = {'kind': found.kind, 'categories': found.categories, **found.metrics}
        print(format_ap(found))
    if args.object:
        limited = limit_to_objects(dump, object_ann=args.object_ann, object_maps=args.object_maps)
        summary['object'] = compare_object_given(dump, limited, **conventions)
        print(format_object_given(summary['object'], limited))
    if protocol is not None:
        tagged = tag_rows(rows, protocol, {image.img_id: image.img_path for image in dump.images})
        print(format_protocol(tagged, protocol, **conventions))
        summary.update(summarise_protocol(tagged, **conventions))
    absent_rows = score_absent_parts(dump)
    if absent_rows:
        print(format_presence(rows + absent_rows, args.presence_threshold))
        summary.update(summarise_presence(rows + absent_rows, args.presence_threshold))
    elif args.presence_threshold is not None:
        raise InputError(f'{args.dump or args.predictions} has no expression of an absent part; remove '
                         '--presence-threshold')
    summary.update(count_truncated(rows + absent_rows))
    if truncated := describe_truncated(rows + absent_rows):
        print(truncated)
    return summary


@one_sentence_errors()
def main() -> None:
    args = parse_args()
    dump = read_input(args)
    if args.predictions or args.queries:
        print(f'queries {dump.queries_hash}')
    summary = print_sweep(dump, args) if args.sweep else print_metrics(dump, args)
    if args.json:
        write_json(args.json, summary)


if __name__ == '__main__':
    main()

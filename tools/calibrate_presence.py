#!/usr/bin/env python
"""Choose the presence threshold, below which a mask is emptied, on a dump of a validation split."""
import argparse

from mmpartref.arguments import ToolParser, input_path, output_file
from mmpartref.errors import one_sentence_errors
from mmpartref.evaluation.dumps.dump import read_dump
from mmpartref.evaluation.scoring.iou_metrics import describe_header, percent
from mmpartref.evaluation.scoring.presence import format_presence
from mmpartref.evaluation.scoring.presence_threshold import CRITERIA, calibrate
from mmpartref.evaluation.scoring.score_dump import score_absent_parts, score_dump
from mmpartref.files.json_files import write_json


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument('dump', type=input_path,
                        help='file that tools/test.py wrote with --split val --dump, with absent parts')
    parser.add_argument('--criterion', choices=CRITERIA, default='balanced',
                        help='metric to maximise: (N_acc + T_acc) / 2 for balanced, or gIoU (default: %(default)s)')
    parser.add_argument('--json', type=output_file, metavar='OUT',
                        help='write the threshold and its metric, from 0 to 1, to this JSON '
                        "file, '-' for stdout")
    return parser.parse_args()


@one_sentence_errors()
def main() -> None:
    args = parse_args()
    dump = read_dump(args.dump)
    rows = score_dump(dump) + score_absent_parts(dump)
    found = calibrate(rows, args.criterion)
    print(describe_header(dump.header))
    print(format_presence(rows, found.threshold))
    name = '(N_acc + T_acc) / 2' if args.criterion == 'balanced' else args.criterion
    print(f'presence threshold {found.threshold!r}: {name} {percent(found.value)} on this split, on which it was '
          f'chosen\nevaluate another split: tools/evaluate.py DUMP --presence-threshold {found.threshold!r}')
    if args.json:
        write_json(args.json, {'presence_threshold': found.threshold, 'criterion': found.criterion,
                               'value': found.value, 'dump': args.dump, 'header': dump.header})


if __name__ == '__main__':
    main()

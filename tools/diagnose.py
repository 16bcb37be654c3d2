#!/usr/bin/env python
"""Say what goes wrong in a dump of predictions, without the model and the data set."""
import argparse
import json
from pathlib import Path

from mmpartref.evaluation.diagnosis.diagnose import diagnose, summarise_diagnosis
from mmpartref.evaluation.diagnosis.diagnosis_tables import format_diagnosis
from mmpartref.evaluation.diagnosis.rephrasing import Wording, format_rephrasing, rephrasing_figures
from mmpartref.evaluation.dumps.dump import read_dump
from mmpartref.evaluation.scoring.iou_metrics import describe_header


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('dump', help='file that tools/test.py wrote with --dump')
    parser.add_argument('--rephrased', nargs='+', default=[], metavar='DUMP', help='the same refs in other words, one '
                        'dump per template')
    parser.add_argument('--json', metavar='OUT', help='write all figures, fractions from 0 to 1, to this file')
    boundary = parser.add_mutually_exclusive_group()
    boundary.add_argument(
        '--strict', dest='strict', action='store_true', default=True, help='P@0.5 counts IoU > 0.5 (default)')
    boundary.add_argument('--inclusive', dest='strict', action='store_false', help='P@0.5 counts IoU >= 0.5')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    try:
        dump = read_dump(args.dump)
        wordings = [Wording(file, read_dump(file)) for file in args.rephrased]
        summary = summarise_diagnosis(diagnose(dump), strict=args.strict)
        text = [describe_header(dump.header), format_diagnosis(summary)]
        if wordings:
            summary['rephrasing'] = rephrasing_figures([Wording(args.dump, dump), *wordings], strict=args.strict)
            text.append(format_rephrasing(summary['rephrasing']))
        print('\n\n'.join(text))
        if args.json:
            Path(args.json).write_text(json.dumps(summary, indent=2) + '\n', encoding='utf-8')
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from None


if __name__ == '__main__':
    main()

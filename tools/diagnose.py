#!/usr/bin/env python
"""Analyse the errors in a dump of predictions, without the model and the dataset."""
import argparse

from mmpartref.arguments import ToolParser, input_path, output_file
from mmpartref.errors import one_sentence_errors
from mmpartref.evaluation.diagnosis.diagnose import diagnose, summarise_diagnosis
from mmpartref.evaluation.diagnosis.diagnosis_tables import format_diagnosis
from mmpartref.evaluation.diagnosis.paraphrases import ParaphraseDump, format_paraphrases, paraphrase_metrics
from mmpartref.evaluation.dumps.dump import read_dump
from mmpartref.evaluation.scoring.iou_metrics import describe_header
from mmpartref.files.json_files import write_json


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument('dump', type=input_path, help='file that tools/test.py wrote with --dump')
    parser.add_argument('--paraphrases', type=input_path, nargs='+', default=[], metavar='DUMP',
                        help='dumps of the same refs with '
                        'paraphrased expressions, one per template')
    parser.add_argument('--json', type=output_file, metavar='OUT',
                        help='write all metrics to this JSON file (fractions from 0 to '
                        "1), '-' for stdout")
    boundary = parser.add_mutually_exclusive_group()
    boundary.add_argument(
        '--strict', dest='strict', action='store_true', default=True, help='P@0.5 counts IoU > 0.5 (default)')
    boundary.add_argument('--inclusive', dest='strict', action='store_false', help='P@0.5 counts IoU >= 0.5')
    return parser.parse_args()


@one_sentence_errors()
def main() -> None:
    args = parse_args()
    dump = read_dump(args.dump)
    wordings = [ParaphraseDump(file, read_dump(file)) for file in args.paraphrases]
    summary = summarise_diagnosis(diagnose(dump), strict=args.strict)
    text = [describe_header(dump.header), format_diagnosis(summary)]
    if wordings:
        summary['paraphrases'] = paraphrase_metrics([ParaphraseDump(args.dump, dump), *wordings], strict=args.strict)
        text.append(format_paraphrases(summary['paraphrases']))
    print('\n\n'.join(text))
    if args.json:
        write_json(args.json, summary)


if __name__ == '__main__':
    main()

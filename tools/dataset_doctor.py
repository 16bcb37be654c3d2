#!/usr/bin/env python
"""Validate a part dataset on disk, and detect which version of PartImageNet it is.

Exit code: 0 healthy, 1 unhealthy (at least one error), 2 could not run. Nothing is changed: --repair writes new files
into another folder.
"""
import argparse
import sys

from mmpartref.arguments import ToolParser, fraction, input_path, natural, output_file, output_folder
from mmpartref.doctor import Limits, examine
from mmpartref.doctor.doctor_plots import draw_histograms
from mmpartref.doctor.doctor_report import format_report
from mmpartref.doctor.repair.write_repaired import check_out, check_outside, format_repairs, repair
from mmpartref.errors import one_sentence_errors
from mmpartref.files.json_files import write_json


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    limits = Limits()
    parser.add_argument('root', type=input_path, help='folder with images/ and annotations/')
    parser.add_argument('--annotations', type=input_path, metavar='DIR',
                        help='folder of the json files, instead of ROOT/annotations')
    parser.add_argument('--fast', action='store_true', help='read headers and file hashes only, do not decode images')
    parser.add_argument('--strict', action='store_true', help='count warnings as errors')
    parser.add_argument('--all', action='store_true', help='print every finding and every category')
    parser.add_argument('--json', type=output_file, metavar='OUT', help='write all findings and counts to this JSON '
                        "file, '-' for stdout")
    parser.add_argument('--picture', type=output_file, metavar='OUT',
                        help='write histograms of areas, parts and categories to this PNG')
    parser.add_argument('--repair', type=output_folder, metavar='OUT',
                        help='write repaired json files and a log of all repairs into this '
                        'folder, which must not contain any yet')
    parser.add_argument('--min-pixels', type=natural, default=limits.min_pixels, metavar='N',
                        help='report masks of fewer pixels as near-empty (default: %(default)s)')
    parser.add_argument('--max-overlap', type=fraction, default=limits.max_overlap, metavar='SHARE',
                        help='share of the smaller of two parts that the other may cover (default: %(default)s)')
    parser.add_argument('--max-map-difference', type=fraction, default=limits.max_map_difference, metavar='SHARE',
                        help="share of an image's annotated pixels where json and label map may differ "
                        '(default: %(default)s)')
    return parser.parse_args()


def check_outputs(args: argparse.Namespace) -> None:
    """Check the output paths before the dataset is read.

    Raises:
        MMPartRefError: one of them cannot be written, or is in the dataset.
    """
    for path in filter(None, (args.json, args.picture)):
        check_outside(path, args.root, args.annotations)
    if args.repair:
        check_out(args.repair, args.root, args.annotations)


@one_sentence_errors(exit_code=2)
def main() -> int:
    args = parse_args()
    check_outputs(args)
    limits = Limits(args.min_pixels, args.max_overlap, args.max_map_difference)
    examination = examine(args.root, annotations=args.annotations, limits=limits, decode=not args.fast,
                          strict=args.strict)
    print(format_report(examination, every=args.all))
    if args.json:
        write_json(args.json, examination.as_dict())
    if args.picture:
        draw_histograms(examination.counts, limits.min_pixels, args.picture)
    if args.repair:
        print(format_repairs(repair(args.root, args.repair, args.annotations)))
    return 0 if examination.findings.healthy else 1


if __name__ == '__main__':
    sys.exit(main())

#!/usr/bin/env python
"""Say whether a part data set on disk is sound, and which PartImageNet it is.

Exit status: 0 healthy, 1 unhealthy (at least one error), 2 could not run. Nothing is changed: --repair writes new files
into another folder.
"""
import argparse
import io
import json
import sys
from pathlib import Path

from mmpartref.doctor import Examination, Limits, examine
from mmpartref.doctor.doctor_plots import draw_histograms
from mmpartref.doctor.doctor_report import format_report
from mmpartref.doctor.repair.write_repaired import check_out, check_outside, format_repairs, repair
from mmpartref.errors import MissingFileError


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    limits = Limits()
    parser.add_argument('root', help='folder with images/ and annotations/')
    parser.add_argument('--annotations', metavar='DIR', help='folder of the json files, instead of ROOT/annotations')
    parser.add_argument('--fast', action='store_true', help='do not decode photos: headers and file hashes only')
    parser.add_argument('--strict', action='store_true', help='warnings make it unhealthy, too')
    parser.add_argument('--all', action='store_true', help='print every finding and every category')
    parser.add_argument('--json', metavar='OUT', help='write every finding and all counts to this file')
    parser.add_argument('--picture', metavar='OUT', help='write histograms of areas, parts and categories to this PNG')
    parser.add_argument('--repair', metavar='OUT', help='write repaired json files and a log of every repair into this '
                        'folder, which must not hold any yet')
    parser.add_argument('--min-pixels', type=int, default=limits.min_pixels, metavar='N',
                        help='masks of fewer pixels are near-empty (default: %(default)s)')
    parser.add_argument('--max-overlap', type=float, default=limits.max_overlap, metavar='SHARE',
                        help='of the smaller of two parts, that the other may cover (default: %(default)s)')
    parser.add_argument('--max-map-difference', type=float, default=limits.max_map_difference, metavar='SHARE',
                        help="of a photo's annotated pixels, on which json and label map may differ "
                        '(default: %(default)s)')
    return parser.parse_args()


def check_outputs(args: argparse.Namespace) -> None:
    """Find out before the work rather than after it."""
    for path in filter(None, (args.json, args.picture)):
        check_outside(path, args.root, args.annotations)
        if Path(path).is_dir():
            raise IsADirectoryError(f'{path} is a folder; name a file')
        if not Path(path).absolute().parent.is_dir():
            raise MissingFileError(f'the folder of {path} does not exist; make it first')
    if args.repair:
        check_out(args.repair, args.root, args.annotations)


def run(args: argparse.Namespace) -> Examination:
    check_outputs(args)
    limits = Limits(args.min_pixels, args.max_overlap, args.max_map_difference)
    examination = examine(args.root, annotations=args.annotations, limits=limits, decode=not args.fast,
                          strict=args.strict)
    print(format_report(examination, every=args.all))
    if args.json:
        Path(args.json).write_text(json.dumps(examination.as_dict(), indent=2) + '\n', encoding='utf-8')
    if args.picture:
        draw_histograms(examination.counts, limits.min_pixels, args.picture)
    if args.repair:
        print(format_repairs(repair(args.root, args.repair, args.annotations)))
    return examination


def main() -> None:
    args = parse_args()
    for stream in (sys.stdout, sys.stderr):
        # A damaged json may have names that no encoding knows.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')
    try:
        examination = run(args)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    raise SystemExit(0 if examination.findings.healthy else 1)


if __name__ == '__main__':
    main()

#!/usr/bin/env python
"""Make an HTML gallery of a dump of predictions, which opens from disk: photo, truth, prediction, heat map."""
import argparse
import sys

from mmpartref.gallery import Options, build_gallery
from mmpartref.gallery.page_data import counted


def parse_args() -> argparse.Namespace:
    defaults = Options()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('dump', help='file that tools/test.py wrote with --dump (and --candidates for heat maps)')
    parser.add_argument('--photos', metavar='DIR', help='where the photos lie, if not where the dump says')
    parser.add_argument('--out', required=True, metavar='FOLDER', help='a new folder, an empty one or an old gallery')
    parser.add_argument('--against', nargs='+', default=[], metavar='DUMP', help='other dumps of the same expressions; '
                        'each gets a page that shows where the two models differ')
    parser.add_argument('--limit', type=int, metavar='N', help='only N of the expressions, drawn at random')
    parser.add_argument('--title', help="of the first page (default: the model's name)")
    parser.add_argument('--names', nargs='+', metavar='NAME', help='what to call the models, one per dump')
    parser.add_argument('--on-missing-photo', choices=('raise', 'skip'), default=defaults.on_missing_photo,
                        help='skip leaves the expressions of a missing photo out and counts them')
    parser.add_argument('--thumbnail-side', type=int, default=defaults.thumbnail_side, metavar='PX',
                        help='longest side of the pictures on the cards (default: %(default)s)')
    parser.add_argument('--photo-side', type=int, default=defaults.photo_side, metavar='PX',
                        help='longest side of the enlarged photos (default: %(default)s)')
    parser.add_argument('--overwrite', action='store_true', help='write into a folder with other files; these stay')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    options = Options(
        photos=args.photos, on_missing_photo=args.on_missing_photo, limit=args.limit, title=args.title,
        names=args.names, thumbnail_side=args.thumbnail_side, photo_side=args.photo_side, overwrite=args.overwrite)
    try:
        built = build_gallery(args.dump, args.out, against=args.against, options=options)
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    if built.skipped_photos:
        print(f'left out: {counted(built.skipped_expressions, "expression")} of '
              f'{counted(built.skipped_photos, "missing photo")}')
    print(f'{counted(built.expressions, "expression")} of {counted(built.photos, "photo")} -> '
          + ', '.join(map(str, built.pages)))


if __name__ == '__main__':
    main()

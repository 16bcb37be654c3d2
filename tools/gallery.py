#!/usr/bin/env python
"""Write an HTML gallery of a dump of predictions: image, ground truth, prediction, heat map. It opens from disk."""
import argparse
from pathlib import Path

from mmpartref.arguments import ToolParser, input_path, output_folder, positive_int, text_argument
from mmpartref.errors import one_sentence_errors
from mmpartref.files.output_path import check_not_inputs
from mmpartref.gallery import Options, build_gallery
from mmpartref.gallery.folder import COMMON_FILES, own_files
from mmpartref.text import counted


def parse_args() -> argparse.Namespace:
    defaults = Options()
    parser = ToolParser(description=__doc__)
    parser.add_argument('dump', type=input_path,
                        help='file that tools/test.py wrote with --dump (and --candidates for heat maps)')
    parser.add_argument('--images', type=input_path, metavar='DIR', help='image folder, if not the one in the dump')
    parser.add_argument('--out', required=True, type=output_folder, metavar='FOLDER',
                        help='folder to write: new, empty or an old gallery')
    parser.add_argument('--against', type=input_path, nargs='+', default=[], metavar='DUMP',
                        help='other dumps of the same expressions; '
                        'each gets a page with the differences between the two models')
    parser.add_argument('--limit', type=positive_int, metavar='N',
                        help='show only N of the expressions, drawn at random')
    parser.add_argument('--title', type=text_argument, help="title of the first page (default: the model's name)")
    parser.add_argument('--names', type=text_argument, nargs='+', metavar='NAME',
                        help='names of the models, one per dump')
    parser.add_argument('--on-missing-image', choices=('raise', 'skip'), default=defaults.on_missing_image,
                        help='skip drops the expressions of a missing image and prints their number')
    parser.add_argument('--thumbnail-side', type=positive_int, default=defaults.thumbnail_side, metavar='PX',
                        help='longest side of the pictures on the cards (default: %(default)s)')
    parser.add_argument('--image-side', type=positive_int, default=defaults.image_side, metavar='PX',
                        help='longest side of the enlarged images (default: %(default)s)')
    parser.add_argument('--overwrite', action='store_true', help='write into a folder with other files; these stay')
    return parser.parse_args()


@one_sentence_errors()
def main() -> None:
    args = parse_args()
    written = (*COMMON_FILES, *(own_files(Path(args.out)) or ()))
    check_not_inputs([Path(args.out, name) for name in written], [args.dump, *args.against])
    options = Options(
        images=args.images, on_missing_image=args.on_missing_image, limit=args.limit, title=args.title,
        names=args.names, thumbnail_side=args.thumbnail_side, image_side=args.image_side, overwrite=args.overwrite)
    built = build_gallery(args.dump, args.out, against=args.against, options=options)
    if built.skipped_images:
        print(f'skipped: {counted(built.skipped_expressions, "expression")} of '
              f'{counted(built.skipped_images, "missing image")}')
    print(f'{counted(built.expressions, "expression")} of {counted(built.images, "image")} -> '
          + ', '.join(map(str, built.pages)))


if __name__ == '__main__':
    main()

#!/usr/bin/env python
"""Segment parts in images: a mask per expression or one label map, overlays, heat maps, annotations for other programs.

Exit code: 0 all images done, 1 some failed (they are listed), 2 nothing done: the command line, the config or the
checkpoint cannot be used.
"""
import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmpartref.apis import PartReferInferencer
from mmpartref.apis.batch.batch_run import MAX_THREADS, RunOptions, default_threads, predict_files
from mmpartref.apis.batch.image_outputs import ImageWriter
from mmpartref.apis.doubt import Ranking
from mmpartref.apis.formats.annotation_files import FORMATS, LOCAL_FILES, AnnotationFiles
from mmpartref.apis.formats.coco_results import CocoOutput
from mmpartref.apis.formats.labelled_masks import INSTANCES, MIN_AREA, TOLERANCE, FormatOptions
from mmpartref.apis.image_files import ImageFile, find_images
from mmpartref.apis.inferencer import check_expressions
from mmpartref.apis.model_building import choose_weights, read_config
from mmpartref.apis.output_files import OutputOptions, check_outputs
from mmpartref.apis.part_labels import parts_of
from mmpartref.arguments import (
    ToolParser,
    input_path,
    is_given,
    output_file,
    output_folder,
    pixels,
    positive_int,
    text_argument,
)
from mmpartref.errors import MAX_MESSAGE, InputError, one_sentence_errors
from mmpartref.files.output_path import write_errors
from mmpartref.files.plain_file import read_text
from mmpartref.images.read_image import MAX_PIXELS
from mmpartref.text import one_line, shown_name

# Images of a ranking that are printed.
MAX_RANKED = 10


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('image', type=input_path,
                        help='image, folder (searched recursively), glob in quotes, or http(s) URL')
    parser.add_argument('expressions', nargs='*', help='expressions to segment, e.g. "the tire of the car"')
    parser.add_argument('--images', type=input_path, nargs='+', default=[], help='more images, folders, globs or URLs')
    parser.add_argument('--expressions-file', type=input_path, help='a text file with one expression per line')
    parser.add_argument('--parse', type=text_argument, metavar='SUPER_CATEGORY',
                        help='segment all parts of this super-category into one label map, e.g. quadruped')
    parser.add_argument('--config', type=input_path, required=True, help='config file')
    parser.add_argument('--checkpoint', type=input_path,
                        help='checkpoint file; default: that of init_cfg in the config')
    parser.add_argument('--device', default='auto', help="'cpu', 'cuda', ...; auto: CUDA if available")
    parser.add_argument('--batch-size', type=positive_int, default=1, help='images per forward pass')
    parser.add_argument('--threads', type=positive_int, default=default_threads(), help='that read images and write '
                        f'outputs (default: one per core, at most {MAX_THREADS})')
    parser.add_argument('--max-pixels', type=positive_int, default=MAX_PIXELS, help='reject images with more pixels')
    parser.add_argument('--out-dir', type=output_folder, default='outputs', help='output folder')
    parser.add_argument('--heat-maps', action='store_true', help='write the probabilities as well, 0 to 255')
    parser.add_argument('--no-masks', action='store_true', help='do not write a mask per expression')
    parser.add_argument('--no-overlays', action='store_true', help='do not write overlays')
    parser.add_argument('--json', type=output_file,
                        help="write all masks to this COCO json (scores from 0 to 1), '-' for stdout")
    annotations = parser.add_argument_group('annotations')
    annotations.add_argument('--format', choices=FORMATS, help='write annotations into the output folder: COCO json, '
                             'YOLO segmentation, LabelMe json per image, Label Studio tasks')
    annotations.add_argument('--instances', choices=INSTANCES, help='of --format and --json: one annotation per '
                             "expression (default), or one for each connected piece or detector's instance")
    annotations.add_argument('--min-area', type=positive_int, help=f'smallest piece, in pixels (default: {MIN_AREA})')
    annotations.add_argument('--tolerance', type=pixels, help='distance of polygons from the outline of the mask, in '
                             f'pixels (default: {TOLERANCE})')
    annotations.add_argument('--polygons', action='store_true', help='polygons in COCO jsons, in place of RLE')
    annotations.add_argument('--image-url', type=text_argument, help="address of the images' folder for Label Studio "
                             f'(default: {LOCAL_FILES})')
    ranking = parser.add_argument_group('what to label next')
    ranking.add_argument('--rank', type=output_file, metavar='CSV', help='order the images by the doubt of the model: '
                         'probabilities near the threshold, empty masks, disagreement of two wordings')
    ranking.add_argument('--rewording', type=text_argument, metavar='TEMPLATE', help='for --rank: second wording of '
                         'each expression, e.g. "a photo of the {}"')
    parser.add_argument('--on-error', choices=('raise', 'skip'), default='skip',
                        help='stop at an image that cannot be read, or skip it')
    args = parser.parse_args()
    for option in ('instances', 'polygons'):
        if is_given(args, option) and not args.format and not args.json:
            parser.error(f'--{option} needs --format or --json')
    if args.min_area is not None and args.instances != 'components':
        parser.error('--min-area needs --instances components')
    if args.tolerance is not None and not args.polygons and args.format in (None, 'coco'):
        parser.error('--tolerance needs polygons: --polygons, or --format yolo, labelme or label-studio')
    if args.image_url and args.format != 'label-studio':
        parser.error('--image-url needs --format label-studio')
    parser.require(args, '--rewording', '--rank')
    if args.rank and args.parse:
        parser.error('--rank is for expressions; remove --parse')
    if args.rewording and (args.rewording.count('{}') != 1 or args.rewording.count('{') != 1):
        parser.error(f'--rewording {args.rewording!r} should contain {{}}, once, for the expression')
    if args.polygons and not args.json and args.format != 'coco':
        parser.error('--polygons is for COCO jsons; the other formats have polygons always')
    return args


def format_options(args: argparse.Namespace) -> FormatOptions:
    """Return how masks become annotations."""
    given = {'instances': args.instances, 'min_area': args.min_area, 'tolerance': args.tolerance}
    return FormatOptions(**{name: value for name, value in given.items() if value is not None})


def annotation_files(args: argparse.Namespace, expressions: Sequence[str],
                     info: dict[str, Any]) -> AnnotationFiles | None:
    """Return what writes the annotations of --format."""
    if not args.format:
        return None
    return AnnotationFiles(args.format, Path(args.out_dir), expressions, info, format_options(args),
                           polygons=args.polygons, image_url=args.image_url or LOCAL_FILES)


def read_expressions(args: argparse.Namespace) -> list[str]:
    """Return the expressions without repetitions.

    Raises:
        InputError: there are none, --parse comes with expressions or heat maps, or an expression is a file.
    """
    expressions = list(args.expressions)
    if args.expressions_file:
        lines = read_text(args.expressions_file).splitlines()
        expressions += [line.strip() for line in lines if line.strip()]
    if args.parse:
        if expressions or args.heat_maps or args.no_masks:
            raise InputError('--parse segments all parts into one label map: remove expressions, --heat-maps and '
                             '--no-masks')
        return parts_of(args.parse)
    files = [each for each in args.expressions if os.path.exists(each)]
    if files:
        raise InputError(f'{shown_name(files[0])} is a file, not an expression: put a glob in quotes, or name more '
                         'images after --images')
    if not expressions:
        raise InputError('there is no expression: give some, or --expressions-file or --parse')
    return list(dict.fromkeys(check_expressions(expressions)))


@one_sentence_errors(exit_code=2)
def prepare(args: argparse.Namespace) -> tuple[PartReferInferencer, list[ImageFile], OutputOptions, CocoOutput | None,
                                               AnnotationFiles | None]:
    """Check everything that can be checked before the first image is read; the model comes last."""
    options = OutputOptions(read_expressions(args), Path(args.out_dir), bool(args.parse), not args.no_masks,
                            not args.no_overlays, args.heat_maps)
    images = find_images([args.image, *args.images], args.out_dir)
    inputs = [image.source for image in images]
    inputs += [each for each in (args.config, args.checkpoint, args.expressions_file) if each]
    annotations = annotation_files(args, options.expressions, {})
    if annotations is not None:
        annotations.check_new({image.stem: image.name for image in images})
    outputs = check_outputs(options, [image.stem for image in images], inputs, args.json or '', annotations)
    config = read_config(args.config)
    weights = choose_weights(args.config, config, args.checkpoint)
    inferencer = PartReferInferencer(config, weights, args.device, max_pixels=args.max_pixels)
    if outputs:
        with write_errors(options.out_dir):
            options.out_dir.mkdir(parents=True, exist_ok=True)
    annotations = annotation_files(args, options.expressions, inferencer.info)
    coco = CocoOutput(options.expressions, inferencer.info, format_options(args), args.polygons) if args.json else None
    return inferencer, images, options, coco, annotations


@one_sentence_errors()
def main() -> int:
    args = parse_args()
    inferencer, images, options, coco, annotations = prepare(args)
    ranking = Ranking(inferencer, options.expressions, args.rewording) if args.rank else None
    result = predict_files(ImageWriter(inferencer, options, coco, annotations, ranking), images,
                           RunOptions(args.batch_size, args.threads, args.on_error))
    if ranking is not None:
        for each in ranking.write(args.rank)[:MAX_RANKED]:
            print(f'doubt {each.doubt:.3f}: {shown_name(each.image)}')
        print(f'{len(ranking.doubts):,} images, the most doubtful first -> {args.rank}')
    if annotations is not None:
        annotations.finish()
        print(f'annotations -> {options.out_dir}')
    if coco is not None:
        coco.write(args.json)
        print(f'{coco.empty_masks} empty masks have no annotation in {args.json}')
    for image, reason in result.failures:
        print(f'failed: {shown_name(str(image))}: {one_line(str(reason), MAX_MESSAGE)}', file=sys.stderr)
    unread = len(images) - result.done - len(result.failures)
    if result.failures:
        print(f'{len(result.failures)} of {len(images)} images failed'
              + (f', {unread} were not read (--on-error raise)' if unread else ''), file=sys.stderr)
    return 1 if result.failures else 0


if __name__ == '__main__':
    sys.exit(main())

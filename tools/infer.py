#!/usr/bin/env python
"""Segment parts in images: a mask per expression or one label map, overlays, heat maps, annotations for other programs.

Exit code: 0 all images done, 1 some failed (they are listed), 2 nothing done: the command line, the config or the
checkpoint cannot be used.
"""
import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmpartref.apis import PartReferInferencer
from mmpartref.apis.batch.batch_run import MAX_THREADS, RunOptions, default_threads, predict_files
from mmpartref.apis.batch.image_outputs import ImageWriter
from mmpartref.apis.batch.journal import Journal
from mmpartref.apis.batch.run_files import RunFiles
from mmpartref.apis.batch.run_header import run_header
from mmpartref.apis.batch.shares import device_of_process, share_of_process
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
    share,
    text_argument,
)
from mmpartref.errors import MAX_MESSAGE, InputError, one_sentence_errors
from mmpartref.files.atomic_write import remove_unfinished
from mmpartref.files.output_path import is_stream
from mmpartref.files.plain_file import read_text
from mmpartref.images.read_image import MAX_PIXELS
from mmpartref.text import counted, one_line, shown_name

# Images of a run of which the speed is printed.
MIN_REPORTED = 100


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
    parser.add_argument('--amp', action='store_true', help='predict in mixed precision: float16 on CUDA, bfloat16 on a '
                        'CPU, which has to have such arithmetic (avx512_bf16 or amx_bf16 in lscpu) to be faster')
    parser.add_argument('--batch-size', type=positive_int, default=1, help='images per forward pass')
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
    many = parser.add_argument_group('many images')
    many.add_argument('--threads', type=positive_int, help='that read images and write outputs (default: one per '
                      f'core, at most {MAX_THREADS})')
    many.add_argument('--resume', action='store_true', help='go on with a run that was killed; without a journal '
                      'of it, from the beginning')
    many.add_argument('--shard', type=share, metavar='INDEX/COUNT', help='predict this share of the images, INDEX '
                      'from 0; tools/merge_shards.py makes one json of those of all shares. torchrun sets it')
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


def written_kinds(options: OutputOptions) -> list[str]:
    """Return names of the pictures that are written."""
    kinds = {'label maps': options.parse, 'masks': options.masks and not options.parse, 'heat maps': options.heat_maps,
             'overlays': options.overlays}
    return [name for name, written in kinds.items() if written]


@dataclass(frozen=True)
class Run:
    """What a command line stands for; ``writer`` is None where its share has been finished before."""
    images: Sequence[ImageFile]
    files: RunFiles
    header: dict[str, Any]
    journal: Journal
    writer: ImageWriter | None = None


@one_sentence_errors(exit_code=2)
def prepare(args: argparse.Namespace) -> Run:
    """Check everything that can be checked before the first image is read; the model comes last."""
    options = OutputOptions(read_expressions(args), Path(args.out_dir), bool(args.parse), not args.no_masks,
                            not args.no_overlays, args.heat_maps)
    share = share_of_process(args.shard)
    if share.count > 1 and any(each and is_stream(each) for each in (args.json, args.rank)):
        raise InputError('each share writes its own files; name files in place of streams')
    found = find_images([args.image, *args.images], args.out_dir)
    images = share.of(found)
    annotations = annotation_files(args, options.expressions, {})
    files = RunFiles(share, args.json or '', annotations, args.rank or '')
    inputs = [image.source for image in found]
    inputs += [each for each in (args.config, args.checkpoint, args.expressions_file) if each]
    outputs = check_outputs(options, [image.stem for image in images], inputs, files.json_path(), annotations)
    config = read_config(args.config)
    weights = choose_weights(args.config, config, args.checkpoint)
    header = run_header(config, weights, options.expressions, run_options(args), found, share)
    journal = Journal(files.journal_path(options.out_dir if outputs else None), header, len(found))
    if args.resume and files.are_finished(header):
        return Run(images, files, header, journal)
    if args.resume and journal.path is None:
        raise InputError('--resume needs an output that is a file, next to which the journal is')
    journal.load(resume=args.resume, multiple=args.batch_size)
    if annotations is not None:
        # The files of images that are done or were under way are those of the run.
        annotations.check_new({} if journal.count else {image.stem: image.name for image in images},
                              common=share.count == 1 or annotations.kind != 'yolo')
    if journal.count:
        remove_unfinished([*files.paths(), *outputs])
    inferencer = PartReferInferencer(config, weights, device_of_process(args.device), max_pixels=args.max_pixels,
                                    amp=args.amp)
    annotations = annotation_files(args, options.expressions, inferencer.info)
    coco = CocoOutput(options.expressions, inferencer.info, format_options(args), args.polygons) if args.json else None
    ranking = Ranking(inferencer, options.expressions, args.rewording) if args.rank else None
    return Run(images, files, header, journal, ImageWriter(inferencer, options, coco, annotations, ranking))


def run_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options that change an output."""
    names = ('parse', 'heat_maps', 'no_masks', 'no_overlays', 'format', 'instances', 'min_area', 'tolerance',
             'polygons', 'image_url', 'rewording', 'max_pixels', 'amp')
    return {**{name: getattr(args, name) for name in names}, 'json': bool(args.json), 'rank': bool(args.rank)}


@one_sentence_errors()
def main() -> int:
    args = parse_args()
    run = prepare(args)
    share, images = run.files.share, run.images
    if share.count > 1:
        print(f'share {share.index + 1} of {share.count}: {len(images):,} of {run.header["images"]:,} images')
    if run.writer is None:
        print(f'it is done: {", ".join(map(str, run.files.parts()))}')
        return 0
    if run.journal.count:
        print(f'{run.journal.count:,} of {len(images):,} images are done; the others follow')
    with run.journal as journal:
        result = predict_files(run.writer, images, RunOptions(args.batch_size, args.threads or default_threads(),
                                                              args.on_error), journal)
        for line in run.files.write(run.writer, journal, run.header, result):
            print(line)
        if result.times.images >= MIN_REPORTED:
            print(result.times.describe(len(run.header['expressions'])))
        unread = len(images) - result.done - len(result.failures)
        if not unread:
            journal.remove()
    for image, reason in result.failures:
        print(f'failed: {shown_name(str(image))}: {one_line(str(reason), MAX_MESSAGE)}', file=sys.stderr)
    options = run.writer.options
    if result.done and (kinds := written_kinds(options)):
        print(f"{' and '.join(kinds)} of {counted(result.done, 'image')} -> {options.out_dir}")
    if result.failures:
        print(f'{len(result.failures)} of {len(images)} images failed'
              + (f', {unread} were not read (--on-error raise)' if unread else ''), file=sys.stderr)
    return 1 if result.failures else 0


if __name__ == '__main__':
    sys.exit(main())

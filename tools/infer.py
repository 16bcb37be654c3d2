#!/usr/bin/env python
"""Segment parts in photos: a mask per expression or one map of all parts, overlays, heat maps, a COCO json.

Exit codes: 0 all photos done, 1 some failed (they are listed), 2 nothing was done: the command line, the config or the
checkpoint is at fault.
"""
import argparse
import os
import sys
from pathlib import Path

from mmpartref.apis import PartReferInferencer
from mmpartref.apis.batch_run import Wanted, run
from mmpartref.apis.formats.coco_results import CocoOutput
from mmpartref.apis.image_files import FoundPhoto, find_photos, protect
from mmpartref.apis.inferencer import check_expressions
from mmpartref.apis.model_building import names_weights, read_config
from mmpartref.apis.part_labels import parts_of
from mmpartref.errors import ConfigError, InputError
from mmpartref.files.plain_file import read_plain_file
from mmpartref.images.read_image import MAX_PIXELS


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('photo', help='photo, folder (with the folders inside), glob in quotes, or http(s) URL')
    parser.add_argument('expressions', nargs='*', help='what to look for, e.g. "the tire of the car"')
    parser.add_argument('--photos', nargs='+', default=[], help='more photos, folders, globs or URLs')
    parser.add_argument('--expressions-file', help='a text file with one expression per line')
    parser.add_argument('--parse', metavar='SUPER_CATEGORY',
                        help='all parts of this kind of object as one map of labels, e.g. quadruped')
    parser.add_argument('--config', required=True, help='config file')
    parser.add_argument('--checkpoint', help='checkpoint file; default: what init_cfg in the config names')
    parser.add_argument('--device', default='auto', help="'cpu', 'cuda', ...; auto: CUDA where there is one")
    parser.add_argument('--batch-size', type=int, default=1, help='photos that share a forward pass')
    parser.add_argument('--max-pixels', type=int, default=MAX_PIXELS, help='larger photos are refused')
    parser.add_argument('--out-dir', default='outputs', help='where the pictures go')
    parser.add_argument('--heat-maps', action='store_true', help='also write probabilities, 0 to 255')
    parser.add_argument('--no-masks', action='store_true', help='do not write a mask per expression')
    parser.add_argument('--no-overlays', action='store_true', help='do not write overlays')
    parser.add_argument('--json', help='write all masks into this COCO json')
    parser.add_argument('--on-error', choices=('raise', 'skip'), default='skip',
                        help='stop at the first photo that cannot be read, or go on without it')
    return parser.parse_args()


def read_expressions(args: argparse.Namespace) -> list[str]:
    """Return what is asked, each expression once.

    Raises:
        ValueError: nothing is, or --parse comes with expressions or heat maps, or an expression is a file.
    """
    expressions = list(args.expressions)
    if args.expressions_file:
        lines = read_plain_file(args.expressions_file).decode('utf-8').splitlines()
        expressions += [line.strip() for line in lines if line.strip()]
    if args.parse:
        if expressions or args.heat_maps or args.no_masks:
            raise InputError('--parse asks for the parts itself and writes one map: leave out expressions, --heat-maps '
                             'and --no-masks')
        return parts_of(args.parse)
    files = [each for each in args.expressions if os.path.exists(each)]
    if files:
        raise InputError(f'{files[0]!r} is a file, not an expression: put a glob in quotes, or name more photos after '
                         '--photos')
    if not expressions:
        raise InputError('nothing is asked: give expressions, --expressions-file or --parse')
    return list(dict.fromkeys(check_expressions(expressions)))


def prepare(args: argparse.Namespace) -> tuple[PartReferInferencer, list[FoundPhoto], Wanted, CocoOutput | None]:
    """Check everything that can be checked before the first photo is read; the model comes last."""
    wanted = Wanted(read_expressions(args), Path(args.out_dir), bool(args.parse), not args.no_masks,
                    not args.no_overlays, args.heat_maps)
    photos = find_photos([args.photo, *args.photos], args.out_dir)
    inputs = [photo.source for photo in photos]
    inputs += [each for each in (args.config, args.checkpoint, args.expressions_file) if each]
    outputs = [file for photo in photos for file in wanted.files(photo.stem)]
    protect(outputs + ([Path(args.json)] if args.json else []), inputs)
    if args.batch_size < 1:
        raise InputError(f'--batch-size {args.batch_size} should be at least 1')
    wanted.out_dir.mkdir(parents=True, exist_ok=True)
    config = read_config(args.config)
    if args.checkpoint is None and not names_weights(config):
        raise ConfigError(f'{args.config} names no weights of its own (init_cfg): give --checkpoint')
    inferencer = PartReferInferencer(config, args.checkpoint, args.device, max_pixels=args.max_pixels)
    info = {'description': 'predicted by mmpartref', 'config': args.config, 'checkpoint': args.checkpoint}
    return inferencer, photos, wanted, CocoOutput(wanted.expressions, info) if args.json else None


def main() -> int:
    args = parse_args()
    try:
        inferencer, photos, wanted, coco = prepare(args)
    except (ValueError, OSError) as error:
        print(f'infer.py: {error}', file=sys.stderr)
        return 2
    outcome = run(inferencer, photos, wanted, coco=coco, batch_size=args.batch_size, on_error=args.on_error)
    if coco is not None:
        coco.write(args.json)
        print(f'{coco.empty_masks} empty masks have no annotation in {args.json}')
    for photo, reason in outcome.failures:
        print(f'failed: {photo}: {reason}', file=sys.stderr)
    left = len(photos) - outcome.done - len(outcome.failures)
    if outcome.failures:
        print(f'{len(outcome.failures)} of {len(photos)} photos failed'
              + (f', {left} were not looked at (--on-error raise)' if left else ''), file=sys.stderr)
    return 1 if outcome.failures else 0


if __name__ == '__main__':
    sys.exit(main())

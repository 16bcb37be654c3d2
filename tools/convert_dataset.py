#!/usr/bin/env python
"""Convert a published dataset, or the files of a labelling program, to json files for PartReferDataset.

Exit code: 0 written, 2 could not.
"""
import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mmpartref.arguments import ToolParser, input_path, output_folder, text_argument
from mmpartref.datasets import converters
from mmpartref.datasets.converters.labelling.label_document import SEPARATOR
from mmpartref.datasets.converters.standard_json import Document, write_documents
from mmpartref.errors import one_sentence_errors
from mmpartref.text import shown_name

Converted = tuple[dict[str, Document], list[str]]
# Datasets read from a folder: converter, and which folder.
FOLDERS = {
    'pascal_part_116': (converters.convert_pascal_part_116, 'the folder of images and annotations_detectron2_part'),
    'ade20k_part_234': (converters.convert_ade20k_part_234, 'the folder of ade20k_instance_train.json'),
    'spin': (converters.convert_spin, 'the folder of spin_train_subparts.json and its siblings'),
}
# Datasets read from one json per split.
FILES = {
    'paco': 'paco_lvis_v1_train.json and the like',
    'coco': "whole objects: COCO's instances_train2017.json and the like",
    'objects365': 'whole objects: a json of Objects365 that has masks',
}
# Benchmarks: converter, what is read, and the one option with its keyword arguments of argparse.
BENCHMARKS: dict[str, tuple[Callable[..., Converted], str, str, dict[str, Any]]] = {
    'refcocom': (converters.convert_refcocom, 'the folder of annotations and masks', 'overlaps',
                 {'choices': ('part', 'background'), 'default': 'part',
                  'help': 'what pixels are where rings of a polygon overlap; default: %(default)s'}),
    'instructpart': (converters.convert_instructpart, 'the folder of data_test.json, images and masks', 'wordings',
                     {'type': int, 'nargs': '+', 'choices': range(6), 'default': [0, 1, 4], 'metavar': 'ID',
                      'help': 'ids of the wordings; 0 and 1 refer by a task, 2 to 5 by the name; default: 0 1 4'}),
    'mmr': (converters.convert_mmr, 'MMR_val.json and the like', 'targets',
            {'choices': ('all', 'part'), 'default': 'all',
             'help': 'part: only questions whose targets are all parts; default: %(default)s'}),
    'gseval': (converters.convert_gseval, 'GroundingSuite-Eval.jsonl', 'classes',
               {'choices': ('part', 'all'), 'default': 'part',
                'help': 'part: only lines of the class 2, which are of parts; default: %(default)s'}),
}
# Labelling programs: converter, and what is read.
LABELLING: dict[str, tuple[Callable[..., Converted], str]] = {
    'labelme': (converters.convert_labelme, "the folder of LabelMe's json files and images"),
    'yolo': (converters.convert_yolo, 'the folder of data.yaml, labels and images (YOLO segmentation)'),
    'cvat': (converters.convert_cvat, "CVAT's export COCO 1.0, or another COCO json whose categories are labels"),
    'label_studio': (converters.convert_label_studio, "Label Studio's export JSON"),
}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest='kind', required=True)
    for name, split_by in (('refcoco', ['unc']), ('refcoco+', ['unc']), ('refcocog', ['umd', 'google'])):
        kind = kinds.add_parser(name, help='refs(SPLIT_BY).p and instances.json')
        kind.add_argument('refs', type=input_path, help='the refs(SPLIT_BY).p')
        kind.add_argument('instances', type=input_path, help='the instances.json next to it')
        kind.add_argument('--split-by', choices=split_by, default=split_by[0], help='default: %(default)s')
    kind = kinds.add_parser('grefcoco', help='grefs(unc).json and instances.json')
    kind.add_argument('refs', type=input_path, help='the grefs(unc).json')
    kind.add_argument('instances', type=input_path, help='the instances.json next to it')
    kind = kinds.add_parser('pascal_part', help='Annotations_Part/*.mat (needs SciPy)')
    kind.add_argument('folder', type=input_path, help='Annotations_Part')
    kind.add_argument('--images', metavar='FILE', type=input_path,
                      help="one of VOC 2010's ImageSets/Main, e.g. train.txt; default: all")
    kind.add_argument('--on-error', choices=('raise', 'skip'), default='raise',
                      help='stop at a .mat that is damaged or malformed, or skip and name it; default: %(default)s')
    for name, described in FILES.items():
        kind = kinds.add_parser(name, help=described)
        kind.add_argument('annotations', type=input_path, help='the json of one split')
    for name, (_, described) in FOLDERS.items():
        kinds.add_parser(name, help=described).add_argument('folder', type=input_path, help=described)
    for name, (_, described, option, settings) in BENCHMARKS.items():
        kind = kinds.add_parser(name, help=described)
        kind.add_argument('source', type=input_path, help=described)
        kind.add_argument(f'--{option}', **settings)
    for name, (_, described) in LABELLING.items():
        kind = kinds.add_parser(name, help=described)
        kind.add_argument('source', type=input_path, help=described)
        kind.add_argument('--objects', type=text_argument, nargs='+', default=[], metavar='NAME',
                          help='objects that labels begin with: "car wheel" is the wheel of a car')
        kind.add_argument('--separator', type=text_argument, default=SEPARATOR,
                          help='between object and part in a label, "car:wheel"; default: %(default)s')
        if name == 'yolo':
            kind.add_argument('--images', type=input_path, metavar='DIR', help='folder of the images; default: images '
                              'next to labels')
    for kind in kinds.choices.values():
        kind.add_argument('--out', required=True, type=output_folder, metavar='DIR',
                          help='folder to write the json files into')
    return parser.parse_args(argv)


def convert(args: argparse.Namespace) -> Converted:
    """Return the json of each split, and the lines to print."""
    if args.kind in FOLDERS:
        return FOLDERS[args.kind][0](args.folder)
    if args.kind in LABELLING:
        more = {'images': args.images} if args.kind == 'yolo' else {}
        return LABELLING[args.kind][0](args.source, args.objects, args.separator, **more)
    if args.kind in BENCHMARKS:
        converter, _, option, _ = BENCHMARKS[args.kind]
        return converter(args.source, **{option: getattr(args, option)})
    if args.kind in FILES:
        document, lines = (converters.convert_paco(args.annotations) if args.kind == 'paco' else
                           converters.convert_objects(args.annotations, args.kind))
        return {Path(args.annotations).stem: document}, lines
    if args.kind == 'pascal_part':
        document, lines = converters.convert_pascal_part(args.folder, args.images, args.on_error)
        return {f"pascal_part_{Path(args.images).stem if args.images else 'all'}": document}, lines
    if args.kind == 'grefcoco':
        return converters.convert_grefcoco(args.refs, args.instances)
    return converters.convert_refcoco(args.refs, args.instances, args.kind, args.split_by)


@one_sentence_errors(exit_code=2)
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    documents, lines = convert(args)
    paths = write_documents(documents, args.out)
    print('\n'.join([*lines, *(f'wrote {shown_name(str(path))}' for path in paths)]))


if __name__ == '__main__':
    main()

#!/usr/bin/env python
"""Turn a published data set into json files for PartReferDataset, one per split.

Exit status: 0 written, 2 could not.
"""
import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmpartref.datasets.converters import (
    convert_ade20k_part_234,
    convert_grefcoco,
    convert_objects,
    convert_paco,
    convert_pascal_part,
    convert_pascal_part_116,
    convert_refcoco,
    convert_refcocom,
    convert_spin,
)
from mmpartref.datasets.converters.standard_json import Document, write_documents

# Data sets that are read as a folder: what converts them, and what the folder is.
FOLDERS = {
    'pascal_part_116': (convert_pascal_part_116, 'the folder of images and annotations_detectron2_part'),
    'ade20k_part_234': (convert_ade20k_part_234, 'the folder of ade20k_instance_train.json'),
    'spin': (convert_spin, 'the folder of spin_train_subparts.json and its siblings'),
    'refcocom': (convert_refcocom, 'the folder of annotations and masks'),
}
# Data sets that are read as one json per split.
FILES = {
    'paco': 'paco_lvis_v1_train.json and the like',
    'coco': "whole objects: COCO's instances_train2017.json and the like",
    'objects365': 'whole objects: a json of Objects365 that has masks',
}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest='kind', required=True)
    for name, split_by in (('refcoco', ['unc']), ('refcoco+', ['unc']), ('refcocog', ['umd', 'google'])):
        kind = kinds.add_parser(name, help='refs(SPLIT_BY).p and instances.json')
        kind.add_argument('refs', help='the refs(SPLIT_BY).p')
        kind.add_argument('instances', help='the instances.json next to it')
        kind.add_argument('--split-by', choices=split_by, default=split_by[0], help='default: %(default)s')
    kind = kinds.add_parser('grefcoco', help='grefs(unc).json and instances.json')
    kind.add_argument('refs', help='the grefs(unc).json')
    kind.add_argument('instances', help='the instances.json next to it')
    kind = kinds.add_parser('pascal_part', help='Annotations_Part/*.mat (needs SciPy)')
    kind.add_argument('folder', help='Annotations_Part')
    kind.add_argument('--photos', metavar='FILE', help="one of VOC 2010's ImageSets/Main, e.g. train.txt; default: all")
    for name, described in FILES.items():
        kinds.add_parser(name, help=described).add_argument('annotations', help='the json of one split')
    for name, (_, described) in FOLDERS.items():
        kinds.add_parser(name, help=described).add_argument('folder', help=described)
    for kind in kinds.choices.values():
        kind.add_argument('--out', required=True, metavar='DIR', help='folder that the json files go to')
    return parser.parse_args(argv)


def convert(args: argparse.Namespace) -> tuple[dict[str, Document], list[str]]:
    if args.kind in FOLDERS:
        return FOLDERS[args.kind][0](args.folder)
    if args.kind in FILES:
        document, lines = (convert_paco(args.annotations) if args.kind == 'paco' else
                           convert_objects(args.annotations, args.kind))
        return {Path(args.annotations).stem: document}, lines
    if args.kind == 'pascal_part':
        document, lines = convert_pascal_part(args.folder, args.photos)
        return {f"pascal_part_{Path(args.photos).stem if args.photos else 'all'}": document}, lines
    if args.kind == 'grefcoco':
        return convert_grefcoco(args.refs, args.instances)
    return convert_refcoco(args.refs, args.instances, args.kind, args.split_by)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    try:
        documents, lines = convert(args)
        paths = write_documents(documents, args.out)
    except (ImportError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    print('\n'.join([*lines, *(f'wrote {path}' for path in paths)]))


if __name__ == '__main__':
    main()

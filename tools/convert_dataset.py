#!/usr/bin/env python
"""Turn a published data set into json files for PartReferDataset, one per split.

Exit status: 0 written, 2 could not.
"""
import argparse
import sys
from pathlib import Path

from mmpartref.datasets.converters import convert_grefcoco, convert_paco, convert_refcoco
from mmpartref.datasets.converters.standard_json import Document, write_documents


def parse_args() -> argparse.Namespace:
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
    kind = kinds.add_parser('paco', help='paco_lvis_v1_train.json and the like')
    kind.add_argument('annotations', help='the json of one split')
    for kind in kinds.choices.values():
        kind.add_argument('--out', required=True, metavar='DIR', help='folder that the json files go to')
    return parser.parse_args()


def convert(args: argparse.Namespace) -> tuple[dict[str, Document], list[str]]:
    if args.kind == 'grefcoco':
        return convert_grefcoco(args.refs, args.instances)
    if args.kind == 'paco':
        document, lines = convert_paco(args.annotations)
        return {Path(args.annotations).stem: document}, lines
    return convert_refcoco(args.refs, args.instances, args.kind, args.split_by)


def main() -> None:
    args = parse_args()
    try:
        documents, lines = convert(args)
        paths = write_documents(documents, args.out)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    print('\n'.join([*lines, *(f'wrote {path}' for path in paths)]))


if __name__ == '__main__':
    main()

#!/usr/bin/env python
"""Join jsons of objects, parts and subparts of the same images into one (docs/recipes.md).

Exit code: 0 written, 2 could not.
"""
import argparse
from pathlib import Path

from mmpartref.arguments import ToolParser, input_path, output_file
from mmpartref.datasets.converters.published.join_levels import join_levels
from mmpartref.datasets.converters.standard_json import write_documents
from mmpartref.errors import InputError, one_sentence_errors
from mmpartref.text import shown_name

LEVELS = ('object', 'part', 'subpart')


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for level in LEVELS:
        parser.add_argument(f'--{level}s', type=input_path, help=f'json of the {level}s', required=level == 'part')
    parser.add_argument('--out', required=True, type=output_file, help='json to write; must not exist')
    return parser.parse_args()


@one_sentence_errors(exit_code=2)
def main() -> None:
    args = parse_args()
    files = {level: getattr(args, f'{level}s') for level in LEVELS}
    out = Path(args.out)
    if out.suffix != '.json':
        raise InputError(f'--out {shown_name(args.out)} is not the name of a json; name one, for example '
                         f'{shown_name(str(out / "train.json"))}')
    document, lines = join_levels({level: path for level, path in files.items() if path is not None})
    path, = write_documents({out.stem: document}, out.parent)
    print('\n'.join([*lines, f'{len(document["images"]):,} images -> {shown_name(str(path))}']))


if __name__ == '__main__':
    main()

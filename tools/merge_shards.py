#!/usr/bin/env python
"""Make one file of those that the shares of a run of tools/infer.py wrote (--shard, torchrun).

It is that of a run in one process: the COCO json of --json, or of --format coco or label-studio. The shares stay.

Exit code: 0 written, 2 could not: a share is missing, incomplete or of another run.
"""
import argparse

from mmpartref.apis.batch.shares import merge_shares
from mmpartref.arguments import ToolParser, output_file
from mmpartref.errors import one_sentence_errors


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('json', type=output_file, help='file to write, e.g. found.json, next to its shares '
                        'found.1-of-4.jsonl, found.2-of-4.jsonl, ...')
    return parser.parse_args()


@one_sentence_errors(exit_code=2)
def main() -> None:
    args = parse_args()
    merged = merge_shares(args.json)
    print(f'{merged.shares} shares, {merged.images:,} images'
          + (f', without {merged.failed:,} that failed' if merged.failed else '') + f' -> {args.json}')


if __name__ == '__main__':
    main()

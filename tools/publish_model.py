#!/usr/bin/env python
"""Write the weights of a checkpoint without its optimiser, with the hash in the file name, to share them."""
import argparse
from pathlib import Path

from mmpartref.apis.export.publish_weights import publish_weights
from mmpartref.arguments import ToolParser, input_path, output_folder, text_argument
from mmpartref.errors import one_sentence_errors


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument('checkpoint', type=input_path, help='checkpoint file')
    parser.add_argument('folder', type=output_folder, help='folder to write into')
    parser.add_argument('--name', type=text_argument, help="name of the file, e.g. the config's; default: that of the "
                        'checkpoint')
    parser.add_argument('--half', action='store_true', help='store numbers in half precision')
    parser.add_argument('--key', type=text_argument, help='key of the weights in the checkpoint, e.g. ema_state_dict')
    return parser.parse_args()


@one_sentence_errors()
def main() -> None:
    args = parse_args()
    path = publish_weights(args.checkpoint, args.folder, args.name or Path(args.checkpoint).stem, half=args.half,
                           key=args.key)
    print(f'-> {path} ({path.stat().st_size / 1e6:.1f} MB)')


if __name__ == '__main__':
    main()

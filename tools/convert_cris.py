#!/usr/bin/env python
"""Convert a published CRIS checkpoint to one for mmpartref's configs, or back."""
import argparse

from mmpartref.arguments import ToolParser, input_path, output_file, text_argument
from mmpartref.errors import one_sentence_errors
from mmpartref.models.weights.cris_weights import convert_cris, revert_cris
from mmpartref.models.weights.state_files import errors_with_path, read_tensors, write_checkpoint


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument('src', type=input_path,
                        help="the authors' training checkpoint, or with --reverse one of mmpartref's")
    parser.add_argument('dst', type=output_file, help='converted checkpoint to write')
    parser.add_argument('--reverse', action='store_true', help='convert from mmpartref to the published names')
    parser.add_argument('--key', type=text_argument, help='key of the weights in the checkpoint, e.g. ema_state_dict')
    return parser.parse_args()


@one_sentence_errors()
def main() -> None:
    args = parse_args()
    state = read_tensors(args.src, key=args.key)
    if args.reverse:
        with errors_with_path(args.src):
            converted = revert_cris(state)
        print(f'{len(converted)} entries under the published names')
    else:
        with errors_with_path(args.src):
            converted, config, clip = convert_cris(state)
        print(f"CRIS on CLIP {clip}, {config['decode_head']['num_layers']} decoder layers: "
              f'{len(converted)} entries, all fit; logit_scale, which CRIS does not use, was dropped')
    write_checkpoint(converted, args.dst)
    print(f'-> {args.dst}')


if __name__ == '__main__':
    main()

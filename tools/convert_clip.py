#!/usr/bin/env python
"""Convert a CLIP checkpoint (OpenAI, open_clip or Hugging Face) to mmpartref's image and text encoders."""
import argparse

from mmpartref.arguments import ToolParser, input_path, output_file, text_argument
from mmpartref.errors import one_sentence_errors
from mmpartref.models.weights.archives import locate_clip
from mmpartref.models.weights.clip_weights import describe_clip, read_clip
from mmpartref.models.weights.state_files import write_checkpoint


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument('src', type=input_path,
                        help='CLIP checkpoint (.pt, .pth, .bin, .safetensors), or the name of a published one')
    parser.add_argument('dst', type=output_file, help='converted checkpoint to write')
    parser.add_argument('--key', type=text_argument, help='key of the weights in the checkpoint, e.g. ema_state_dict')
    return parser.parse_args()


@one_sentence_errors()
def main() -> None:
    args = parse_args()
    converted, architecture = read_clip(locate_clip(args.src), key=args.key)
    write_checkpoint(converted, args.dst)
    print(describe_clip(converted, architecture))
    print(f'-> {args.dst}')


if __name__ == '__main__':
    main()

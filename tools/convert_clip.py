#!/usr/bin/env python
"""Turn a CLIP checkpoint (OpenAI's archives, open_clip's or Hugging Face's weights) into mmpartref's towers."""
import argparse

from mmpartref.errors import WeightsError
from mmpartref.models.weights.archives import locate_clip
from mmpartref.models.weights.clip_weights import describe, read_clip
from mmpartref.models.weights.state_files import write_checkpoint


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('src', help="a CLIP checkpoint (.pt, .pth, .bin, .safetensors), or an archive's name (RN50)")
    parser.add_argument('dst', help='where the converted checkpoint goes')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    try:
        converted, architecture = read_clip(locate_clip(args.src))
        write_checkpoint(converted, args.dst)
    except WeightsError as error:
        raise SystemExit(str(error)) from None
    print(describe(converted, architecture))
    print(f'-> {args.dst}')


if __name__ == '__main__':
    main()

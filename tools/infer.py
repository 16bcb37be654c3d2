#!/usr/bin/env python
"""Segment parts in a photo: writes one overlay and one mask per expression."""
import argparse
from pathlib import Path

import cv2
import numpy as np

from mmpartref.apis import PartReferInferencer
from mmpartref.visualization.overlay import draw_overlay


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('image', help='photo')
    parser.add_argument('expressions', nargs='+', help='what to look for, e.g. "the tire of the car"')
    parser.add_argument('--config', required=True, help='config file')
    parser.add_argument('--checkpoint', required=True, help='checkpoint file')
    parser.add_argument('--device', help="'cpu', 'cuda', ...; default: CUDA where there is one")
    parser.add_argument('--out-dir', default='outputs', help='where the pictures go')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    inferencer = PartReferInferencer(args.config, args.checkpoint, args.device)
    results = inferencer(args.image, args.expressions)
    out_dir = Path(args.out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    stem = Path(args.image).stem
    for number, result in enumerate(results):
        mask_file = out_dir / f'{stem}_{number}.png'
        cv2.imwrite(str(mask_file), result['mask'].astype(np.uint8) * 255)
        share = result['mask'].mean()
        print(f"{result['expression']}: score {result['score']:.3f}, {share:.1%} of the photo -> {mask_file}")
    image = cv2.cvtColor(cv2.imread(args.image), cv2.COLOR_BGR2RGB)
    overlay = draw_overlay(image, np.stack([result['mask'] for result in results]),
                           [result['expression'] for result in results], [result['score'] for result in results])
    overlay_file = out_dir / f'{stem}_overlay.png'
    cv2.imwrite(str(overlay_file), cv2.cvtColor(overlay, cv2.COLOR_RGB2BGR))
    print(f'overlay -> {overlay_file}')


if __name__ == '__main__':
    main()

#!/usr/bin/env python
"""Time a config's training data: photos and expressions per second by number of workers, and each step's share.

Compare with what a training step takes (tools/benchmark.py --only training): a loader that delivers fewer expressions
per second than the model consumes makes it wait.
"""
import argparse
import json
import platform
from pathlib import Path

import cv2
import torch

from mmpartref.benchmark.loader import time_loader, time_transforms
from mmpartref.engine.launch.build_runner import load_config
from mmpartref.engine.launch.options_action import OptionsAction
from mmpartref.errors import one_sentence_errors


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('config', nargs='?', default='configs/cris_r50_partimagenet.py')
    parser.add_argument('--data-root', help="the data set's folder")
    parser.add_argument('--cfg-options', nargs='+', action=OptionsAction, help='overrides (checked)')
    parser.add_argument('--workers', type=int, nargs='+', default=[0, 1, 2, 4])
    parser.add_argument('--batch-size', type=int, help="expressions per batch; default: the config's")
    parser.add_argument('--batches', type=int, default=8, help='timed')
    parser.add_argument('--warm-up', type=int, default=2, help='batches before that')
    parser.add_argument('--json', metavar='OUT', help='write everything to this file')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    # One core each, as mmengine sets it for training.
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    with one_sentence_errors():
        cfg = load_config(args.config, args.cfg_options, data_root=args.data_root)
        if args.batch_size is not None:
            cfg.train_dataloader.batch_size = args.batch_size
        steps = time_transforms(cfg.train_dataloader.dataset, args.batches * cfg.train_dataloader.batch_size)
        print('\n| step | ms per photo |\n|---|---|')
        for name, seconds in steps.items():
            print(f'| {name} | {1e3 * seconds:.2f} |')
        print(f'| all | {1e3 * sum(steps.values()):.2f} |')
        rows = []
        for workers in args.workers:
            found = time_loader(cfg.train_dataloader, workers, args.batches, args.warm_up)
            rows.append({'workers': workers, 'photos_per_second': found.photos_per_second,
                         'expressions_per_second': found.expressions_per_second})
    print('\n| workers | photos/s | expressions/s |\n|---|---|---|')
    for row in rows:
        print(f"| {row['workers']} | {row['photos_per_second']:.1f} | {row['expressions_per_second']:.1f} |")
    if args.json:
        machine = {'machine': platform.machine(), 'torch': torch.__version__, 'config': args.config}
        Path(args.json).write_text(json.dumps({'machine': machine, 'steps': steps, 'rows': rows}, indent=1))


if __name__ == '__main__':
    main()

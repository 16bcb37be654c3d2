#!/usr/bin/env python
"""Time a config's training data: images and expressions per second by number of workers, and the time of each step.

Compare with the time of a training step (tools/benchmark.py --only training): a loader that delivers fewer expressions
per second than the model consumes slows the training down.
"""
import argparse
import platform

import cv2
import torch

from mmpartref.arguments import ToolParser, input_path, natural, output_file, positive_int
from mmpartref.benchmark.loader import time_loader, time_transforms
from mmpartref.engine.config.options_action import OptionsAction
from mmpartref.engine.launch.build_runner import load_config
from mmpartref.engine.launch.run_checks import check_outputs
from mmpartref.errors import one_sentence_errors
from mmpartref.files.json_files import write_json
from mmpartref.tables import Column, Table, to_markdown


def parse_args() -> argparse.Namespace:
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('config', type=input_path, nargs='?', default='configs/cris_r50_partimagenet.py')
    parser.add_argument('--data-root', type=input_path, help='dataset folder')
    parser.add_argument('--cfg-options', nargs='+', action=OptionsAction, help='overrides (checked)')
    parser.add_argument('--workers', type=natural, nargs='+', default=[0, 1, 2, 4], help='numbers of workers to time')
    parser.add_argument('--batch-size', type=positive_int, help="expressions per batch; default: the config's")
    parser.add_argument('--batches', type=positive_int, default=8, help='batches that are timed')
    parser.add_argument('--warm-up', type=natural, default=2, help='batches before those')
    parser.add_argument('--json', type=output_file, metavar='OUT', help='write all times to this JSON file')
    return parser.parse_args()


@one_sentence_errors()
def main() -> None:
    args = parse_args()
    # One core each, as mmengine sets it for training.
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    cfg = load_config(args.config, args.cfg_options, data_root=args.data_root)
    check_outputs(cfg, args.json)
    if args.batch_size is not None:
        cfg.train_dataloader.batch_size = args.batch_size
    steps = time_transforms(cfg.train_dataloader.dataset, args.batches * cfg.train_dataloader.batch_size)
    milliseconds = {name: 1e3 * seconds for name, seconds in {**steps, 'all': sum(steps.values())}.items()}
    print(to_markdown(Table('', [Column('step'), Column('ms per image')], list(milliseconds.items()))))
    rows = []
    for workers in args.workers:
        speed = time_loader(cfg.train_dataloader, workers, args.batches, args.warm_up)
        rows.append({'workers': workers, 'images_per_second': speed.images_per_second,
                     'expressions_per_second': speed.expressions_per_second})
    print(to_markdown(Table('', [Column('workers'), Column('images/s', 1), Column('expressions/s', 1)],
                            [list(row.values()) for row in rows])))
    if args.json:
        machine = {'machine': platform.machine(), 'torch': torch.__version__, 'config': args.config}
        write_json(args.json, {'machine': machine, 'steps': steps, 'rows': rows})


if __name__ == '__main__':
    main()

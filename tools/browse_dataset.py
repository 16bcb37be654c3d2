#!/usr/bin/env python
"""Draw what a config's pipeline makes of its dataset: the network's input with its expressions and their masks.

A training's picture has the expressions, absent parts and random transforms of one epoch. For a Mask R-CNN's training
data it has the categories of the masks.
"""
import argparse
from pathlib import Path

from mmengine.registry import DefaultScope

from mmpartref.arguments import ToolParser, input_path, natural, output_folder, positive_int, seed
from mmpartref.engine.config.build_errors import build_errors_explained
from mmpartref.engine.config.options_action import OptionsAction
from mmpartref.engine.hooks.dataset_epoch_hook import transforms_with_epoch
from mmpartref.engine.launch.build_runner import load_config
from mmpartref.engine.launch.detector_config import fill_categories, require_operations
from mmpartref.engine.launch.fill_letterbox import fill_letterbox
from mmpartref.engine.launch.run_checks import check_data
from mmpartref.errors import ConfigError, one_sentence_errors
from mmpartref.registry import DATASETS, SCOPE
from mmpartref.visualization.dataset_pictures import write_pictures


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', type=input_path, help='config file, or the name of a packaged one')
    parser.add_argument('--split', choices=('train', 'val', 'test'), default='train',
                        help='dataloader of the config (default: %(default)s)')
    parser.add_argument('--out', type=output_folder, metavar='DIR',
                        help='output folder (default: work_dirs/CONFIG/browse/SPLIT)')
    parser.add_argument('--first', type=natural, default=0, metavar='INDEX',
                        help='index of the first item (default: %(default)s)')
    parser.add_argument('--number', type=positive_int, default=20, help='number of items (default: %(default)s)')
    parser.add_argument('--epoch', type=natural, default=0,
                        help='epoch whose expressions are drawn (default: %(default)s)')
    parser.add_argument('--seed', type=seed, default=0, help='of random transforms (default: %(default)s)')
    parser.add_argument('--data-root', type=input_path, help='dataset folder, for every dataloader of the config')
    parser.add_argument(
        '--cfg-options', nargs='+', action=OptionsAction, help='overrides, e.g. train_dataloader.dataset.indices=8 '
        '(checked)')
    return parser.parse_args()


@one_sentence_errors()
def main() -> None:
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options, data_root=args.data_root)
    dataloader = cfg.get(f'{args.split}_dataloader')
    if not dataloader:
        raise ConfigError(f'the config {cfg.filename} has no {args.split}_dataloader')
    for prepare in (require_operations, fill_categories, fill_letterbox):
        prepare(cfg)
    check_data(cfg, args.split)
    with build_errors_explained(), DefaultScope.overwrite_default_scope(SCOPE):
        dataset = DATASETS.build(dataloader.dataset)
    for each in transforms_with_epoch(dataset):
        each.set_epoch(args.epoch)
    out = Path(args.out or Path(cfg.work_dir, 'browse', args.split))
    for line in write_pictures(dataset, out, args.first, args.number, args.seed, args.epoch):
        print(line)


if __name__ == '__main__':
    main()

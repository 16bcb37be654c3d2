#!/usr/bin/env python
"""Train a model from a config."""
import argparse
import os

from mmengine.config import Config, DictAction

from mmpartref.engine.checkpoint_types import mmengine_checkpoints_allowed
from mmpartref.engine.launch import build_runner, load_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='where logs and checkpoints go; default work_dirs/<config name>')
    parser.add_argument('--data-root', help='data set folder, for every dataloader of the config')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='continue: from the latest checkpoint of the work dir, or from the one given')
    parser.add_argument('--amp', action='store_true', help='train in mixed precision (CUDA only)')
    parser.add_argument('--seed', type=int, help='seed of everything random; default: drawn and printed')
    parser.add_argument('--deterministic', action='store_true', help='use deterministic algorithms only')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, help='overrides, e.g. train_cfg.max_epochs=2 (checked)')
    parser.add_argument('--launcher', choices=('none', 'pytorch', 'slurm', 'mpi'), default='none', help='job launcher')
    # torch.distributed.launch passes one spelling or the other, depending on its version.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def apply_arguments(cfg: Config, args: argparse.Namespace) -> None:
    if args.amp:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    randomness = dict(cfg.get('randomness') or {})
    if args.seed is not None:
        randomness['seed'] = args.seed
    if args.deterministic:
        randomness['deterministic'] = True
    if randomness:
        cfg.randomness = randomness


def main() -> None:
    args = parse_args()
    cfg = load_config(
        args.config, args.cfg_options, data_root=args.data_root, work_dir=args.work_dir, launcher=args.launcher)
    apply_arguments(cfg, args)
    runner = build_runner(cfg)
    with mmengine_checkpoints_allowed():
        runner.train()


if __name__ == '__main__':
    main()

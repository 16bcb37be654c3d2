#!/usr/bin/env python
"""Train a model from a config."""
import argparse

from mmengine.config import Config

from mmpartref.arguments import ToolParser, input_path, seed
from mmpartref.engine.config.build_errors import build_errors_explained
from mmpartref.engine.launch.build_runner import build_runner, load_config, parse_launch_arguments
from mmpartref.engine.launch.fit_to_hardware import use_mixed_precision
from mmpartref.engine.launch.training_checks import check_training
from mmpartref.engine.resume.work_dir_lock import work_dir_lock
from mmpartref.engine.terminal.next_commands import after_training, show_next
from mmpartref.errors import one_sentence_errors
from mmpartref.run_log import run_log


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument('config', type=input_path, help='config file')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        type=input_path,
        help='resume from the latest checkpoint of the work dir, or from the given one')
    parser.add_argument('--amp', action='store_true', help='train in mixed precision; on a CPU bfloat16')
    parser.add_argument('--auto-scale-lr', action='store_true',
                        help='scale the learning rate by the batch size of all processes / auto_scale_lr.'
                        'base_batch_size; with an ExpressionBatchSampler both count expressions')
    parser.add_argument('--seed', type=seed, help='random seed; default: drawn and printed')
    parser.add_argument('--deterministic', action='store_true', help='use deterministic algorithms')
    return parse_launch_arguments(parser)


def apply_arguments(cfg: Config, args: argparse.Namespace) -> None:
    if args.auto_scale_lr:
        cfg.auto_scale_lr = {**(cfg.get('auto_scale_lr') or {}), 'enable': True}
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


@run_log()
@build_errors_explained()
def train(args: argparse.Namespace) -> None:
    cfg = load_config(
        args.config, args.cfg_options, data_root=args.data_root, work_dir=args.work_dir, launcher=args.launcher)
    apply_arguments(cfg, args)
    check_training(cfg)
    if args.amp:
        use_mixed_precision(cfg)
    with work_dir_lock(cfg.work_dir, cfg.launcher):
        runner = build_runner(cfg)
        runner.train()
        show_next(runner, after_training(runner))


@one_sentence_errors()
def main() -> None:
    train(parse_args())


if __name__ == '__main__':
    main()

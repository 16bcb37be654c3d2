#!/usr/bin/env python
"""Evaluate a checkpoint on the test split of a config; the log goes to <work dir>/test."""
import argparse
import os

from mmpartref.arguments import ToolParser, input_path, output_file, output_folder
from mmpartref.engine.config.build_errors import build_errors_explained
from mmpartref.engine.launch.build_runner import build_runner, load_config, parse_launch_arguments
from mmpartref.engine.launch.initial_weights import check_has_weights, start_from_init_cfg
from mmpartref.engine.launch.prediction_dump import add_dump, add_instances, draw_into
from mmpartref.engine.launch.run_checks import check_outputs, check_run
from mmpartref.engine.terminal.next_commands import after_test, outputs_of_test, show_next
from mmpartref.errors import ConfigError, one_sentence_errors
from mmpartref.run_log import run_log


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument('config', type=input_path, help='config file')
    parser.add_argument('checkpoint', type=input_path, nargs='?',
                        help='checkpoint file; default: what init_cfg in the config names')
    parser.add_argument('--dump', type=output_file,
                        help='write the predictions to this .json file, which tools/evaluate.py reads')
    parser.add_argument('--candidates', action='store_true', help='dump all candidates, for tools/evaluate.py --sweep')
    parser.add_argument('--instances', type=output_file, help='write all instances of a detector to this .json, as '
                        'COCO results')
    parser.add_argument('--split', choices=('test', 'val'), default='test', help='dataloader of the config')
    parser.add_argument('--show-dir', type=output_folder,
                        help='write overlays of ground truth and prediction into this folder')
    args = parse_launch_arguments(parser)
    parser.require(args, '--candidates', '--dump')
    return args


@run_log()
@build_errors_explained()
def evaluate(args: argparse.Namespace) -> None:
    cfg = load_config(
        args.config, args.cfg_options, data_root=args.data_root, work_dir=args.work_dir, launcher=args.launcher)
    cfg.load_from, cfg.resume = args.checkpoint, False
    if os.path.basename(os.path.abspath(cfg.work_dir)) != 'test':
        # mmengine writes the config there, which must not replace the training's.
        cfg.work_dir = os.path.join(cfg.work_dir, 'test')
    if args.split == 'val':
        cfg.test_dataloader, cfg.test_evaluator = cfg.val_dataloader, cfg.val_evaluator
    if args.dump:
        add_dump(cfg, args.dump, candidates=args.candidates)
    if args.instances:
        add_instances(cfg, args.instances)
    if args.show_dir:
        draw_into(cfg, args.show_dir)
    if not cfg.get('test_dataloader'):
        raise ConfigError(f'the config {cfg.filename} has no {args.split}_dataloader, so there is nothing to test')
    if args.checkpoint is None:
        check_has_weights(cfg)
    check_run(cfg, ['test'])
    check_outputs(cfg, args.dump, args.instances)
    runner = build_runner(cfg)
    if args.checkpoint is None:
        start_from_init_cfg(runner)
    runner.test()
    show_next(runner, after_test(runner, args.checkpoint), outputs_of_test(runner))


@one_sentence_errors()
def main() -> None:
    evaluate(parse_args())


if __name__ == '__main__':
    main()

#!/usr/bin/env python
"""Evaluate a checkpoint on the test split of a config."""
import argparse

from mmpartref.engine.launch.build_runner import (
    add_dump,
    build_runner,
    load_config,
    parse_launch_arguments,
    start_from_init_cfg,
)
from mmpartref.engine.launch.config_check import build_errors_explained
from mmpartref.errors import one_sentence_errors


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', nargs='?', help='checkpoint file; default: what init_cfg in the config names')
    parser.add_argument('--dump', help='write the predictions to this .json; tools/evaluate.py scores it again')
    parser.add_argument('--candidates', action='store_true', help='dump what tools/evaluate.py --sweep needs as well')
    parser.add_argument('--split', choices=('test', 'val'), default='test', help='which dataloader of the config')
    parser.add_argument('--show-dir', help='write overlays of truth and prediction into this folder')
    return parse_launch_arguments(parser)


def main() -> None:
    args = parse_args()
    cfg = load_config(
        args.config, args.cfg_options, data_root=args.data_root, work_dir=args.work_dir, launcher=args.launcher)
    cfg.load_from = args.checkpoint
    if args.split == 'val':
        cfg.test_dataloader, cfg.test_evaluator = cfg.val_dataloader, cfg.val_evaluator
    if args.dump:
        add_dump(cfg, args.dump, candidates=args.candidates)
    if args.show_dir:
        cfg.default_hooks.visualization.update(out_dir=args.show_dir)
    runner = build_runner(cfg)
    if args.checkpoint is None:
        start_from_init_cfg(runner)
    runner.test()


if __name__ == '__main__':
    with one_sentence_errors(), build_errors_explained():
        main()

#!/usr/bin/env python
"""Score what needs no trained model, floors and ceilings, and write it as a dump of predictions."""
import argparse

from mmpartref.engine.launch.build_runner import load_config
from mmpartref.engine.launch.options_action import OptionsAction
from mmpartref.evaluation.baselines.reference_points import KINDS, reference_dump
from mmpartref.evaluation.scoring.iou_metrics import describe_header, format_table
from mmpartref.evaluation.scoring.score_dump import score_dump


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file; its data sets are used, and its decode for the ceiling')
    parser.add_argument('kind', choices=KINDS, help="the train split's mean mask of the part, all annotated parts of "
                        'the object, or the decoded training target')
    parser.add_argument('--dump', required=True, metavar='OUT', help='write the predictions to this .json; '
                        'tools/evaluate.py and tools/compare.py read it')
    parser.add_argument('--data-root', help='data set folder, for every dataloader of the config')
    parser.add_argument('--split', choices=('test', 'val'), default='test', help='which dataloader of the config')
    parser.add_argument(
        '--cfg-options', nargs='+', action=OptionsAction, help='overrides, e.g. model.threshold=0.4 (checked)')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    try:
        cfg = load_config(args.config, args.cfg_options, data_root=args.data_root)
        dump = reference_dump(args.kind, cfg, args.split)
        dump.write(args.dump)
        print(format_table(score_dump(dump), note=describe_header(dump.header)))
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from None


if __name__ == '__main__':
    main()

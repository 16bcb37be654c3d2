#!/usr/bin/env python
"""Evaluate baselines that need no trained model, and write a dump of their predictions."""
import argparse

from mmpartref.arguments import ToolParser, input_path, output_file
from mmpartref.engine.config.options_action import OptionsAction
from mmpartref.engine.launch.build_runner import load_config
from mmpartref.engine.launch.run_checks import check_outputs
from mmpartref.errors import one_sentence_errors
from mmpartref.evaluation.baselines.reference_points import REFERENCE_POINTS, reference_dump
from mmpartref.evaluation.scoring.iou_metrics import describe_header, format_table
from mmpartref.evaluation.scoring.score_dump import score_dump


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument('config', type=input_path,
                        help='config file, for its datasets and, for the ceiling, its decode')
    parser.add_argument('kind', choices=REFERENCE_POINTS, help="the train split's mean mask of the part, all annotated "
                        'parts of the object, or the decoded training target')
    parser.add_argument('--dump', type=output_file, required=True, metavar='OUT',
                        help='write the predictions to this .json; '
                        'tools/evaluate.py and tools/compare.py read it')
    parser.add_argument('--data-root', type=input_path, help='dataset folder, for every dataloader of the config')
    parser.add_argument('--split', choices=('test', 'val'), default='test', help='dataloader of the config')
    parser.add_argument(
        '--cfg-options', nargs='+', action=OptionsAction, help='overrides, e.g. model.threshold=0.4 (checked)')
    return parser.parse_args()


@one_sentence_errors()
def main() -> None:
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options, data_root=args.data_root)
    check_outputs(cfg, args.dump)
    dump = reference_dump(args.kind, cfg, args.split)
    dump.write(args.dump)
    print(format_table(score_dump(dump), note=describe_header(dump.header)))


if __name__ == '__main__':
    main()

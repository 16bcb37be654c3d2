#!/usr/bin/env python
"""Print a config with its bases and overrides merged, and checked."""
import argparse

from mmpartref.arguments import ToolParser, input_path, output_file
from mmpartref.engine.config.options_action import OptionsAction
from mmpartref.engine.launch.build_runner import load_config
from mmpartref.engine.launch.run_checks import check_outputs
from mmpartref.errors import one_sentence_errors
from mmpartref.files.atomic_write import write_text


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument('config', type=input_path, help='config file, or the name of a packaged one')
    parser.add_argument('--save-path', type=output_file, default='-', help='file to write; default: stdout')
    parser.add_argument(
        '--cfg-options', nargs='+', action=OptionsAction, help='overrides, e.g. test_dataloader.batch_size=2 (checked)')
    return parser.parse_args()


@one_sentence_errors()
def main() -> None:
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    check_outputs(cfg, args.save_path)
    write_text(args.save_path, cfg.pretty_text + '\n')


if __name__ == '__main__':
    main()

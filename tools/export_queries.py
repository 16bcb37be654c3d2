#!/usr/bin/env python
"""Write the queries of an evaluation, (image, expression, ref id), to a file with a hash."""
import argparse
import os

from mmengine.registry import DefaultScope

from mmpartref.arguments import ToolParser, input_path, output_file
from mmpartref.engine.config.build_errors import build_errors_explained
from mmpartref.engine.config.config_nodes import leaf_datasets
from mmpartref.engine.config.options_action import OptionsAction
from mmpartref.engine.launch.build_runner import load_config
from mmpartref.engine.launch.run_checks import check_outputs
from mmpartref.errors import ConfigError, one_sentence_errors
from mmpartref.evaluation.dumps.queries import QuerySet, queries_of_entries
from mmpartref.progress import track
from mmpartref.registry import DATASETS, SCOPE


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument('config', type=input_path, help='config file, for its datasets')
    parser.add_argument('out', type=output_file, help='file to write, .json')
    parser.add_argument('--data-root', type=input_path, help='dataset folder, for every dataloader of the config')
    parser.add_argument('--split', choices=('test', 'val'), default='test', help='dataloader of the config')
    parser.add_argument('--cfg-options', nargs='+', action=OptionsAction, help='overrides (checked)')
    return parser.parse_args()


@one_sentence_errors()
@build_errors_explained()
def main() -> None:
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options, data_root=args.data_root)
    check_outputs(cfg, args.out)
    config = (cfg.get(f'{args.split}_dataloader') or {}).get('dataset')
    if not config:
        raise ConfigError(f'the config {cfg.filename} has no {args.split}_dataloader with a dataset')
    leaves = leaf_datasets(config)
    for leaf in leaves:
        leaf.pipeline = []
    with DefaultScope.overwrite_default_scope(SCOPE):
        dataset = DATASETS.build(config)
    folders = [os.path.join(leaf.get('data_root') or '', (leaf.get('data_prefix') or {}).get('img', ''))
               for leaf in leaves]
    entries = (dataset.get_data_info(number) for number in track(range(len(dataset)), 'images'))
    header = {'config': os.path.basename(cfg.filename or ''), 'split': args.split,
              'ann_file': ', '.join(str(leaf.get('ann_file')) for leaf in leaves)}
    queries = QuerySet(queries_of_entries(entries, folders), header)
    queries.write(args.out)
    images = len({each.img_id for each in queries.queries})
    print(f'{len(queries.queries):,} queries on {images:,} images -> {args.out}\nhash {queries.hash}')


if __name__ == '__main__':
    main()

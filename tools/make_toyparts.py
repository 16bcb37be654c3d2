"""Draw the ToyParts dataset: synthetic scenes of two objects with PartImageNet's 40 parts, in PartImageNet's layout."""
import argparse

from mmpartref.arguments import ToolParser, natural, output_folder, positive_int, seed
from mmpartref.datasets.toyparts.make_toyparts import make_toyparts
from mmpartref.errors import one_sentence_errors


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('out', type=output_folder, help='folder to write; must be empty or contain the same dataset')
    parser.add_argument('--train', type=natural, default=700, help='scenes of the train split; 0: no such split')
    parser.add_argument('--val', type=natural, default=100, help='scenes of the val split; 0: no such split')
    parser.add_argument('--test', type=natural, default=100, help='scenes of the test split; 0: no such split')
    parser.add_argument('--size', type=positive_int, nargs=2, metavar=('W', 'H'), default=(256, 192),
                        help='image size, pixels')
    parser.add_argument('--seed', type=seed, default=0)
    return parser.parse_args()


@one_sentence_errors()
def main() -> None:
    args = parse_args()
    splits = {name: count for name in ('train', 'val', 'test') if (count := getattr(args, name))}
    summary = make_toyparts(args.out, splits=splits, size=tuple(args.size), seed=args.seed)
    for split, counts in summary['splits'].items():
        print(f'{split}: {counts["images"]} scenes, {counts["annotations"]} annotated parts')


if __name__ == '__main__':
    main()

"""Draw the ToyParts data set: PartImageNet's 40 parts in drawn scenes of two objects, in PartImageNet's layout."""
import argparse

from mmpartref.datasets.toyparts.make_toyparts import make_toyparts


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('out', help='directory to write; must be empty or hold the same data set')
    parser.add_argument('--train', type=int, default=700, help='scenes of the train split, 0: none')
    parser.add_argument('--val', type=int, default=100, help='scenes of the val split, 0: none')
    parser.add_argument('--test', type=int, default=100, help='scenes of the test split, 0: none')
    parser.add_argument('--size', type=int, nargs=2, metavar=('W', 'H'), default=(256, 192), help='pixels')
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    splits = {name: count for name in ('train', 'val', 'test') if (count := getattr(args, name))}
    summary = make_toyparts(args.out, splits=splits, size=tuple(args.size), seed=args.seed)
    for split, counts in summary['splits'].items():
        print(f'{split}: {counts["images"]} scenes, {counts["annotations"]} annotated parts')


if __name__ == '__main__':
    main()

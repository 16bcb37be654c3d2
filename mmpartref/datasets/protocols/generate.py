"""The draws of the frozen split files, as they were made.

``python -m mmpartref.datasets.protocols.generate NAME`` prints a file; nothing is written.
"""
import argparse
import hashlib
import json
from collections import Counter
from fractions import Fraction
from typing import Any

from mmpartref.datasets.coco.records import PartName
from mmpartref.datasets.partimagenet.partimagenet_names import PARTS, canonical_name

SEED = 0
UNSEEN = 15
CATEGORIES = [canonical_name(owner, part) for owner, parts in PARTS.items() for part in parts]
OWNERS = list(dict.fromkeys(name.super_category for name in CATEGORIES))


def stable_hash(text: str) -> int:
    """Return a 64-bit hash that is the same on every machine and with every version of Python."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), 'big')


def quotas(seed: int) -> dict[str, int]:
    """Return the number of unseen parts of each super-category: in proportion to its parts, ``UNSEEN`` in total.

    Rounded by largest remainders, ties by hash, and at least one each.
    """
    sizes = Counter(name.super_category for name in CATEGORIES)
    exact = {owner: Fraction(UNSEEN * sizes[owner], len(CATEGORIES)) for owner in OWNERS}
    numbers = {owner: int(share) for owner, share in exact.items()}
    order = sorted(OWNERS, key=lambda owner: (int(exact[owner]) - exact[owner], stable_hash(f'{seed}:{owner}')))
    for owner in order[:UNSEEN - sum(numbers.values())]:
        numbers[owner] += 1
    assert min(numbers.values()) >= 1
    return numbers


def draw_unseen(seed: int, attempt: int) -> list[PartName]:
    """Draw each super-category's quota from the parts whose word occurs with another super-category too."""
    times = Counter(name.part for name in CATEGORIES)
    unseen: list[PartName] = []
    for owner, number in quotas(seed).items():
        pool = [name for name in CATEGORIES if name.super_category == owner and times[name.part] > 1]
        unseen += sorted(pool, key=lambda name: stable_hash(f'{seed}:{attempt}:{" ".join(name)}'))[:number]
    return unseen


def is_balanced(unseen: list[PartName]) -> bool:
    """Return whether every super-category has a seen part, and every word that occurs twice is both seen and unseen."""
    seen = [name for name in CATEGORIES if name not in unseen]
    words = {word for word, times in Counter(name.part for name in CATEGORIES).items() if times > 1}
    return ({name.super_category for name in seen} == set(OWNERS) and words <= {name.part for name in seen}
            and words == {name.part for name in unseen})


def parts_25_15() -> dict[str, Any]:
    """Return the 25 seen and 15 unseen categories: the first balanced draw of the seed."""
    attempt = 0
    while not is_balanced(unseen := draw_unseen(SEED, attempt)):
        attempt += 1
    return {
        'name': 'partimagenet_parts_25_15',
        'unit': 'category',
        'about': "25 of PartImageNet's 40 part categories are seen in training, 15 are not. Every super-category keeps "
                 'a seen part, and the word of every unseen part is seen with another super-category.',
        'seed': SEED,
        'attempt': attempt,
        'folds': {'25_15': fold(unseen)},
    }


def leave_one_super_category_out() -> dict[str, Any]:
    """Return 11 folds, one for each super-category whose parts are unseen."""
    return {
        'name': 'leave_one_super_category_out',
        'unit': 'category',
        'about': "11 folds: all parts of one of PartImageNet's super-categories are unseen, those of the other ten "
                 'seen.',
        'folds': {owner: fold([name for name in CATEGORIES if name.super_category == owner]) for owner in OWNERS},
    }


def fold(unseen: list[PartName]) -> dict[str, list[list[str]]]:
    """Return a fold, in the order of PartImageNet's categories."""
    return {'seen': [list(name) for name in CATEGORIES if name not in unseen],
            'unseen': [list(name) for name in CATEGORIES if name in unseen]}


GENERATED = {'partimagenet_parts_25_15': parts_25_15, 'leave_one_super_category_out': leave_one_super_category_out}


def as_text(document: dict[str, Any]) -> str:
    """Return a split file, one side of a fold per line."""
    head = [f'{json.dumps(key)}: {json.dumps(value)}' for key, value in document.items() if key != 'folds']
    folds = []
    for name, sides in document['folds'].items():
        lines = ',\n'.join(f'   {json.dumps(side)}: {json.dumps(entries)}' for side, entries in sides.items())
        folds.append(f'  {json.dumps(name)}: {{\n{lines}}}')
    return '{' + ',\n '.join([*head, '"folds": {\n' + ',\n'.join(folds)]) + '}}\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('name', choices=GENERATED)
    print(as_text(GENERATED[parser.parse_args().name]()), end='')


if __name__ == '__main__':
    main()

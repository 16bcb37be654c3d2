"""Groups of scored expressions: by super-category, part, mask size and number of instances."""
from collections.abc import Callable, Mapping, Sequence

from mmpartref.evaluation.scoring.iou_metrics import SIZES, Row, group_rows, size_name

# Expressions with at least this many annotations are one group.
MANY_INSTANCES = 4


def by_super_category(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Group by super-category, sorted by name."""
    return _named(group_rows(rows, by_part=False))


def by_part(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Group by super-category and part ('bird head'), sorted by name."""
    return _named(group_rows(rows, by_part=True))


def by_size(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Group by the area of the union of an expression's annotations; small first."""
    return _ordered(rows, lambda row: SIZES.index(size_name(row.score.true_area)), SIZES.__getitem__)


def by_instances(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Group by the number of annotations of an expression: '0', '1', '2', '3', '4+'."""
    return _ordered(rows, lambda row: min(len(row.score.per_annotation), MANY_INSTANCES),
                    lambda count: f'{MANY_INSTANCES}+' if count == MANY_INSTANCES else str(count))


BREAKDOWNS: Mapping[str, Callable[[Sequence[Row]], dict[str, list[Row]]]] = {
    'super-category': by_super_category,
    'part': by_part,
    'mask size': by_size,
    'instances': by_instances,
}


def largest_groups(groups: Mapping[str, Sequence[Row]], count: int) -> list[str]:
    """Return the names of the ``count`` largest groups, in the order of ``groups``; the earlier of equal ones."""
    largest = set(sorted(groups, key=lambda name: -len(groups[name]))[:count])
    return [name for name in groups if name in largest]


def _named(groups: Mapping[tuple[str, ...], list[Row]]) -> dict[str, list[Row]]:
    # Names can coincide where a super-category is empty; such groups are merged.
    named: dict[str, list[Row]] = {}
    for name, rows in groups.items():
        named.setdefault(' '.join(filter(None, name)) or '(none)', []).extend(rows)
    return named


def _ordered(rows: Sequence[Row], key: Callable[[Row], int], name: Callable[[int], str]) -> dict[str, list[Row]]:
    groups: dict[int, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return {name(number): group for number, group in sorted(groups.items())}

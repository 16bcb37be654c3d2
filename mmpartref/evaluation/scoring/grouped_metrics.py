"""Where a model is good: its scored expressions in groups."""
from collections.abc import Callable, Mapping, Sequence

from mmpartref.evaluation.scoring.iou_metrics import TABLE_THRESHOLD, Row, group_rows, mean, precision

# COCO's borders between small, medium and large (cocodataset.org, "Detection Evaluation"), in pixels of the photo.
SMALL, MEDIUM = 32**2, 96**2
SIZES = ('small', 'medium', 'large')
# From this many annotated instances on, expressions are one group.
MANY = 4
FIGURES = ('mIoU', 'P@0.5')


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
    """Group by the number of annotations an expression names: '1', '2', '3', '4+'; '0' where it names none."""
    return _ordered(rows, lambda row: min(len(row.score.per_annotation), MANY),
                    lambda count: f'{MANY}+' if count == MANY else str(count))


BREAKDOWNS: Mapping[str, Callable[[Sequence[Row]], dict[str, list[Row]]]] = {
    'super-category': by_super_category,
    'part': by_part,
    'mask size': by_size,
    'instances': by_instances,
}


def size_name(area: int) -> str:
    """Say whether an area in pixels is small (< 32 ** 2), medium (< 96 ** 2) or large."""
    return SIZES[(area >= SMALL) + (area >= MEDIUM)]


def group_figures(rows: Sequence[Row], strict: bool) -> dict[str, float]:
    """Return a group's ``FIGURES``, fractions."""
    overlaps = [row.score.overlap for row in rows]
    return {'mIoU': mean([each.iou for each in overlaps]), 'P@0.5': precision(overlaps, TABLE_THRESHOLD, strict)}


def commonest(groups: Mapping[str, Sequence[Row]], most: int) -> list[str]:
    """Return the names of the ``most`` largest groups, in the groups' own order; ties go to the earlier one."""
    kept = set(sorted(groups, key=lambda name: -len(groups[name]))[:most])
    return [name for name in groups if name in kept]


def _named(groups: Mapping[tuple[str, ...], list[Row]]) -> dict[str, list[Row]]:
    # Names may coincide where a super-category is empty; such groups become one.
    named: dict[str, list[Row]] = {}
    for name, rows in groups.items():
        named.setdefault(' '.join(filter(None, name)) or '(none)', []).extend(rows)
    return named


def _ordered(rows: Sequence[Row], key: Callable[[Row], int], name: Callable[[int], str]) -> dict[str, list[Row]]:
    groups: dict[int, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return {name(number): group for number, group in sorted(groups.items())}

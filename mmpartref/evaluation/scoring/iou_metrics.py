"""From counted pixels to metrics and a table.

Every sum of floats is rounded once (``math.fsum``) and everything else is integers, so that the figures do not depend
on the order of the photos: one process, several, or a dump read again give the same digits.
"""
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import fsum

from mmpartref.errors import InputError
from mmpartref.evaluation.dumps.predictions import PhotoPredictions, Prediction
from mmpartref.evaluation.scoring.conventions import EmptyRule, check_empty_rule, describe_conventions, under_rule
from mmpartref.masks.iou import ExpressionScore, Overlap, score_rles

PRECISION_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
TABLE_THRESHOLD = Fraction(1, 2)
GROUP_COLUMNS = ('n', 'mIoU', 'P@0.5')


@dataclass(frozen=True)
class Row:
    """One scored expression.

    ``absent`` is the kind of a part that is not there, None for one that is; ``presence`` the model's word on it, 0 to
    1, None where it gave none. ``source`` is the data set that the expression comes from, where known; ``level`` is
    'object' or 'subpart', None for a part.
    """
    img_id: int | str
    ref_id: str
    expression: str
    part: str
    super_category: str
    score: ExpressionScore
    absent: str | None = None
    presence: float | None = None
    source: str | None = None
    level: str | None = None

    @property
    def category(self) -> tuple[str, str]:
        """What macro means count as one: a bird's head and a fish's head are two."""
        return self.super_category, self.part


def score_photo(photo: PhotoPredictions) -> list[Row]:
    """Score a photo's expressions of parts that are there; ``presence.score_absent`` scores the others."""
    return [score_one(photo, each) for each in photo.expressions if each.absent is None]


def score_one(photo: PhotoPredictions, each: Prediction) -> Row:
    """Score one expression of a photo; an object is one annotation, whatever its parts."""
    score = score_rles(each.pred, each.truth)
    if each.level == 'object':
        score = replace(score, per_annotation=(score.overlap, ))
    return Row(photo.img_id, each.ref_id, each.expression, each.part, each.super_category, score, each.absent,
               each.presence, each.source, each.level)


def side_groups(rows: Sequence[Row]) -> dict[str, dict[str, list[Row]]]:
    """Group by level and by the data set that an expression comes from, where there is more than one of them."""
    groups: dict[str, dict[str, list[Row]]] = {'level': {}, 'source': {}}
    for row in rows:
        groups['level'].setdefault(row.level or 'part', []).append(row)
        groups['source'].setdefault(row.source or '(none)', []).append(row)
    return {title: dict(sorted(each.items())) for title, each in groups.items() if len(each) > 1}


def mean(values: Sequence[float]) -> float:
    """Return the mean; the order of the values does not matter."""
    return fsum(values) / len(values)


def cumulative_iou(overlaps: Sequence[Overlap]) -> float:
    """Return all intersections over all unions."""
    return Overlap(sum(each.inter for each in overlaps), sum(each.union for each in overlaps),
                   min((each.if_empty for each in overlaps), default=1)).iou


def precision(overlaps: Sequence[Overlap], threshold: Fraction, strict: bool) -> float:
    """Return the share of overlaps whose IoU passes the threshold."""
    return sum(each.reaches(threshold, strict=strict) for each in overlaps) / len(overlaps)


def exact_thresholds(thresholds: Iterable[float]) -> dict[str, Fraction]:
    """Return thresholds by their decimal notation: 0.7 means seven tenths, not the nearest binary fraction.

    Raises:
        ValueError: one is not between 0 and 1.
    """
    exact = {str(threshold): Fraction(str(threshold)) for threshold in thresholds}
    for name, value in exact.items():
        if not 0 <= value <= 1:
            raise InputError(f'precision_thresholds holds {name}; an IoU lies between 0 and 1')
    return exact


def group_rows(rows: Iterable[Row], by_part: bool) -> dict[tuple[str, ...], list[Row]]:
    """Collect rows by super-category, or by (super-category, part); sorted by name."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(row.category if by_part else (row.super_category, ), []).append(row)
    return dict(sorted(groups.items()))


def macro_iou(rows: Sequence[Row], by_part: bool) -> float:
    """Return the mean over groups of each group's mean IoU."""
    return mean([mean([row.score.overlap.iou for row in group]) for group in group_rows(rows, by_part).values()])


def under_empty_rule(rows: Sequence[Row], empty: EmptyRule) -> list[Row]:
    """Return the rows as the rule counts them: where prediction and truth are both empty, ``'skip'`` leaves them out.

    Raises:
        ValueError: there is no such rule, or nothing is left.
    """
    check_empty_rule(empty)
    scores = [(row, under_rule(row.score, empty)) for row in rows]
    kept = [replace(row, score=score) for row, score in scores if score is not None]
    if rows and not kept:
        raise InputError(f"empty='skip' leaves no expression to score: prediction and truth are both empty in all "
                         f"{len(rows)}; choose 'one' or 'zero', or check the data set")
    return kept


def summarise(rows: Sequence[Row],
              *,
              precision_thresholds: Sequence[float] = PRECISION_THRESHOLDS,
              strict: bool = True,
              empty: EmptyRule = 'one') -> dict[str, float]:
    """Return all metrics, fractions between 0 and 1; ``ReferringSegMetric`` says what each one is.

    Raises:
        ValueError: there is no row, no annotation, a threshold outside 0 to 1, or no such rule for empty masks.
    """
    asked, rows = rows, under_empty_rule(rows, empty)
    overlaps = [row.score.overlap for row in rows]
    annotations = [overlap for row in rows for overlap in row.score.per_annotation]
    if not overlaps or not annotations:
        raise InputError('there is no annotated expression to score; check the data set and its ann_file')
    thresholds = exact_thresholds(precision_thresholds)
    return {
        'mIoU': mean([overlap.iou for overlap in overlaps]),
        'cIoU': cumulative_iou(overlaps),
        **{f'P@{name}': precision(overlaps, value, strict) for name, value in thresholds.items()},
        'mIoU_part': macro_iou(rows, by_part=True),
        'mIoU_super': macro_iou(rows, by_part=False),
        'ann_mIoU': mean([overlap.iou for overlap in annotations]),
        'ann_cIoU': cumulative_iou(annotations),
        **{f'ann_P@{name}': precision(annotations, value, strict) for name, value in thresholds.items()},
        'expressions': len(overlaps),
        'annotated_parts': len(annotations),
        **({'skipped': len(asked) - len(rows)} if empty == 'skip' else {}),
        **{f'mIoU_{title}_{name}': mean([row.score.overlap.iou for row in group])
           for title, groups in side_groups(rows).items() for name, group in groups.items()},
    }


def describe_header(header: Mapping[str, object]) -> str:
    """Return what a dump's header says of the model as one line, without the file format's own entries."""
    shown = {key: value for key, value in header.items() if key not in ('format', 'version') and value is not None}
    return ', '.join(f'{key} {value}' for key, value in shown.items())


def format_table(rows: Sequence[Row],
                 *,
                 precision_thresholds: Sequence[float] = PRECISION_THRESHOLDS,
                 strict: bool = True,
                 empty: EmptyRule = 'one',
                 note: str = '',
                 by_part: bool = False) -> str:
    """Return a table to read, in percent: both countings of the whole, then super-categories, then parts if asked.

    The first line says what Precision@X counts and what became of empty masks. ``note`` goes above it; say there which
    model and decode made the masks. Raises as ``summarise``.
    """
    summary = summarise(rows, precision_thresholds=precision_thresholds, strict=strict, empty=empty)
    both_empty = sum(not row.score.overlap.union for row in rows)
    rows = under_empty_rule(rows, empty)
    names = [f'P@{name}' for name in exact_thresholds(precision_thresholds)]
    whole = [
        ['', 'n', 'mIoU', 'cIoU', *names],
        _whole_cells(summary, 'per expression', 'expressions', '', names),
        _whole_cells(summary, 'per annotated part', 'annotated_parts', 'ann_', names),
    ]
    blocks = [
        *([note] if note else []),
        describe_conventions(strict, empty, both_empty),
        align(whole),
        align([['super-category', *GROUP_COLUMNS],
               *_group_lines(rows, strict, by_part=False),
               ['macro mean', '', percent(summary['mIoU_super']), '']]),
    ]
    if by_part:
        blocks.append(align([['part', *GROUP_COLUMNS],
                             *_group_lines(rows, strict, by_part=True),
                             ['macro mean', '', percent(summary['mIoU_part']), '']]))
    else:
        blocks.append(f"macro mean over parts: mIoU {percent(summary['mIoU_part'])}")
    for title, groups in side_groups(rows).items():
        blocks.append(align([[title, *GROUP_COLUMNS],
                             *(_group_line(name, group, strict) for name, group in groups.items())]))
    return '\n'.join(blocks)


def percent(value: float) -> str:
    """Return a fraction as percent, two decimals."""
    return f'{100 * value:.2f}'


def _whole_cells(summary: Mapping[str, float], title: str, count: str, prefix: str, names: list[str]) -> list[str]:
    return [title, str(int(summary[count])), *(percent(summary[prefix + name]) for name in ('mIoU', 'cIoU', *names))]


def _group_lines(rows: Sequence[Row], strict: bool, by_part: bool) -> list[list[str]]:
    return [_group_line(' '.join(filter(None, name)) or '(none)', group, strict)
            for name, group in group_rows(rows, by_part).items()]


def _group_line(name: str, group: Sequence[Row], strict: bool) -> list[str]:
    overlaps = [row.score.overlap for row in group]
    return [name, str(len(group)), percent(mean([overlap.iou for overlap in overlaps])),
            percent(precision(overlaps, TABLE_THRESHOLD, strict))]


def align(cells: Sequence[Sequence[str]]) -> str:
    """Return lines of cells as a table; set the first column flush left and the others flush right."""
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    return '\n'.join('  ' + '  '.join([line[0].ljust(widths[0]),
                                       *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))])
                     for line in cells)

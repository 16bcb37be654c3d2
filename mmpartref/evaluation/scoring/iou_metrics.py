"""IoU, Precision@X and their tables, from counted pixels.

Every sum of floats is rounded once (``math.fsum``) and all others are of integers, so that the metrics do not depend on
the order of the images: one process, several, and a dump give the same digits.
"""
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import fsum

from mmpartref.argument_checks import check_numbers, check_sequence, check_switch
from mmpartref.errors import InputError
from mmpartref.evaluation.scoring.conventions import (
    EmptyRule,
    check_empty_rule,
    describe_conventions,
    score_under_rule,
)
from mmpartref.masks.iou import ExpressionScore, Overlap
from mmpartref.tables import Cell, Column, Table, percent, percent_columns, to_text
from mmpartref.text import one_line, shown

PRECISION_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
# COCO's ten thresholds of average precision, over which P@0.5:0.95 is the mean.
RANGE_NAME, RANGE = 'P@0.5:0.95', tuple(Fraction(50 + 5 * step, 100) for step in range(10))
# The threshold of P@0.5, the only one in tables of groups.
TABLE_THRESHOLD = Fraction(1, 2)
# COCO's borders between small, medium and large (cocodataset.org, "Detection Evaluation"), in pixels of the image.
SMALL, MEDIUM = 32**2, 96**2
SIZES = ('small', 'medium', 'large')
GROUP_METRICS = ('mIoU', 'P@0.5')
# Truncated expressions that a warning quotes.
MAX_EXAMPLES = 5
# Characters of a dump's header in one line.
MAX_HEADER = 2000


@dataclass(frozen=True)
class Row:
    """One scored expression.

    Attributes:
        absent: the kind of absence of a part that is not in the image, otherwise None.
        presence: predicted probability that the part is in the image; None where the model does not predict it.
        source: the dataset of the expression, where known.
        level: 'object' or 'subpart'; None for a part.
        position: of the object among several of its kind, e.g. 'left'; None where there is one.
        truncated: last words of the expression that the model did not see, None where it saw all.
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
    position: str | None = None
    truncated: str | None = None

    @property
    def category(self) -> tuple[str, str]:
        """(super-category, part), the unit of macro means: a bird's head and a fish's head are two."""
        return self.super_category, self.part


def size_name(area: int) -> str:
    """Return the name of an area in pixels: 'small' (< 32 ** 2), 'medium' (< 96 ** 2) or 'large'."""
    return SIZES[(area >= SMALL) + (area >= MEDIUM)]


def mean(values: Sequence[float]) -> float:
    """Return the mean; the order of the values does not matter."""
    return fsum(values) / len(values)


def cumulative_iou(overlaps: Sequence[Overlap]) -> float:
    """Return the sum of all intersections over the sum of all unions."""
    return Overlap(sum(each.inter for each in overlaps), sum(each.union for each in overlaps),
                   min((each.if_empty for each in overlaps), default=1)).iou


def precision(overlaps: Sequence[Overlap], threshold: Fraction, strict: bool) -> float:
    """Return the share of overlaps whose IoU is above the threshold."""
    return sum(each.reaches(threshold, strict=strict) for each in overlaps) / len(overlaps)


def exact_thresholds(thresholds: Iterable[float]) -> dict[str, Fraction]:
    """Return thresholds by their decimal notation: 0.7 is seven tenths, not the nearest binary fraction.

    Raises:
        InputTypeError: they are not a list of numbers.
        InputError: one is not from 0 to 1.
    """
    given = check_numbers(thresholds, 'precision_thresholds', 0, 1)
    return {str(threshold): Fraction(str(threshold)) for threshold in given}


def check_rows(rows: Sequence['Row'], name: str = 'rows') -> list['Row']:
    """Return scored expressions as a list.

    Raises:
        InputTypeError: they are something else.
    """
    return check_sequence(rows, name, 'Row objects, as score_dump returns', Row)


def group_rows(rows: Iterable[Row], by_part: bool) -> dict[tuple[str, ...], list[Row]]:
    """Group rows by super-category, or by (super-category, part); sorted by name."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(row.category if by_part else (row.super_category, ), []).append(row)
    return dict(sorted(groups.items()))


def group_by_origin(rows: Sequence[Row]) -> dict[str, dict[str, list[Row]]]:
    """Return rows by 'level', 'source' (dataset) and 'position', then by value, each only if there are several.

    Rows without a value count as level 'part', source '(none)' and position '(single)'.
    """
    groups: dict[str, dict[str, list[Row]]] = {'level': {}, 'source': {}, 'position': {}}
    for row in rows:
        groups['position'].setdefault(row.position or '(single)', []).append(row)
        groups['level'].setdefault(row.level or 'part', []).append(row)
        groups['source'].setdefault(row.source or '(none)', []).append(row)
    return {title: dict(sorted(each.items())) for title, each in groups.items() if len(each) > 1}


def group_metrics(rows: Sequence[Row], strict: bool) -> dict[str, float]:
    """Return mIoU and P@0.5 (fractions) of a group; ``strict``: P@0.5 counts IoU > 0.5 instead of >=."""
    overlaps = [row.score.overlap for row in rows]
    return {'mIoU': mean([each.iou for each in overlaps]), 'P@0.5': precision(overlaps, TABLE_THRESHOLD, strict)}


def segmentation_errors(rows: Sequence[Row]) -> dict[str, float]:
    """Return the mean share of the predicted pixels outside of the truth, and of the true pixels not predicted.

    An empty prediction has no pixel outside, an empty truth none that is missed: their share is 0.
    """
    scores = [row.score for row in rows]
    return {'over_segmentation': mean([(each.pred_area - each.overlap.inter) / (each.pred_area or 1)
                                       for each in scores]),
            'under_segmentation': mean([(each.true_area - each.overlap.inter) / (each.true_area or 1)
                                        for each in scores])}


def micro_iou(rows: Sequence[Row], by_part: bool) -> float:
    """Return the mean over groups of each group's cumulative IoU."""
    return mean([cumulative_iou([row.score.overlap for row in group]) for group in group_rows(rows, by_part).values()])


def macro_iou(rows: Sequence[Row], by_part: bool) -> float:
    """Return the mean over groups of each group's mean IoU."""
    return mean([mean([row.score.overlap.iou for row in group]) for group in group_rows(rows, by_part).values()])


def apply_empty_rule(rows: Sequence[Row], empty: EmptyRule) -> list[Row]:
    """Return the rows with the rule for empty masks applied; ``'skip'`` drops those whose two masks are empty.

    Raises:
        ValueError: the rule is unknown, or drops all rows.
    """
    check_empty_rule(empty)
    scores = [(row, score_under_rule(row.score, empty)) for row in rows]
    counted = [replace(row, score=score) for row, score in scores if score is not None]
    if rows and not counted:
        raise InputError(f"empty='skip' drops every expression: prediction and truth are both empty in all "
                         f"{len(rows)}; choose 'one' or 'zero', or check the dataset")
    return counted


def summarise(rows: Sequence[Row],
              *,
              precision_thresholds: Sequence[float] = PRECISION_THRESHOLDS,
              strict: bool = True,
              empty: EmptyRule = 'one') -> dict[str, float]:
    """Return all metrics of ``ReferringSegMetric``'s docstring, fractions between 0 and 1.

    Raises:
        InputTypeError: an argument is of another type.
        InputError: no row, no annotation, a threshold outside 0 to 1, or an unknown rule for empty masks.
    """
    rows, strict = check_rows(rows), check_switch(strict, 'strict')
    counted = apply_empty_rule(rows, empty)
    overlaps = [row.score.overlap for row in counted]
    annotations = [overlap for row in counted for overlap in row.score.per_annotation]
    if not overlaps or not annotations:
        raise InputError('there is no annotated expression to score; check the dataset and its ann_file')
    thresholds = exact_thresholds(precision_thresholds)
    return {
        'mIoU': mean([overlap.iou for overlap in overlaps]),
        'cIoU': cumulative_iou(overlaps),
        **{f'P@{name}': precision(overlaps, value, strict) for name, value in thresholds.items()},
        RANGE_NAME: mean([precision(overlaps, value, strict) for value in RANGE]),
        **segmentation_errors(counted),
        'mIoU_part': macro_iou(counted, by_part=True),
        'cIoU_part': micro_iou(counted, by_part=True),
        'mIoU_super': macro_iou(counted, by_part=False),
        **{f'mIoU_{size}': mean(ious) for size in SIZES
           if (ious := [row.score.overlap.iou for row in counted if size_name(row.score.true_area) == size])},
        'ann_mIoU': mean([overlap.iou for overlap in annotations]),
        'ann_cIoU': cumulative_iou(annotations),
        **{f'ann_P@{name}': precision(annotations, value, strict) for name, value in thresholds.items()},
        'expressions': len(overlaps),
        'annotated_parts': len(annotations),
        **({'skipped_empty': len(rows) - len(counted)} if empty == 'skip' else {}),
        **{f'mIoU_{title}_{name}': group_metrics(group, strict)['mIoU']
           for title, groups in group_by_origin(counted).items() for name, group in groups.items()},
    }


def count_truncated(rows: Sequence[Row]) -> dict[str, float]:
    """Return the metric ``truncated_expressions``; an empty dict where the model saw all words."""
    count = sum(row.truncated is not None for row in rows)
    return {'truncated_expressions': count} if count else {}


def describe_truncated(rows: Sequence[Row]) -> str:
    """Return a warning with the number of truncated expressions and the first of them; '' where there are none."""
    cut = {row.expression: row.truncated for row in rows if row.truncated is not None}
    if not cut:
        return ''
    examples = '; '.join(f'{shown(text)} without {shown(words)}' for text, words in list(cut.items())[:MAX_EXAMPLES])
    more = f'; and {len(cut) - MAX_EXAMPLES:,} more' if len(cut) > MAX_EXAMPLES else ''
    return (f"{int(count_truncated(rows)['truncated_expressions']):,} of {len(rows):,} expressions are longer than the "
            f"rows of the text encoder, and the model did not see their last words: {examples}{more}; raise the text "
            "encoder's word_length")


def describe_header(header: Mapping[str, object]) -> str:
    """Return a dump's header as one line."""
    return one_line(', '.join(f'{key} {value}' for key, value in header.items() if value is not None), MAX_HEADER)


def format_table(rows: Sequence[Row],
                 *,
                 precision_thresholds: Sequence[float] = PRECISION_THRESHOLDS,
                 strict: bool = True,
                 empty: EmptyRule = 'one',
                 note: str = '',
                 by_part: bool = False) -> str:
    """Return text tables in percent: totals, super-categories and parts; raises as ``summarise``.

    Args:
        rows: scored expressions.
        precision_thresholds, strict, empty: see ``ReferringSegMetric``.
        note: line above the tables, e.g. the model and the decode.
        by_part: one line per part too, not their macro mean alone.
    """
    rows = check_rows(rows)
    summary = summarise(rows, precision_thresholds=precision_thresholds, strict=strict, empty=empty)
    both_empty = sum(not row.score.overlap.union for row in rows)
    rows = apply_empty_rule(rows, empty)
    names = ['mIoU', 'cIoU', *(f'P@{name}' for name in exact_thresholds(precision_thresholds))]
    total = Table('', [Column(''), Column('n'), *percent_columns(*names)], [
        ['per expression', summary['expressions'], *(summary[name] for name in names)],
        ['per annotated part', summary['annotated_parts'], *(summary[f'ann_{name}'] for name in names)],
    ])
    by_super_category = _group_table('super-category', _named_groups(rows, by_part=False), strict,
                                     summary['mIoU_super'])
    blocks = [
        *([note] if note else []),
        describe_conventions(strict, empty, both_empty),
        to_text(total),
        to_text(by_super_category),
    ]
    if by_part:
        blocks.append(to_text(_group_table('part', _named_groups(rows, by_part=True), strict, summary['mIoU_part'])))
    else:
        blocks.append(f"mean over parts: mIoU (macro) {percent(summary['mIoU_part'])}, cIoU (micro) "
                      f"{percent(summary['cIoU_part'])}")
    over, under = percent(summary['over_segmentation']), percent(summary['under_segmentation'])
    blocks.append(f'{RANGE_NAME} {percent(summary[RANGE_NAME])}; over-segmentation {over}, under-segmentation {under}')
    blocks += [to_text(_group_table(title, list(groups.items()), strict))
               for title, groups in group_by_origin(rows).items()]
    return '\n'.join(blocks)


def _named_groups(rows: Sequence[Row], by_part: bool) -> list[tuple[str, list[Row]]]:
    return [(' '.join(filter(None, name)) or '(none)', group) for name, group in group_rows(rows, by_part).items()]


def _group_table(title: str, groups: Sequence[tuple[str, Sequence[Row]]], strict: bool,
                 macro_miou: float | None = None) -> Table:
    lines: list[list[Cell]] = [[name, len(group), *group_metrics(group, strict).values()] for name, group in groups]
    if macro_miou is not None:
        lines.append(['macro mean', '', macro_miou, ''])
    return Table('', [Column(title), Column('n'), *percent_columns(*GROUP_METRICS)], lines)

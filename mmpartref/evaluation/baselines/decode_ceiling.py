"""A result beside its decode ceiling, by size of the part: what is lost before the network has said a word.

A ceiling is a dump as well (``tools/reference_points.py CONFIG decode-ceiling``): the training target of each
expression, decoded as the network's answers are.
"""
from collections.abc import Sequence
from pathlib import Path

from mmpartref.errors import InputError
from mmpartref.evaluation.comparison.compare_dumps import check_same, truth_by_ref
from mmpartref.evaluation.dumps.dump import PredictionDump
from mmpartref.evaluation.scoring.conventions import EmptyRule
from mmpartref.evaluation.scoring.grouped_metrics import FIGURES, SIZES, by_size, group_figures
from mmpartref.evaluation.scoring.iou_metrics import Row, align, describe_header, percent, under_empty_rule

# The line of all sizes together.
ALL = 'all'


def check_ceiling(dump: PredictionDump, ceiling: PredictionDump, file: str | Path, ceiling_file: str | Path) -> None:
    """Refuse a ceiling that is not this result's.

    Raises:
        ValueError: the two do not hold the same refs with the same truth, or both name a decode and not the same one.
    """
    check_same(truth_by_ref(dump, str(file)), truth_by_ref(ceiling, str(ceiling_file)), str(file), str(ceiling_file))
    decodes = [each.header.get('decode') for each in (dump, ceiling)]
    if all(decodes) and decodes[0] != decodes[1]:
        raise InputError(f'{file} was decoded as {decodes[0]!r} but {ceiling_file} as {decodes[1]!r}; make the ceiling '
                         "with tools/reference_points.py from the result's own config")


def ceiling_figures(rows: Sequence[Row], ceiling_rows: Sequence[Row], *, strict: bool = True,
                    empty: EmptyRule = 'one') -> dict[str, dict[str, float]]:
    """Return by size, 'all' last: ``n``, the result's figures, and the ceiling's behind the prefix 'ceiling '.

    Args:
        rows: of the result.
        ceiling_rows: of the ceiling, in any order; expressions are matched by ``ref_id``. Where the empty rule leaves
            an expression out of the result, it is left out of the ceiling too.
        strict, empty: as in ``summarise``.

    Raises:
        ValueError: nothing is left to score, or a ref has no ceiling.
    """
    by_ref = {row.ref_id: row for row in ceiling_rows}
    missing = [row.ref_id for row in rows if row.ref_id not in by_ref]
    if missing:
        raise InputError(f'{len(missing)} refs have no ceiling, e.g. {min(missing)}; make the ceiling of the same '
                         'ann_file and split')
    counted = under_empty_rule(rows, empty)
    groups = {**by_size(counted), ALL: counted}
    # What the rule leaves out of the result is already out of the groups.
    rule: EmptyRule = 'zero' if empty == 'zero' else 'one'
    figures = {}
    for size in (*SIZES, ALL):
        if size in groups:
            beside = under_empty_rule([by_ref[row.ref_id] for row in groups[size]], rule)
            figures[size] = {
                'n': len(groups[size]),
                **group_figures(groups[size], strict),
                **{f'ceiling {name}': value for name, value in group_figures(beside, strict).items()}
            }
    return figures


def format_ceiling(figures: dict[str, dict[str, float]], ceiling: PredictionDump) -> str:
    """Return the figures as a table in percent, below a line that says which ceiling it is."""
    names = [prefix + name for name in FIGURES for prefix in ('', 'ceiling ')]
    lines = [[size, str(int(each['n'])), *(percent(each[name]) for name in names)] for size, each in figures.items()]
    return '\n'.join([f'ceiling: {describe_header(ceiling.header)}', align([['mask size', 'n', *names], *lines])])

"""Metrics next to their decode ceiling, by mask size: the accuracy lost by the decode alone.

The ceiling is a dump as well (``tools/reference_points.py CONFIG decode-ceiling``): the training target of each
expression, decoded as the network's outputs are.
"""
from collections.abc import Sequence
from pathlib import Path

from mmpartref.argument_checks import check_switch
from mmpartref.errors import InputError
from mmpartref.evaluation.dumps.dump import PredictionDump
from mmpartref.evaluation.dumps.match_dumps import check_same_refs, truth_by_ref
from mmpartref.evaluation.scoring.conventions import EmptyRule
from mmpartref.evaluation.scoring.grouped_metrics import by_size
from mmpartref.evaluation.scoring.iou_metrics import (
    GROUP_METRICS,
    Row,
    apply_empty_rule,
    check_rows,
    describe_header,
    group_metrics,
)
from mmpartref.tables import Cell, Column, Table, percent_columns, to_text
from mmpartref.text import shown_name


def check_ceiling(dump: PredictionDump, ceiling: PredictionDump, file: str | Path, ceiling_file: str | Path) -> None:
    """Check that a ceiling belongs to a dump.

    Raises:
        ValueError: refs or ground truth differ, or both headers have a decode and they differ.
    """
    check_same_refs(truth_by_ref(dump, str(file)), truth_by_ref(ceiling, str(ceiling_file)), str(file),
                    str(ceiling_file))
    decodes = [each.header.get('decode') for each in (dump, ceiling)]
    if all(decodes) and decodes[0] != decodes[1]:
        raise InputError(f'{file} was decoded as {decodes[0]!r} but {ceiling_file} as {decodes[1]!r}; make the ceiling '
                         'with tools/reference_points.py from the config of the tested model')


def ceiling_metrics(rows: Sequence[Row], ceiling_rows: Sequence[Row], *, strict: bool = True,
                    empty: EmptyRule = 'one') -> dict[str, dict[str, float]]:
    """Return by size, 'all' last: ``n``, the model's metrics, and the ceiling's with the prefix 'ceiling '.

    Args:
        rows: of the model.
        ceiling_rows: of the ceiling, in any order, matched by ``ref_id``. Expressions that the empty rule drops from
            ``rows`` are dropped here too.
        strict, empty: as in ``summarise``.

    Raises:
        InputTypeError: an argument is of another type.
        InputError: the empty rule drops all rows, or a ref has no ceiling.
    """
    rows, strict = check_rows(rows), check_switch(strict, 'strict')
    by_ref = {row.ref_id: row for row in check_rows(ceiling_rows, 'ceiling_rows')}
    missing = [row.ref_id for row in rows if row.ref_id not in by_ref]
    if missing:
        raise InputError(f'{len(missing)} refs have no ceiling, e.g. {shown_name(min(missing))}; make the ceiling '
                         'of the same ann_file and split')
    counted = apply_empty_rule(rows, empty)
    # 'skip' has already been applied to the groups.
    rule: EmptyRule = 'zero' if empty == 'zero' else 'one'
    return {
        size: {
            'n': len(group),
            **group_metrics(group, strict),
            **{f'ceiling {name}': value for name, value in group_metrics(
                apply_empty_rule([by_ref[row.ref_id] for row in group], rule), strict).items()}
        } for size, group in {**by_size(counted), 'all': counted}.items()
    }


def format_ceiling(metrics: dict[str, dict[str, float]], ceiling: PredictionDump) -> str:
    """Return the metrics as a text table in percent, below the ceiling's header."""
    names = [prefix + name for name in GROUP_METRICS for prefix in ('', 'ceiling ')]
    rows: list[list[Cell]] = [[size, each['n'], *(each[name] for name in names)]
                              for size, each in metrics.items()]
    return to_text(Table(f'ceiling: {describe_header(ceiling.header)}',
                         [Column('mask size'), Column('n'), *percent_columns(*names)], rows))

"""Text tables of an error analysis: the metrics of ``diagnose.summarise_diagnosis``, in percent."""
from collections.abc import Mapping
from typing import Any

from mmpartref.evaluation.diagnosis.confusion import ConfusionRow, format_confusion, format_largest_confusions
from mmpartref.evaluation.diagnosis.diagnose import ALL_SIZES
from mmpartref.evaluation.diagnosis.left_right import format_left_right
from mmpartref.tables import Cell, Column, Table, percent, percent_columns, to_text

# Keys of ``error_metrics`` and their headings.
SIZE_COLUMNS = {'mIoU': 'mIoU', 'P@0.5': 'P@0.5', 'boundary_mIoU': 'Boundary IoU', 'precision': 'precision',
                'recall': 'recall', 'empty': 'empty', 'area_ratio': 'area ratio'}
OWNER_COLUMNS = {'mIoU': 'mIoU', 'boundary_mIoU': 'Boundary IoU', 'precision': 'precision', 'recall': 'recall',
                 'empty': 'empty', 'with_siblings': 'with siblings', 'collapse': 'collapse'}
# Super-categories with fewer expressions have no confusion matrix in the text.
MIN_MATRIX_EXPRESSIONS = 20


def format_diagnosis(summary: Mapping[str, Any]) -> str:
    """Return every section, each below a line with its title."""
    used = summary['conventions']
    sections = [f"P@0.5 counts IoU {'>' if used['strict'] else '>='} 0.5; boundary band {100 * used['band']:g} % of "
                "the image's diagonal; metrics in percent"]
    if ALL_SIZES in summary['by_size']:
        sections += [
            _metric_table('by mask size', 'mask size', summary['by_size'], SIZE_COLUMNS),
            _share_table('failure kinds, share of the expressions', 'kind', summary['kinds']),
            _share_table('pixels, share of the expressions by precision and recall of at least 50', 'at least half',
                         summary['fits']),
            _collapse_line(summary['by_size'][ALL_SIZES]),
            _metric_table('by super-category', 'super-category', summary['by_super_category'], OWNER_COLUMNS),
            _confusion_section(summary['confusion']),
            format_left_right(summary['left_right']),
        ]
    return '\n\n'.join([*sections, _absent_line(summary['absent'])])


def _collapse_line(metrics: Mapping[str, float | None]) -> str:
    collapse = metrics['collapse']
    if collapse is None:
        return 'collapse to the whole object: no image has more than one part of an object'
    return (f"collapse to the whole object: {percent(collapse)} of the {metrics['with_siblings']} expressions whose "
            'object has other parts')


def _confusion_section(confusion: Mapping[str, Any]) -> str:
    """Return the largest confusions, the larger matrices, and how many matrices are skipped."""
    matrices = {owner: {part: ConfusionRow(**row) for part, row in rows.items()} for owner, rows in confusion.items()}
    shown = {owner: rows for owner, rows in matrices.items()
             if len(rows) > 1 and sum(row.expressions for row in rows.values()) >= MIN_MATRIX_EXPRESSIONS}
    largest = format_largest_confusions(matrices)
    blocks = ['confusion of parts: where the pixels predicted for each part are', *([largest] if largest else []),
              *(format_confusion(owner, rows) for owner, rows in shown.items())]
    if len(shown) < len(matrices):
        blocks.append(f'  {len(matrices) - len(shown)} super-categories with one part or fewer than '
                      f'{MIN_MATRIX_EXPRESSIONS} expressions are in --json only')
    return '\n'.join(blocks)


def _absent_line(absent: Mapping[str, int]) -> str:
    if not absent['expressions'] and not absent['uncertain']:
        return 'the parts of all expressions are in their images'
    uncertain = f", of {absent['uncertain']} more possibly not" if absent['uncertain'] else ''
    return (f"the parts of {absent['expressions']} expressions are not in the image{uncertain}; "
            f"{absent['false_positives']} of the {absent['expressions']} have a mask (false positives). They are "
            'ignored above')


def _metric_table(title: str, heading: str, groups: Mapping[str, Mapping[str, float | None]],
                  columns: Mapping[str, str]) -> str:
    """Return one row per group: its size, then the metrics named in ``columns``."""
    rows: list[list[Cell]] = [[name or '(none)', metrics['n'], *(metrics[key] for key in columns)]
                              for name, metrics in groups.items()]
    return to_text(Table(title, [Column(heading), Column('n'), *(Column(name, percent=key != 'with_siblings')
                                                                 for key, name in columns.items())], rows))


def _share_table(title: str, heading: str, table: Mapping[str, Mapping[str, float]]) -> str:
    """Return one row per label and one column per group, without labels that are 0 in all groups."""
    groups = next(iter(table.values()))
    rows: list[list[Cell]] = [[label, *shares.values()]
                              for label, shares in table.items() if any(shares.values())]
    return to_text(Table(title, [Column(heading), *percent_columns(*groups)], rows))

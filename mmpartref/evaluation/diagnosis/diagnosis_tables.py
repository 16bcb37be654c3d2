"""A diagnosis to read: the figures of ``diagnosis.summarise_diagnosis`` as text, in percent."""
from collections.abc import Mapping
from typing import Any

from mmpartref.evaluation.diagnosis.confusion import ConfusionLine, format_commonest, format_confusion
from mmpartref.evaluation.diagnosis.diagnose import ALL
from mmpartref.evaluation.diagnosis.left_right import format_left_right
from mmpartref.evaluation.scoring.iou_metrics import align, percent

# Figures as ``group_figures`` calls them, and their headings.
SIZE_COLUMNS = {'mIoU': 'mIoU', 'P@0.5': 'P@0.5', 'boundary_mIoU': 'Boundary IoU', 'precision': 'precision',
                'recall': 'recall', 'empty': 'empty', 'area_ratio': 'area ratio'}
OWNER_COLUMNS = {'mIoU': 'mIoU', 'boundary_mIoU': 'Boundary IoU', 'precision': 'precision', 'recall': 'recall',
                 'empty': 'empty', 'with_siblings': 'with siblings', 'collapse': 'collapse'}
# Super-categories with fewer expressions get no confusion matrix in the text.
CONFUSION_FROM = 20
UNKNOWN = '-'


def format_diagnosis(summary: Mapping[str, Any]) -> str:
    """Return every section, each below a line that says what it shows."""
    sections = [
        conventions(summary),
        *([] if ALL not in summary['by_size'] else [
            'by mask size\n' + figure_table('mask size', summary['by_size'], SIZE_COLUMNS),
            'failure kinds, share of the expressions\n' + share_table('kind', summary['kinds']),
            'pixels, share of the expressions by precision and recall of at least 50\n' +
            share_table('at least half', summary['fits']),
            collapse_line(summary['by_size'][ALL]),
            'by super-category\n' + figure_table('super-category', summary['by_super_category'], OWNER_COLUMNS),
            confusion_section(summary),
            format_left_right(summary['left_right']),
        ]),
        absent_line(summary['absent']),
    ]
    return '\n\n'.join(sections)


def conventions(summary: Mapping[str, Any]) -> str:
    """Return what was counted how."""
    used = summary['conventions']
    return (f"P@0.5 counts IoU {'>' if used['strict'] else '>='} 0.5; boundary band {100 * used['band']:g} % of the "
            "photo's diagonal; figures in percent")


def collapse_line(figures: Mapping[str, float | None]) -> str:
    """Say how often the mask is the object instead of the part."""
    collapse = figures['collapse']
    if collapse is None:
        return 'collapse to the whole object: no photo shows more than one part of an object'
    return (f"collapse to the whole object: {percent(collapse)} of the {figures['with_siblings']:.0f} expressions "
            'whose object shows other parts')


def confusion_section(summary: Mapping[str, Any]) -> str:
    """Return the largest confusions, the matrices of super-categories with several parts, and what is left out."""
    matrices = {owner: {part: ConfusionLine(**line) for part, line in lines.items()}
                for owner, lines in summary['confusion'].items()}
    shown = {owner: lines for owner, lines in matrices.items()
             if len(lines) > 1 and sum(line.expressions for line in lines.values()) >= CONFUSION_FROM}
    commonest = format_commonest(matrices)
    blocks = ['where the pixels predicted for each part lie', *([commonest] if commonest else []),
              *(format_confusion(owner, lines) for owner, lines in shown.items())]
    if len(shown) < len(matrices):
        blocks.append(f'  {len(matrices) - len(shown)} super-categories with one part or fewer than {CONFUSION_FROM} '
                      'expressions are in --json alone')
    return '\n'.join(blocks)


def absent_line(absent: Mapping[str, int]) -> str:
    """Say what became of expressions whose part the photo does not show."""
    if not absent['expressions'] and not absent['doubtful']:
        return 'every expression names a part that its photo shows'
    doubtful = f", {absent['doubtful']} more perhaps not" if absent['doubtful'] else ''
    return (f"{absent['expressions']} expressions name a part that the photo does not show{doubtful}; "
            f"{absent['invented']} of the {absent['expressions']} got a mask all the same. None is in another figure")


def figure_table(title: str, groups: Mapping[str, Mapping[str, float | None]], columns: Mapping[str, str]) -> str:
    """Return one line per group: its size, then the figures named in ``columns``."""
    lines = [[name or '(none)', f"{figures['n']:.0f}", *(_cell(key, figures[key]) for key in columns)]
             for name, figures in groups.items()]
    return align([[title, 'n', *columns.values()], *lines])


def share_table(title: str, table: Mapping[str, Mapping[str, float]]) -> str:
    """Return one line per label and one column per group; labels that nobody has are left out."""
    groups = next(iter(table.values()))
    return align([[title, *groups],
                  *([label, *map(percent, row.values())] for label, row in table.items() if any(row.values()))])


def _cell(key: str, value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return f'{value:.0f}' if key == 'with_siblings' else percent(value)

"""An examination as text."""
from mmpartref.datasets.coco.finding_codes import CODES
from mmpartref.datasets.coco.findings import Finding
from mmpartref.doctor.checks.check_splits import published
from mmpartref.doctor.examination import Examination

EXAMPLES = 3
# Categories listed unless every line is asked for; PartImageNet has 40.
MOST_CATEGORIES = 40


def format_report(examination: Examination, every: bool = False) -> str:
    """Return the whole report.

    Args:
        every: show every finding and category instead of the first.
    """
    blocks = [examination.verdict, '\n'.join(examination.remarks), format_counts(examination, every)]
    groups = examination.findings.by_code()
    blocks += [format_group(code, members, every) for code, members in groups.items()]
    return '\n\n'.join(block for block in [*blocks, format_verdict(examination)] if block)


def format_group(code: str, members: list[Finding], every: bool) -> str:
    """Return a code's findings: what it is, how to mend it, and examples."""
    about = CODES[code]
    shown = members if every else members[:EXAMPLES]
    lines = [f'{about.severity}  {code}  {len(members):,}x: {about.what}', f'    mend: {about.mend}']
    for finding in shown:
        where = ', '.join(part for part in (finding.file or finding.split, finding.record) if part)
        told = '' if finding.message == about.what else finding.message
        lines.append('    ' + ': '.join(part for part in (where, told) if part))
    if len(shown) < len(members):
        lines.append(f'    ... and {len(members) - len(shown):,} more')
    return '\n'.join(lines)


def format_counts(examination: Examination, every: bool) -> str:
    """Return a table of counts, one column per split, the published number behind a '/' where there is one."""
    counts = examination.counts
    if not counts:
        return ''
    paper = {split: published(examination.kind, split) for split in counts}

    def cell(split: str, what: str, number: int) -> str:
        return f'{number:,} / {paper[split][what]:,}' if what in paper[split] else f'{number:,}'

    rows = [['found / published' if examination.kind else '', *counts]]
    rows.append(['photos', *(cell(split, 'photos', count.photos) for split, count in counts.items())])
    if any(count.classes for count in counts.values()):
        rows.append(['classes', *(cell(split, 'classes', len(count.classes)) for split, count in counts.items())])
    rows.append(['annotated parts', *(cell(split, 'parts', count.annotations) for split, count in counts.items())])
    rows.append(['masks', *(f'{count.masks:,}' for count in counts.values())])
    names = list(dict.fromkeys(name for count in counts.values() for name in count.categories))
    if len(names) > MOST_CATEGORIES and not every:
        names.sort(key=lambda name: -sum(count.categories[name] for count in counts.values()))
    shown = names if every else names[:MOST_CATEGORIES]
    rows += [[name, *(f'{count.categories[name]:,}' for count in counts.values())] for name in shown]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ['  '.join([row[0].ljust(widths[0]), *(text.rjust(width) for text, width in
                                                   zip(row[1:], widths[1:], strict=True))]) for row in rows]
    if len(shown) < len(names):
        lines.append(f'... and {len(names) - len(shown)} rarer categories')
    return '\n'.join(lines)


def format_verdict(examination: Examination) -> str:
    """Return the last line."""
    counts = examination.findings.counts()
    told = ', '.join(f"{number:,} {severity}{'' if number == 1 else 's'}" for severity, number in counts.items())
    return f"{'healthy' if examination.findings.healthy else 'unhealthy'}: {told}"

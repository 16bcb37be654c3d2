"""A report as text."""
from mmpartref.datasets.coco.finding_codes import CODES
from mmpartref.datasets.coco.findings import Finding
from mmpartref.doctor.checks.check_splits import published
from mmpartref.doctor.examination import Report
from mmpartref.tables import Column, Table, to_text

EXAMPLES = 3
# Categories in the table unless all are shown; PartImageNet has 40.
MAX_CATEGORIES = 40


def format_report(report: Report, every: bool = False) -> str:
    """Return the whole report.

    Args:
        every: show every finding and category instead of the first ones.
    """
    blocks = [report.verdict, '\n'.join(report.remarks), format_counts(report, every)]
    groups = report.findings.by_code()
    blocks += [format_group(code, members, every) for code, members in groups.items()]
    return '\n\n'.join(block for block in [*blocks, format_verdict(report)] if block)


def format_group(code: str, members: list[Finding], every: bool) -> str:
    """Return the findings of one code: what it is, how to fix it, and examples."""
    about = CODES[code]
    shown = members if every else members[:EXAMPLES]
    lines = [f'{about.severity}  {code}  {len(members):,}x: {about.what}', f'    fix: {about.fix}']
    for finding in shown:
        where = ', '.join(part for part in (finding.file or finding.split, finding.record) if part)
        message = '' if finding.message == about.what else finding.message
        lines.append('    ' + ': '.join(part for part in (where, message) if part))
    if len(shown) < len(members):
        lines.append(f'    ... and {len(members) - len(shown):,} more')
    return '\n'.join(lines)


def format_counts(report: Report, every: bool) -> str:
    """Return a table of counts, one column per split, published numbers after a '/'."""
    counts = report.counts
    if not counts:
        return ''
    paper = {split: published(report.kind, split) for split in counts}

    def cells(what: str, numbers: list[int]) -> list[str]:
        return [f'{number:,} / {paper[split][what]:,}' if what in paper[split] else f'{number:,}'
                for split, number in zip(counts, numbers, strict=True)]

    rows = [['images', *cells('images', [count.images for count in counts.values()])]]
    if any(count.classes for count in counts.values()):
        rows.append(['classes', *cells('classes', [len(count.classes) for count in counts.values()])])
    rows.append(['annotated parts', *cells('parts', [count.annotations for count in counts.values()])])
    rows.append(['masks', *(f'{count.masks:,}' for count in counts.values())])
    names = list(dict.fromkeys(name for count in counts.values() for name in count.categories))
    if len(names) > MAX_CATEGORIES and not every:
        names.sort(key=lambda name: -sum(count.categories[name] for count in counts.values()))
    shown = names if every else names[:MAX_CATEGORIES]
    rows += [[name, *(f'{count.categories[name]:,}' for count in counts.values())] for name in shown]
    notes = [f'... and {len(names) - len(shown)} rarer categories'] if len(shown) < len(names) else []
    columns = ['found / published' if report.kind else '', *counts]
    return to_text(Table('', [Column(name) for name in columns], rows, notes))


def format_verdict(report: Report) -> str:
    """Return the last line."""
    counts = report.findings.counts()
    numbers = ', '.join(f"{number:,} {severity}{'' if number == 1 else 's'}" for severity, number in counts.items())
    return f"{'healthy' if report.findings.healthy else 'unhealthy'}: {numbers}"

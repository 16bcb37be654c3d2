"""Seen, unseen and harmonic means of a zero-shot or transfer protocol."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmpartref.datasets.protocols import Protocol
from mmpartref.evaluation.scoring.conventions import EmptyRule
from mmpartref.evaluation.scoring.iou_metrics import (
    TABLE_THRESHOLD,
    Row,
    align,
    mean,
    percent,
    precision,
    under_empty_rule,
)

SIDES = ('seen', 'unseen')
# Over all expressions, then the mean of each part's own.
FIGURES = ('mIoU', 'P@0.5', 'mIoU_part', 'P@0.5_part')
COLUMNS = ('mIoU', 'P@0.5', 'macro mIoU', 'macro P@0.5')


@dataclass(frozen=True)
class TaggedRow(Row):
    """A scored expression, its ``side`` of a protocol and the ``group`` that macro means count as one.

    ``side`` is 'seen', 'unseen', or None for what takes no part. A group is a category (super-category, part), in a
    protocol of classes a category of one class (synset, super-category, part).
    """
    side: str | None = None
    group: tuple[str, ...] = ()


def tag_rows(rows: Sequence[Row], protocol: Protocol, paths: Mapping[int | str, str]) -> list[TaggedRow]:
    """Return the rows with their sides.

    Args:
        rows: scored expressions.
        protocol: tells seen from unseen.
        paths: of each photo by ``img_id``; its name tells the class.

    Raises:
        ValueError: a part is on neither side of a protocol of categories.
    """
    tagged = []
    for row in rows:
        side = protocol.side_of(row.super_category, row.part, paths[row.img_id])
        entry = protocol.entry_of(row.super_category, row.part, paths[row.img_id])
        group = (entry, *row.category) if isinstance(entry, str) else row.category
        tagged.append(TaggedRow(**vars(row), side=side, group=group))
    return tagged


def harmonic_mean(seen: float, unseen: float) -> float:
    """Return 2 s u / (s + u), and 0 where one of the two is 0."""
    return 2 * seen * unseen / (seen + unseen) if seen and unseen else 0.0


def side_figures(rows: Sequence[TaggedRow], strict: bool) -> dict[str, float]:
    """Return the ``FIGURES`` of one side, fractions."""
    groups: dict[tuple[str, ...], list[TaggedRow]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    sets = [[row.score.overlap for row in members] for members in (rows, *groups.values())]
    ious = [mean([overlap.iou for overlap in overlaps]) for overlaps in sets]
    precisions = [precision(overlaps, TABLE_THRESHOLD, strict) for overlaps in sets]
    return dict(zip(FIGURES, (ious[0], precisions[0], mean(ious[1:]), mean(precisions[1:])), strict=True))


def summarise_protocol(rows: Sequence[TaggedRow], *, strict: bool = True,
                       empty: EmptyRule = 'one') -> dict[str, float]:
    """Return ``seen_<figure>``, ``unseen_<figure>`` and ``harmonic_<figure>`` for each of ``FIGURES``, and counts.

    A side without an expression has no figures, and there is no harmonic mean then. Counts are ``<side>_expressions``
    and ``<side>_parts``, of groups that were asked for, and ``outside_expressions``, which take no part.

    Raises:
        ValueError: ``empty='skip'`` leaves nothing, or there is no such rule.
    """
    rows = [row for row in under_empty_rule(rows, empty) if isinstance(row, TaggedRow)]
    members = {side: [row for row in rows if row.side == side] for side in SIDES}
    summary: dict[str, float] = {}
    for side in SIDES:
        if members[side]:
            summary |= {f'{side}_{key}': value for key, value in side_figures(members[side], strict).items()}
    if all(members.values()):
        for key in FIGURES:
            summary[f'harmonic_{key}'] = harmonic_mean(summary[f'seen_{key}'], summary[f'unseen_{key}'])
    for side in SIDES:
        summary[f'{side}_expressions'] = len(members[side])
        summary[f'{side}_parts'] = len({row.group for row in members[side]})
    return {**summary, 'outside_expressions': sum(row.side is None for row in rows)}


def format_protocol(rows: Sequence[TaggedRow], protocol: Protocol, *, strict: bool = True,
                    empty: EmptyRule = 'one') -> str:
    """Return the figures as a table to read, in percent; raises as ``summarise_protocol``."""
    summary = summarise_protocol(rows, strict=strict, empty=empty)
    lines = [['', 'parts', 'n', *COLUMNS]]
    for side in SIDES:
        counts = [str(summary[f'{side}_parts']), str(summary[f'{side}_expressions'])]
        lines.append([side, *counts, *_cells(summary, side)])
    lines.append(['harmonic mean', '', '', *_cells(summary, 'harmonic')])
    split = protocol.split
    unit = 'classes' if split.unit == 'class' else 'categories'
    title = f'protocol {protocol.title}: {len(split.seen)} {unit} seen, {len(split.unseen)} unseen'
    outside = summary['outside_expressions']
    note = f"\n  {outside} expressions are of photos whose class takes no part, and not counted here" if outside else ''
    return f'{title}\n{align(lines)}{note}'


def _cells(summary: Mapping[str, float], side: str) -> list[str]:
    return [percent(summary[f'{side}_{key}']) if f'{side}_{key}' in summary else '-' for key in FIGURES]

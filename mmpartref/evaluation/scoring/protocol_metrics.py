"""Seen, unseen and harmonic means of a zero-shot or transfer protocol."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmpartref.datasets.protocols import Protocol
from mmpartref.evaluation.scoring.conventions import EmptyRule
from mmpartref.evaluation.scoring.iou_metrics import Row, apply_empty_rule, group_metrics, mean
from mmpartref.tables import Column, Table, percent_columns, to_text

SIDES = ('seen', 'unseen')
# Over all expressions, then the macro mean over groups; with their headings.
SIDE_METRICS = {'mIoU': 'mIoU', 'P@0.5': 'P@0.5', 'mIoU_part': 'macro mIoU', 'P@0.5_part': 'macro P@0.5'}


@dataclass(frozen=True)
class TaggedRow(Row):
    """A scored expression with its side of a protocol.

    Attributes:
        side: 'seen', 'unseen', or None for an image whose class is on neither side.
        group: the unit of macro means: a category (super-category, part); in a protocol of classes the category of one
            class (synset, super-category, part).
    """
    side: str | None = None
    group: tuple[str, ...] = ()


def tag_rows(rows: Sequence[Row], protocol: Protocol, paths: Mapping[int | str, str]) -> list[TaggedRow]:
    """Return the rows with their sides.

    Args:
        rows: scored expressions.
        protocol: the split into seen and unseen.
        paths: of each image by ``img_id``; the file name contains the class.

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
    """Return 2 s u / (s + u); 0 where one of the two is 0."""
    return 2 * seen * unseen / (seen + unseen) if seen and unseen else 0.0


def side_metrics(rows: Sequence[TaggedRow], strict: bool) -> dict[str, float]:
    """Return ``SIDE_METRICS`` (fractions) of the seen or the unseen expressions.

    mIoU and P@0.5 are over expressions, mIoU_part and P@0.5_part means over groups. ``strict``: P@0.5 counts IoU > 0.5
    instead of >=.
    """
    groups: dict[tuple[str, ...], list[TaggedRow]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    macro = [group_metrics(members, strict) for members in groups.values()]
    total = group_metrics(rows, strict)
    return {**total, **{f'{name}_part': mean([each[name] for each in macro]) for name in total}}


def summarise_protocol(rows: Sequence[TaggedRow], *, strict: bool = True,
                       empty: EmptyRule = 'one') -> dict[str, float]:
    """Return ``seen_<metric>``, ``unseen_<metric>`` and ``harmonic_<metric>`` for each of ``SIDE_METRICS``, and counts.

    A side without an expression has no metrics, and then there is no harmonic mean. Counts are ``<side>_expressions``,
    ``<side>_parts`` (groups that occur) and ``outside_expressions`` (on neither side).

    Raises:
        ValueError: ``empty='skip'`` drops all rows, or the rule is unknown.
    """
    rows = [row for row in apply_empty_rule(rows, empty) if isinstance(row, TaggedRow)]
    members = {side: [row for row in rows if row.side == side] for side in SIDES}
    summary: dict[str, float] = {}
    for side in SIDES:
        if members[side]:
            summary |= {f'{side}_{key}': value for key, value in side_metrics(members[side], strict).items()}
    if all(members.values()):
        for key in SIDE_METRICS:
            summary[f'harmonic_{key}'] = harmonic_mean(summary[f'seen_{key}'], summary[f'unseen_{key}'])
    for side in SIDES:
        summary[f'{side}_expressions'] = len(members[side])
        summary[f'{side}_parts'] = len({row.group for row in members[side]})
    return {**summary, 'outside_expressions': sum(row.side is None for row in rows)}


def format_protocol(rows: Sequence[TaggedRow], protocol: Protocol, *, strict: bool = True,
                    empty: EmptyRule = 'one') -> str:
    """Return ``summarise_protocol`` as a text table in percent, titled with the protocol's name; errors as there."""
    summary = summarise_protocol(rows, strict=strict, empty=empty)
    lines = [[name, summary.get(f'{side}_parts', ''), summary.get(f'{side}_expressions', ''),
              *(summary.get(f'{side}_{key}') for key in SIDE_METRICS)]
             for side, name in (('seen', 'seen'), ('unseen', 'unseen'), ('harmonic', 'harmonic mean'))]
    unit = 'classes' if protocol.unit == 'class' else 'categories'
    title = f'protocol {protocol.title}: {len(protocol.seen)} {unit} seen, {len(protocol.unseen)} unseen'
    outside = summary['outside_expressions']
    notes = [f'{outside} expressions are of images whose class is on neither side, and ignored here'] if outside else []
    columns = [Column(''), Column('parts'), Column('n'), *percent_columns(*SIDE_METRICS.values())]
    return to_text(Table(title, columns, lines, notes))

"""Which part the model takes for which: where the pixels predicted for each part lie.

One matrix per super-category. The line is the part that was asked for, the column what the predicted pixels lie on: a
part of the same super-category in the same photo, or background (everything that is not annotated as one of them). Each
cell is the mean, over the line's expressions, of the share of the predicted pixels; every expression weighs the same
whatever its size, and a line adds up to 1. Expressions with an empty mask have no shares and are counted apart;
expressions whose part is not in the photo are not in the matrix. A pixel on several parts counts once, for the part
that was asked for or else for the smallest (``landing.count_landing``); other instances of the part that was asked for
count as that part.

A part can only be taken for one that is in the photo: the matrix reads a rare part as less tempting.
"""
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mmpartref.evaluation.diagnosis.pixel_breakdown import Landing
from mmpartref.evaluation.scoring.iou_metrics import align, mean, percent

BACKGROUND = 'background'
# Up to this many parts stand in the heading by name, more of them by number.
NAMED_COLUMNS = 6
# The list of the largest confusions: how many, and from how many masks on.
COMMONEST, CONFUSED_FROM = 10, 5


@dataclass(frozen=True)
class ConfusionLine:
    """What was predicted for one part.

    Attributes:
        expressions: how many asked for it in photos that show it.
        empty: how many of them got an empty mask.
        shares: of the predicted pixels, by part of the super-category and 'background'; empty where all masks were.
    """
    expressions: int
    empty: int
    shares: dict[str, float]


def confusion(landings: Iterable[tuple[str, str, Landing]]) -> dict[str, dict[str, ConfusionLine]]:
    """Return the matrices, super-category to part to line, sorted by name.

    Args:
        landings: (super-category, part, counted pixels) of each expression, in any order.
    """
    groups: dict[str, dict[str, list[Landing]]] = {}
    for super_category, part, landing in landings:
        if landing.true_area:
            groups.setdefault(super_category, {}).setdefault(part, []).append(landing)
    return {owner: {part: _line(part, parts, group) for part, group in sorted(parts.items())}
            for owner, parts in sorted(groups.items())}


def _line(part: str, parts: Iterable[str], landings: list[Landing]) -> ConfusionLine:
    said = [each for each in landings if each.pred_area]
    if not said:
        return ConfusionLine(len(landings), len(landings), {})
    shares = {}
    for other in sorted(parts):
        if other == part:
            pixels = [each.named.inter for each in said]
        else:
            pixels = [each.parts[other].pixels if other in each.parts else 0 for each in said]
        shares[other] = mean([count / each.pred_area for count, each in zip(pixels, said, strict=True)])
    shares[BACKGROUND] = mean([each.on_background / each.pred_area for each in said])
    return ConfusionLine(len(landings), len(landings) - len(said), shares)


def commonest_confusions(matrices: Mapping[str, Mapping[str, ConfusionLine]]) -> list[tuple[str, str, float, int]]:
    """Return (asked for, found on, share, masks) of the largest shares on another part, at most ``COMMONEST``.

    Parts with fewer than ``CONFUSED_FROM`` non-empty masks are passed over; equal shares go by name.
    """
    found = [(' '.join(filter(None, (owner, part))), other, share, line.expressions - line.empty)
             for owner, lines in matrices.items() for part, line in lines.items()
             if line.expressions - line.empty >= CONFUSED_FROM
             for other, share in line.shares.items() if other not in (part, BACKGROUND) and share]
    return sorted(found, key=lambda each: (-each[2], *each[:2]))[:COMMONEST]


def format_commonest(matrices: Mapping[str, Mapping[str, ConfusionLine]]) -> str:
    """Return ``commonest_confusions`` as a table in percent; '' where there is none."""
    lines = [[asked, other, percent(share), str(masks)]
             for asked, other, share, masks in commonest_confusions(matrices)]
    return align([['asked for', 'found on', 'share', 'masks'], *lines]) if lines else ''


def format_confusion(owner: str, lines: Mapping[str, ConfusionLine]) -> str:
    """Return one super-category's matrix in whole percent; a cell without a single pixel is '.'."""
    numbers = {part: str(number) for number, part in enumerate(lines, 1)}
    numbered = len(lines) > NAMED_COLUMNS
    heading = [owner or '(none)', 'n', 'empty', *(numbers.values() if numbered else lines), BACKGROUND]
    cells = []
    for part, line in lines.items():
        label = f'{numbers[part].rjust(len(str(len(lines))))} {part}' if numbered else part
        cells.append([label, str(line.expressions), str(line.empty),
                      *(_cell(line.shares.get(other)) for other in (*lines, BACKGROUND))])
    return align([heading, *cells])


def _cell(share: float | None) -> str:
    return '-' if share is None else f'{100 * share:.0f}' if share else '.'

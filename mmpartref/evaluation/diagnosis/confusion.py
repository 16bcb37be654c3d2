"""Confusion matrices of parts, from the pixels predicted for each part.

One matrix per super-category. The row is the part of the expression, the column where the predicted pixels are: on a
part of the same super-category in the same image, or on background (everything that is not annotated as one of them). A
cell is the mean, over the row's expressions, of the share of the predicted pixels; every expression weighs the same
whatever its size, and a row sums to 1. Expressions with an empty mask have no shares and are counted separately;
expressions whose part is not in the image are ignored. A pixel on several parts counts once, for the expression's part
or else for the smallest (``pixel_breakdown.count_pixels``); other instances of the expression's part count as it.

A part is only confused with parts that are in the image, so that columns of rare parts have small shares.
"""
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mmpartref.evaluation.diagnosis.pixel_breakdown import PixelBreakdown
from mmpartref.evaluation.scoring.iou_metrics import mean
from mmpartref.tables import Cell, Column, Table, to_text

BACKGROUND = 'background'
# Up to this many parts are named in the heading, more are numbered.
MAX_NAMED_COLUMNS = 6
# Length of the list of the largest confusions, and the non-empty masks that a part needs to be in it.
MAX_CONFUSIONS, MIN_CONFUSED_MASKS = 10, 5


@dataclass(frozen=True)
class ConfusionRow:
    """The predictions for one part.

    Attributes:
        expressions: with this part in the image.
        empty: how many of them have an empty mask.
        shares: of the predicted pixels, by part of the super-category and 'background'; empty where all masks are.
    """
    expressions: int
    empty: int
    shares: dict[str, float]


def confusion(breakdowns: Iterable[tuple[str, str, PixelBreakdown]]) -> dict[str, dict[str, ConfusionRow]]:
    """Return the matrices, super-category to part to row, sorted by name.

    Args:
        breakdowns: (super-category, part, counted pixels) of each expression, in any order.
    """
    groups: dict[str, dict[str, list[PixelBreakdown]]] = {}
    for super_category, part, pixels in breakdowns:
        if pixels.true_area:
            groups.setdefault(super_category, {}).setdefault(part, []).append(pixels)
    return {owner: {part: _confusion_row(part, parts, group) for part, group in sorted(parts.items())}
            for owner, parts in sorted(groups.items())}


def _confusion_row(part: str, parts: Iterable[str], breakdowns: list[PixelBreakdown]) -> ConfusionRow:
    masks = [each for each in breakdowns if each.pred_area]
    if not masks:
        return ConfusionRow(len(breakdowns), len(breakdowns), {})
    shares = {}
    for other in sorted(parts):
        if other == part:
            pixels = [each.named.inter for each in masks]
        else:
            pixels = [each.parts[other].pixels if other in each.parts else 0 for each in masks]
        shares[other] = mean([count / each.pred_area for count, each in zip(pixels, masks, strict=True)])
    shares[BACKGROUND] = mean([each.on_background / each.pred_area for each in masks])
    return ConfusionRow(len(breakdowns), len(breakdowns) - len(masks), shares)


def largest_confusions(matrices: Mapping[str, Mapping[str, ConfusionRow]]) -> list[tuple[str, str, float, int]]:
    """Return (part, other part, share, masks) of the ``MAX_CONFUSIONS`` largest shares on another part.

    Parts with fewer than ``MIN_CONFUSED_MASKS`` non-empty masks are skipped; equal shares are sorted by name.
    """
    found = [(' '.join(filter(None, (owner, part))), other, share, row.expressions - row.empty)
             for owner, rows in matrices.items() for part, row in rows.items()
             if row.expressions - row.empty >= MIN_CONFUSED_MASKS
             for other, share in row.shares.items() if other not in (part, BACKGROUND) and share]
    return sorted(found, key=lambda each: (-each[2], *each[:2]))[:MAX_CONFUSIONS]


def format_largest_confusions(matrices: Mapping[str, Mapping[str, ConfusionRow]]) -> str:
    """Return ``largest_confusions`` as a text table in percent; '' where there are none."""
    found = largest_confusions(matrices)
    columns = [Column('part'), Column('predicted on'), Column('share', percent=True), Column('masks')]
    return to_text(Table('', columns, found)) if found else ''


def format_confusion(owner: str, rows: Mapping[str, ConfusionRow]) -> str:
    """Return one super-category's matrix in whole percent; '.' is not a single pixel, '-' not a single mask."""
    numbered = len(rows) > MAX_NAMED_COLUMNS
    names = [str(number) if numbered else part for number, part in enumerate(rows, 1)]
    digits = len(str(len(rows)))
    cells: list[list[Cell]] = []
    for number, (part, row) in enumerate(rows.items(), 1):
        shares = [row.shares.get(other) for other in (*rows, BACKGROUND)]
        cells.append([f'{number:{digits}} {part}' if numbered else part, row.expressions, row.empty,
                      *('.' if share == 0 else share for share in shares)])
    columns = [Column(owner or '(none)'), Column('n'), Column('empty'),
               *(Column(name, decimals=0, percent=True) for name in (*names, BACKGROUND))]
    return to_text(Table('', columns, cells))

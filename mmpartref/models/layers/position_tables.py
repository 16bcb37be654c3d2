"""Learned position tables on another grid than they were learned on."""
import torch
import torch.nn.functional as F


def resize_positions(table: torch.Tensor, grid: tuple[int, int], size: tuple[int, int]) -> torch.Tensor:
    """Resize a table (rows * columns, C) from one grid to another, bicubically and without aligned corners.

    Args:
        table: one row per cell of ``grid``, row by row.
        grid: (rows, columns) the table was learned on.
        size: (rows, columns) wanted.

    Returns:
        (size[0] * size[1], C); the table itself, to the bit, where the grid fits already.
    """
    if grid == size:
        return table
    maps = table.reshape(1, *grid, -1).permute(0, 3, 1, 2)  # (1, C, rows, columns)
    return F.interpolate(maps, size=size, mode='bicubic', align_corners=False).flatten(2)[0].transpose(0, 1)

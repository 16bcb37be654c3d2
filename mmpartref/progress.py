"""Progress bar of a long loop."""
import sys
from collections.abc import Iterable, Iterator
from operator import length_hint
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Item = TypeVar('Item')


def track(items: Iterable[Item], description: str, *, total: int | None = None, min_items: int = 2) -> Iterator[Item]:
    """Yield the items and show the progress on stderr: a bar on a terminal, one line at the end in a log file.

    Args:
        items: to iterate over.
        description: of the items, in the plural, e.g. 'images'.
        total: number of items; None for their length.
        min_items: fewer items are yielded without a bar.
    """
    total = length_hint(items) if total is None else total
    # With stdout in a file and a bar on the terminal, rich would send the printed lines to the terminal.
    with Progress(TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                  TimeRemainingColumn(), console=Console(stderr=True), disable=total < min_items,
                  redirect_stdout=sys.stdout.isatty()) as progress:
        yield from progress.track(items, total=total, description=description)

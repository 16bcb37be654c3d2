"""Progress bar of a long loop."""
import logging
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from operator import length_hint
from typing import TextIO, TypeVar

from mmengine.logging import MMLogger
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Item = TypeVar('Item')


def track(items: Iterable[Item], description: str, *, total: int | None = None, min_items: int = 2) -> Iterator[Item]:
    """Yield the items and show the progress on stderr: a bar on a terminal, one line at the end in a log file.

    On a terminal, lines that are printed or logged meanwhile are shown whole, above the bar. Where stdout is a pipe
    there is one line at the end too: its reader (``| tee``, ``| grep``) would print into the bar.

    Args:
        items: to iterate over.
        description: of the items, in the plural, e.g. 'images'.
        total: number of items; None for their length.
        min_items: fewer items are yielded without a bar.
    """
    total = length_hint(items) if total is None else total
    # With soft_wrap, long lines are printed as they are, not broken where the terminal ends.
    console = Console(stderr=True, soft_wrap=True, force_terminal=False if _is_pipe(sys.stdout) else None)
    streams = sys.stdout, sys.stderr
    # With stdout in a file and a bar on the terminal, rich would send the printed lines to the terminal.
    with Progress(TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                  TimeRemainingColumn(), console=console, disable=total < min_items,
                  redirect_stdout=sys.stdout is not None and sys.stdout.isatty()) as progress, _redirected_log(streams):
        yield from progress.track(items, total=total, description=description)


def _is_pipe(stream: TextIO | None) -> bool:
    if stream is None:  # closed when Python started
        return False
    try:
        return stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):  # not a file
        return False


@contextmanager
def _redirected_log(streams: tuple[TextIO | None, TextIO | None]) -> Iterator[None]:
    """Send the log's lines to what rich has put in the place of ``streams`` (stdout, stderr), as printed lines are."""
    now = dict(zip(streams, (sys.stdout, sys.stderr), strict=True))
    moved = [(handler, handler.stream) for handler in MMLogger.get_current_instance().handlers
             if isinstance(handler, logging.StreamHandler) and handler.stream in streams]
    for handler, stream in moved:
        handler.setStream(now[stream])
    try:
        yield
    finally:
        for handler, stream in moved:
            handler.setStream(stream)

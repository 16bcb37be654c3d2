"""Progress bar of a long loop."""
import logging
import os
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from operator import length_hint
from typing import TextIO, TypeVar

from mmengine.logging import MMLogger
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Item = TypeVar('Item')
# Seconds from one line in a log file to the next.
INTERVAL = 30.0
# Seconds that the reader of a pipe has to print what it got.
PIPE_DELAY = 0.05


def track(items: Iterable[Item], description: str, *, total: int | None = None, min_items: int = 2) -> Iterator[Item]:
    """Yield the items and show the progress on stderr: a bar on a terminal, elsewhere a line every half minute.

    On a terminal, lines that are printed or logged meanwhile are shown whole, above the bar. Where stdout is a pipe
    there are lines, too: its reader (``| tee``, ``| grep``) would print into the bar.

    Args:
        items: to iterate over.
        description: of the items, in the plural, e.g. 'images'.
        total: number of items; None for their length.
        min_items: fewer items are yielded without a bar.
    """
    total = length_hint(items) if total is None else total
    # With soft_wrap, long lines are printed as they are, not broken where the terminal ends.
    console = Console(stderr=True, soft_wrap=True, force_terminal=False if _is_pipe(sys.stdout) else None)
    if total < min_items:
        yield from items
    elif console.is_terminal or console.is_jupyter:
        streams = sys.stdout, sys.stderr
        # With stdout in a file and a bar on the terminal, rich would send the printed lines to the terminal.
        redirect = sys.stdout is not None and sys.stdout.isatty()
        with Progress(TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                      TimeRemainingColumn(), console=console,
                      redirect_stdout=redirect) as progress, _redirected_log(streams):
            yield from progress.track(items, total=total, description=description)
    else:
        yield from _with_lines(items, description, total)


def _with_lines(items: Iterable[Item], description: str, total: int) -> Iterator[Item]:
    """Yield the items and print a line every ``INTERVAL`` seconds, and one at the end."""
    began = printed = time.monotonic()
    done = 0
    try:
        for item in items:
            yield item
            done += 1
            now = time.monotonic()
            if now - printed >= INTERVAL and done < total:
                left = (now - began) / done * (total - done)
                _print(f'{description} {done:,}/{total:,}, {_clock(now - began)}, about {_clock(left)} left')
                printed = now
    finally:
        _print(f'{description} {done:,}/{total:,}, {_clock(time.monotonic() - began)}')


def _print(line: str) -> None:
    if _is_pipe(sys.stdout):
        # Its reader may print to the terminal of stderr; what it has got comes first, and not into this line.
        time.sleep(PIPE_DELAY)
    if sys.stderr is not None:  # closed when Python started
        print(line, file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


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

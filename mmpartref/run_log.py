"""Log of a training or test: the log file has everything, the terminal what is worth reading."""
import io
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from logging.handlers import MemoryHandler
from typing import TextIO

from mmengine.logging import MMLogger
from mmengine.logging.logger import MMFormatter

# Attribute of a record for the log file only.
DETAIL = 'mmpartref_detail'
# Beginnings of mmengine's messages for the log file only.
DETAILS = (
    '\n' + '-' * 60 + '\nSystem environment:',
    'Config:\n',
    'Distributed training is not used, all SyncBatchNorm',
    'Hooks will be executed in the following order:',
    'Load checkpoint from ',
    'Checkpoints will be saved to ',
    'Exp name: ',
    'resumed epoch: ',
)
# Beginning of mmengine's line of metrics, and those in it that ReferringSegMetric has printed as a table before, or
# EvaluationSpeedHook as a line.
METRICS_LINE = re.compile(r'Epoch\((val|test)\)')
IN_TABLE = re.compile(r'\b(refer/(?!mIoU: |cIoU: |P@0\.5: )|speed/)\S+: \S+\s*')
# Warnings for the log file only: those about the code of libraries, and torch's about the speed of a gradient that is
# copied, which a user cannot change.
CODE_WARNINGS = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
SPEED_WARNING = 'Grad strides do not match bucket view strides'
# Format of the time in the terminal, mmengine's.
DATE = '%m/%d %H:%M:%S'
# Lines that are logged before the log file exists.
MAX_EARLY = 10_000


def log_detail(message: str) -> None:
    """Log a message for the log file; where there is none, as in most tools, it is printed as any other."""
    MMLogger.get_current_instance().info(message, extra={DETAIL: True})


class TerminalFilter(logging.Filter):
    """Drop the details of a run, which are in its log file; warnings and errors that are no details pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is shown."""
        if getattr(record, DETAIL, False):
            return False
        return record.levelno > logging.INFO or not str(record.msg).startswith(DETAILS)


class TerminalFormatter(MMFormatter):
    """mmengine's format, without the metrics of a validation or test that a table above the line has."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        text = super().format(record)
        return IN_TABLE.sub('', text).rstrip() if METRICS_LINE.match(str(record.msg)) else text


class EarlyLines(MemoryHandler):
    """Memory of what is logged before the log file exists."""

    def __init__(self) -> None:
        super().__init__(MAX_EARLY, flushLevel=logging.CRITICAL + 1, flushOnClose=False)

    def write_to(self, handler: logging.Handler) -> None:
        """Write the lines of the handler's level into a log file, once."""
        self.buffer = [each for each in self.buffer if each.levelno >= handler.level]
        self.setTarget(handler)
        self.flush()
        self.setTarget(None)


def terminal_handlers(logger: logging.Logger) -> list[logging.StreamHandler]:
    """Return the handlers of a logger that print."""
    return [each for each in logger.handlers
            if isinstance(each, logging.StreamHandler) and not isinstance(each, logging.FileHandler)]


def show_summary_only(logger: logging.Logger) -> None:
    """Show in the terminal what is worth reading; a logger of level DEBUG shows everything."""
    for handler in terminal_handlers(logger):
        if handler.level > logging.DEBUG and not any(isinstance(each, TerminalFilter) for each in handler.filters):
            handler.addFilter(TerminalFilter())
            handler.setFormatter(TerminalFormatter(color=True, datefmt=DATE))


def show_everything(logger: logging.Logger) -> None:
    """Undo ``show_summary_only``."""
    for handler in terminal_handlers(logger):
        for each in [each for each in handler.filters if isinstance(each, TerminalFilter)]:
            handler.removeFilter(each)
            handler.setFormatter(MMFormatter(color=True, datefmt=DATE))


def continue_in(logger: logging.Logger, before: logging.Logger) -> None:
    """Within ``run_log``, write what the logger ``before`` has logged into the log file of a run's, as its first lines.

    Outside of it nothing changes.
    """
    for early in [each for each in before.handlers if isinstance(each, EarlyLines)]:
        for handler in logger.handlers:
            if isinstance(handler, logging.FileHandler):
                early.write_to(handler)
        show_summary_only(logger)


def show_errors_only() -> None:
    """Print only errors, in a process that is not the first of a run; mmengine does so after it has joined them."""
    for handler in terminal_handlers(MMLogger.get_current_instance()):
        handler.setLevel(logging.ERROR)


@contextmanager
def run_log() -> Iterator[None]:
    """Show a summary of the log in the terminal, with one line per warning of Python; decorates the main of a tool.

    What is logged before the log file exists comes into it as well, see ``continue_in``.
    """
    logger, early = MMLogger.get_current_instance(), EarlyLines()
    logger.addHandler(early)
    show_summary_only(logger)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = log_warning  # as warnings' documentation says
            yield
    finally:
        logger.removeHandler(early)
        for each in (logger, MMLogger.get_current_instance()):
            show_everything(each)


def log_warning(message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None,
                line: str | None = None) -> None:
    """Log one of Python's warnings; arguments as ``warnings.showwarning``."""
    del file, line
    text = ' '.join(str(message).split())
    detail = issubclass(category, CODE_WARNINGS) or text.startswith(SPEED_WARNING)
    MMLogger.get_current_instance().warning(f'{category.__name__}: {text} ({filename}:{lineno})',
                                            extra={DETAIL: detail})


@contextmanager
def prints_as_details() -> Iterator[None]:
    """Log what libraries print to stdout for the log file only."""
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            yield
    finally:
        if text := printed.getvalue().strip():
            log_detail(text)

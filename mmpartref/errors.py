"""Errors of mmpartref, and the handler that ends a tool with the message of one of them."""
import errno
import io
import logging
import multiprocessing
import os
import select
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from mmpartref.text import one_line

# Exit code of a preempted run, which can be resumed: EX_TEMPFAIL of sysexits.h, as schedulers read it.
PREEMPTED = 75
# Exit code after the reader of stdout has ended (``| head -1``): 128 + SIGPIPE, as a shell reports it.
CLOSED_STDOUT = 141
# What printing to a full disk, or to a terminal that is gone, raises.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
# Option of every tool.
TRACEBACK = '--traceback'
# Characters of an error's sentence.
MAX_MESSAGE = 2000


class MMPartRefError(Exception):
    """An error whose message states what is wrong, where, and how to fix it.

    Control characters in the message are shown as escapes, and the middle of a very long one is dropped. After
    ``':\\n'`` a report of several lines may follow. ``attributes`` are those of a base class, as ``ImportError.name``.
    """

    def __init__(self, message: object = '', **attributes: Any) -> None:
        sentence, colon, report = str(message).partition(':\n')
        super().__init__(one_line(sentence, MAX_MESSAGE) + colon + report, **attributes)


class InputError(MMPartRefError, ValueError):
    """A value, a file or a combination of arguments cannot be used."""


class InputTypeError(MMPartRefError, TypeError):
    """An argument is of the wrong type."""


class MissingFileError(MMPartRefError, FileNotFoundError):
    """A file or folder does not exist."""


class FileInTheWayError(MMPartRefError, FileExistsError):
    """A file exists and would be overwritten."""


class FileReadError(MMPartRefError, OSError):
    """A file exists but cannot be read."""


class FileWriteError(MMPartRefError, OSError):
    """A file or folder cannot be written."""


class NotAFolderError(MMPartRefError, NotADirectoryError):
    """A path that has to be a folder is not one."""


class DownloadError(MMPartRefError, ConnectionError):
    """An address gives nothing that can be used.

    Attributes:
        status: of the HTTP reply; None if there was none.
    """

    def __init__(self, message: object = '', *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class MissingPackageError(MMPartRefError, ImportError):
    """A package that only some functions need is not installed."""


class ConfigError(InputError):
    """A config or an override has a key that nothing reads, or names what does not exist."""


class WeightsError(InputError):
    """Weights do not fit, or cannot be read."""


class MissingWeightsError(WeightsError, FileNotFoundError):
    """Weights do not exist; the message names the folder for them."""


class NotPlainFileError(InputError):
    """A path names something that is not a plain file, or a file that is too large."""


class BadImageError(InputError):
    """An image cannot be used; the message names its file and, where it comes from a json, its record there."""


class MissingImageError(BadImageError, FileNotFoundError):
    """An image does not exist."""


class ExportError(InputError):
    """A model cannot be exported, or an exported file cannot be used."""


class CheckpointWriteError(MMPartRefError, RuntimeError):
    """A checkpoint could not be written."""


class DataWorkerError(MMPartRefError, RuntimeError):
    """A process that loads data has died."""


class NonFiniteLossError(MMPartRefError, RuntimeError):
    """A loss is not a finite number."""


class NonFiniteGradientError(NonFiniteLossError):
    """A gradient is not a finite number."""


class PreemptedError(MMPartRefError, RuntimeError):
    """A run was preempted and has saved a checkpoint."""


@contextmanager
def one_sentence_errors(exit_code: int = 1) -> Iterator[None]:
    """End the program with the message on stderr where an ``MMPartRefError`` is raised; use it to decorate ``main``.

    A preempted run ends with the exit code ``PREEMPTED``, a closed stdout silently with ``CLOSED_STDOUT``, and where
    stdout cannot be written (``> /dev/full``) with a message. Any other error keeps its traceback, and with
    ``--traceback`` on the command line every error. Characters that stdout's encoding lacks are printed as escapes.

    Args:
        exit_code: of the program after an ``MMPartRefError``.
    """
    try:
        with _printable(sys.stdout), _no_logging_tracebacks():
            yield
            if sys.stdout is not None:
                sys.stdout.flush()
    except MMPartRefError as error:
        if TRACEBACK in sys.argv:
            traceback.print_exc()
        code = PREEMPTED if isinstance(error, PreemptedError) else exit_code
        if code == 1:
            raise SystemExit(str(error)) from None  # Python prints it and ends with 1
        print(error, file=sys.stderr)
        raise SystemExit(code) from None
    except OSError as error:
        closed = isinstance(error, BrokenPipeError)
        if not (_stdout_is_closed() if closed else _stdout_is_full(error)):
            raise
        # Python flushes stdout again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if closed:
            raise SystemExit(CLOSED_STDOUT) from None
        print(f'stdout cannot be written ({error.strerror}); make room, or redirect it elsewhere', file=sys.stderr)
        raise SystemExit(exit_code) from None
    finally:
        # At the end of an interrupted run torch would wait 5 seconds for each of its loading processes.
        for process in multiprocessing.active_children():
            if process.daemon:
                process.terminate()


@contextmanager
def _no_logging_tracebacks() -> Iterator[None]:
    """Drop lines of the log that a closed or full stdout does not take; ``logging`` prints a traceback for each."""
    before = logging.raiseExceptions
    logging.raiseExceptions = False
    try:
        yield
    finally:
        logging.raiseExceptions = before


@contextmanager
def _printable(stdout: Any) -> Iterator[None]:
    """Print characters that the encoding lacks as escapes; at the end ``sys.stdout`` is again this stream."""
    errors = stdout.errors if isinstance(stdout, io.TextIOWrapper) else None
    if errors == 'strict':
        stdout.reconfigure(errors='backslashreplace')
    try:
        yield
    finally:
        sys.stdout = stdout
        if errors == 'strict':
            with suppress(OSError):  # a full or closed stdout
                stdout.reconfigure(errors=errors)


def _stdout_is_closed() -> bool:
    """Return whether nothing reads the pipe behind stdout any more."""
    with suppress(OSError, AttributeError):  # a system without poll
        poll = select.poll()
        poll.register(1, 0)
        return bool(poll.poll(0))
    return False


def _stdout_is_full(error: OSError) -> bool:
    """Return whether an error is one of printing: stdout cannot be written, and the error names no other file."""
    if error.filename is not None or error.errno not in FULL:
        return False
    try:
        os.write(1, b'\n')
    except OSError:
        return True
    return False

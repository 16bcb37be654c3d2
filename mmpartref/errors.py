"""Errors of mmpartref, and the end of a program by one of them.

The message of an ``MMPartRefError`` says what is wrong, where, and how to fix it. ``one_sentence_errors`` ends a tool
with that message; every other error keeps its traceback.
"""
import multiprocessing
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Exit code of a preempted run, which can be resumed: EX_TEMPFAIL of sysexits.h, as schedulers read it.
PREEMPTED = 75


class MMPartRefError(Exception):
    """An error whose message says what is wrong, where, and how to fix it."""


class InputError(MMPartRefError, ValueError):
    """A value, a file or a combination of arguments cannot be used."""


class InputTypeError(MMPartRefError, TypeError):
    """An argument is of the wrong type."""


class MissingFileError(MMPartRefError, FileNotFoundError):
    """A file or folder does not exist."""


class FileInTheWayError(MMPartRefError, FileExistsError):
    """A file exists and would be overwritten."""


class NotAFolderError(MMPartRefError, NotADirectoryError):
    """A path that has to be a folder is not one."""


class DownloadError(MMPartRefError, ConnectionError):
    """An address gives nothing that can be used."""


class MissingPackageError(MMPartRefError, ImportError):
    """A package that only some functions need is not installed."""


class ConfigError(InputError):
    """A config or an override has a key that nothing reads, or asks for what does not exist."""


class WeightsError(InputError):
    """Weights do not fit, or cannot be read."""


class MissingWeightsError(WeightsError, FileNotFoundError):
    """Weights do not exist; the message says where to put them."""


class NotPlainFileError(InputError):
    """A path names something that is not a plain file, or a file that is too large."""


class BadPhotoError(InputError):
    """An image cannot be used; the message names its file and, where it comes from a json, its record there."""


class MissingPhotoError(BadPhotoError, FileNotFoundError):
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


def message_of(error: MMPartRefError) -> str:
    """Return an error's message, without the traceback that torch puts into one from a process that loads data."""
    text = str(error)
    if text.startswith('Caught '):
        return text.rpartition(f'\n{type(error).__module__}.{type(error).__qualname__}: ')[2].strip()
    return text


@contextmanager
def one_sentence_errors() -> Iterator[None]:
    """End the program with the message alone where an ``MMPartRefError`` is raised.

    The exit code is 1, and ``PREEMPTED`` for a preempted run. All other errors keep their traceback.
    """
    try:
        yield
    except PreemptedError as error:
        print(error, file=sys.stderr)
        raise SystemExit(PREEMPTED) from None
    except MMPartRefError as error:
        raise SystemExit(message_of(error)) from None
    finally:
        # At the end of an interrupted run torch would wait 5 seconds for each of its loading processes.
        for process in multiprocessing.active_children():
            if process.daemon:
                process.terminate()

"""Reading of a plain file by its path; pipes and devices, which can block or have no end, are rejected."""
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from mmengine import fileio
from mmengine.fileio import LocalBackend

from mmpartref.argument_checks import check_path
from mmpartref.errors import FileReadError, InputError, MissingFileError, MMPartRefError, NotPlainFileError
from mmpartref.text import shown_name

# An image of 89 megapixels, the most that the inferencer reads by default, has 1.43 GB as RGBA in 32-bit floats.
MAX_FILE_BYTES = 1_500_000_000
# A json of all of PartImageNet has 0.1 GB; a dump of its test split about as much.
MAX_JSON_BYTES = 16_000_000_000
STORED = 'name a file that is stored on a disk'
# By type, as in ``st_mode``: what a message calls it, and what to do.
OTHER_KINDS = {
    stat.S_IFDIR: ('a folder', 'name a file in it'),
    stat.S_IFIFO: ('a named pipe', STORED),
    stat.S_IFSOCK: ('a socket', STORED),
    stat.S_IFCHR: ('a device', STORED),
    stat.S_IFBLK: ('a device', STORED),
}


@contextmanager
def open_plain_file(path: str | os.PathLike, name: str = '') -> Iterator[BinaryIO]:
    """Open a plain file for reading; links are followed.

    A pipe, a device or a socket is not opened: opening it can wait forever or change its state. A file of 0 bytes is
    given as an empty stream and not read: files of ``/proc`` have that size, and reading some of them (``/proc/kmsg``)
    waits forever.

    Args:
        path: of the file.
        name: what the message calls it; '' for the path.

    Raises:
        InputTypeError: the path is of another type, e.g. the number of an open file; also a TypeError.
        NotPlainFileError: it is not a plain file; also a ValueError.
        MissingFileError: it does not exist; also a FileNotFoundError.
        FileReadError: it cannot be opened; also an OSError.
    """
    path = check_path(path, 'the file')
    name = name or shown_name(path)
    with _read_errors(name):
        check_plain(os.stat(path), name)
        file = open(path, 'rb', opener=_open_without_waiting)  # noqa: SIM115 (closed below)
    with file:
        # Another program may have replaced it between the two calls.
        yield file if check_plain(os.fstat(file.fileno()), name) else io.BytesIO()


def read_plain_file(path: str | os.PathLike, name: str = '', max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Return the content of a plain file, as many bytes as it has when it is opened.

    Args:
        path, name: as in ``open_plain_file``.
        max_bytes: a larger file is not read.

    Raises:
        InputTypeError: the path is of another type; also a TypeError.
        NotPlainFileError: it is not a plain file, or larger than ``max_bytes``; also a ValueError.
        MissingFileError, FileReadError: it does not exist, or cannot be read; also an OSError.
    """
    path = check_path(path, 'the file')
    name = name or shown_name(path)
    with open_plain_file(path, name) as file, _read_errors(name):
        size = file.seek(0, os.SEEK_END)
        if size > max_bytes:
            raise NotPlainFileError(f'{name} has {size:,} bytes, more than the {max_bytes:,} that are read; use a '
                                    'smaller file')
        file.seek(0)
        return file.read(size) or b''


def read_text(path: str | os.PathLike, name: str = '') -> str:
    """Return the content of a plain text file, without the byte order mark that Windows' editors write.

    Raises:
        InputError: it is not UTF-8; also what ``read_plain_file`` raises.
    """
    path = check_path(path, 'the file')
    name = name or shown_name(path)
    try:
        text = read_plain_file(path, name).decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise InputError(f'{name} is not text in UTF-8 ({error}); save it as UTF-8') from None
    if '\0' in text:
        line = text.count('\n', 0, text.index('\0')) + 1
        raise InputError(f'{name}, line {line}, has a zero byte, as text in UTF-16 has; save it as UTF-8')
    return text


def read_any_file(path: str, name: str = '', max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Return a file's content: on this machine a plain file's, elsewhere what mmengine's backend gives.

    Args and Raises: as in ``read_plain_file``.
    """
    path = check_path(path, 'the file')
    if isinstance(fileio.get_file_backend(path), LocalBackend):
        return read_plain_file(path, name, max_bytes)
    return fileio.get(path)


def check_plain(status: os.stat_result, name: str) -> int:
    """Return the size in bytes of a plain file.

    Raises:
        NotPlainFileError: ``status`` is that of something else.
    """
    if stat.S_ISREG(status.st_mode):
        return status.st_size
    kind, advice = OTHER_KINDS.get(stat.S_IFMT(status.st_mode), ('something else', STORED))
    raise NotPlainFileError(f'{name} is {kind}, not a plain file; {advice}')


@contextmanager
def _read_errors(name: str) -> Iterator[None]:
    """Raise one of our errors in place of an OSError."""
    try:
        yield
    except MMPartRefError:
        raise
    except FileNotFoundError:
        raise MissingFileError(f'{name} does not exist; correct the path') from None
    except OSError as error:
        raise FileReadError(f'{name} cannot be read ({error.strerror or error}); check its path and permissions'
                            ) from error


def _open_without_waiting(path: str, flags: int) -> int:
    """Open a file descriptor; if the path has become a pipe, do not wait for its other end."""
    return os.open(path, flags | getattr(os, 'O_NONBLOCK', 0) | getattr(os, 'O_NOCTTY', 0))

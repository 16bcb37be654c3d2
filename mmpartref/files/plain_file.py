"""Reading of a file by its path: plain files only, no pipe or device that makes a program wait or has no end."""
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from mmengine import fileio
from mmengine.fileio import LocalBackend

from mmpartref.errors import NotPlainFileError
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

    A pipe, a device or a socket is not opened at all: opening it can wait forever or change its state. A file of
    0 bytes is given as an empty stream and not read: files of ``/proc`` have that size, and reading some of them
    (``/proc/kmsg``) waits forever.

    Args:
        path: of the file.
        name: what the message calls it; '' for the path.

    Raises:
        NotPlainFileError: it is not a plain file; also a ValueError.
        OSError: it does not exist, or may not be read.
    """
    name = name or shown_name(os.fspath(path))
    check_plain(os.stat(path), name)
    with open(path, 'rb', opener=_open_without_waiting) as file:
        # Another program may have replaced it between the two calls.
        yield file if check_plain(os.fstat(file.fileno()), name) else io.BytesIO()


def read_plain_file(path: str | os.PathLike, name: str = '', max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Return the content of a plain file, as many bytes as it has when it is opened.

    Args:
        path, name: as in ``open_plain_file``.
        max_bytes: a larger file is not read.

    Raises:
        NotPlainFileError: it is not a plain file, or larger than ``max_bytes``; also a ValueError.
        OSError: it does not exist, or cannot be read.
    """
    with open_plain_file(path, name) as file:
        size = file.seek(0, os.SEEK_END)
        if size > max_bytes:
            raise NotPlainFileError(f'{name or shown_name(os.fspath(path))} has {size:,} bytes, more than the '
                                    f'{max_bytes:,} that are read; use a smaller file')
        file.seek(0)
        return file.read(size) or b''


def read_any_file(path: str, name: str = '', max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Return a file's content: on this machine a plain file's, elsewhere what mmengine's backend gives.

    Args and Raises: as in ``read_plain_file``.
    """
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


def _open_without_waiting(path: str, flags: int) -> int:
    """Open a file descriptor; if the path has become a pipe, do not wait for its other end."""
    return os.open(path, flags | getattr(os, 'O_NONBLOCK', 0) | getattr(os, 'O_NOCTTY', 0))

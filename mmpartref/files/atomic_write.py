"""Writing of a file such that it is complete or absent: under a temporary name first, then renamed."""
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmpartref.errors import FileInTheWayError, FileWriteError, MMPartRefError
from mmpartref.files.plain_file import OTHER_KINDS

# End of the name of every file or folder that is not finished.
SUFFIX = '.part'
# What a write to a full disk raises: no space, no quota, too large for the file system.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def temporary_path(path: Path) -> Path:
    """Return a new hidden name in the same folder, ``.NAME.<8 random hexadecimal digits>.part``."""
    return path.with_name(f'.{path.name}.{secrets.token_hex(4)}{SUFFIX}')


def unfinished_files(folder: str | os.PathLike, pattern: str) -> list[Path]:
    """Return the temporary files, sorted, that killed writers of files with names like ``pattern`` left in a folder."""
    return sorted(Path(folder).glob(f'.{pattern}.*{SUFFIX}'))


@contextmanager
def atomic_write(path: str | os.PathLike, *, fsync: bool = False) -> Iterator[Path]:
    """Yield the path of an empty temporary file in the same folder, which replaces ``path`` when the body ends.

    After any exception, also KeyboardInterrupt, the temporary file is removed and ``path`` is as it was. The folder is
    made if needed. Two writers of one path have separate temporary files; the last one to end wins.

    Write to the temporary path by its name or open it; a format that stores the name of its file (``torch.save`` to a
    path does) should get an open file, since the temporary name is random.

    Args:
        path: the file to write.
        fsync: sync the file before and the folder after it is renamed, so that it survives a power cut.

    Raises:
        FileInTheWayError: ``path`` is a link, a folder, a pipe, a device or a socket; it is not replaced.
        FileWriteError: the disk is full, or the folder cannot be written; also an OSError.
    """
    path = Path(path)
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_replaceable(path)
        temporary = temporary_path(path)
    try:
        with write_errors(path):
            # Exclusive: not through a link that another program has put there.
            temporary.open('xb').close()
        with write_errors(path, only=DISK_FULL):
            yield temporary
        with write_errors(path):
            if fsync:
                _sync(temporary)
            _check_replaceable(path)
            os.replace(temporary, path)
            if fsync:
                _sync_folder(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a text file in UTF-8; a file that exists is replaced. Raises what ``atomic_write`` raises."""
    with atomic_write(path) as unfinished:
        unfinished.write_text(text, encoding='utf-8')


@contextmanager
def write_errors(path: Path, only: tuple[int, ...] = ()) -> Iterator[None]:
    """Raise a FileWriteError in place of an OSError, where ``only`` is given of one with such an errno."""
    try:
        yield
    except MMPartRefError:
        raise
    except OSError as error:
        if only and error.errno not in only:
            raise
        hint = 'make room on the disk' if error.errno in DISK_FULL else 'name another path'
        raise FileWriteError(f'{path} cannot be written ({error.strerror or error}); {hint}') from error


def _check_replaceable(path: Path) -> None:
    """Raise a FileInTheWayError where something other than a plain file has the path."""
    try:
        kind = stat.S_IFMT(path.lstat().st_mode)
    except FileNotFoundError:
        return
    if kind != stat.S_IFREG:
        name = 'a link' if kind == stat.S_IFLNK else OTHER_KINDS.get(kind, ('something else', ''))[0]
        raise FileInTheWayError(f'{path} is {name}, not a plain file, and is not replaced; remove it or name another '
                                'file')


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Make a rename in the folder survive a power cut."""
    try:
        _sync(folder)
    except OSError as error:
        # Some network file systems have no such call for folders.
        if error.errno != errno.EINVAL:
            raise

"""Writing of a file such that it is complete or absent: under a temporary name first, then renamed."""
import errno
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from mmpartref.argument_checks import check_path
from mmpartref.files.output_path import DISK_FULL, check_replaceable, copy_to_stream, is_stream, write_errors

# End of the name of every file or folder that is not finished.
SUFFIX = '.part'
# Characters at the end of a temporary name that are random, and the suffix.
RANDOM_END = 8 + len(SUFFIX)
# Bytes of the name that a temporary name has in it.
MAX_NAME = 240


def temporary_path(path: Path) -> Path:
    """Return a new hidden name in the same folder, ``.NAME.<8 random hexadecimal digits>.part``.

    Longer names are truncated to ``MAX_NAME`` bytes.
    """
    name = os.fsdecode(os.fsencode(path.name)[:MAX_NAME])
    return path.with_name(f'.{name}.{secrets.token_hex(4)}{SUFFIX}')


def unfinished_files(folder: str | os.PathLike, pattern: str) -> list[Path]:
    """Return the temporary files, sorted, that killed writers of files with names like ``pattern`` left in a folder."""
    return sorted(Path(check_path(folder, 'the folder')).glob(f'.{pattern}.*{SUFFIX}'))


def remove_unfinished(paths: Iterable[Path]) -> None:
    """Remove the temporary files that killed writers of these paths left."""
    names: dict[Path, set[str]] = {}
    for path in paths:
        names.setdefault(path.parent, set()).add(temporary_path(path).name[:-RANDOM_END])
    for folder, starts in names.items():
        for file in unfinished_files(folder, '*'):
            if file.name[:-RANDOM_END] in starts:
                file.unlink(missing_ok=True)


@contextmanager
def atomic_write(path: str | os.PathLike, *, fsync: bool = False) -> Iterator[Path]:
    """Yield the path of an empty temporary file in the same folder, which replaces ``path`` when the body ends.

    After any exception, also KeyboardInterrupt, the temporary file is removed and ``path`` is as it was. The folder is
    made if needed. Two writers of one path have separate temporary files; the last one to end wins. A stream (stdout
    as ``'-'``, a character device, see ``is_stream``) is not replaced: the temporary file is in another folder, and its
    content is written to the stream when the body ends.

    Write to the temporary path by its name or open it; a format that stores the name of its file (``torch.save`` to a
    path does) should get an open file, since the temporary name is random.

    Args:
        path: the file to write.
        fsync: sync the file before and the folder after it is renamed, so that it survives a power cut.

    Raises:
        InputTypeError: ``path`` is of another type, e.g. the number of an open file; also a TypeError.
        FileInTheWayError: ``path`` is a link, a folder, a named pipe, a block device or a socket; it is not replaced.
        FileWriteError: the disk is full, or the folder cannot be written; also an OSError.
    """
    path = Path(check_path(path, 'the file'))
    if is_stream(path):
        with TemporaryDirectory() as folder:
            file = Path(folder) / 'stream'
            file.touch()
            yield file
            copy_to_stream(file, path)
        return
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        check_replaceable(path)
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
            check_replaceable(path)
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

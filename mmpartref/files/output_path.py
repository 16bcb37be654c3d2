"""Paths that a program writes to: whether they can be written, and streams such as stdout."""
import errno
import os
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mmpartref.argument_checks import check_path
from mmpartref.errors import FileInTheWayError, FileWriteError, InputError, MMPartRefError, NotAFolderError
from mmpartref.files.plain_file import OTHER_KINDS
from mmpartref.text import shown_name

# The argument that stands for stdout.
STDOUT = '-'
# Names of the file descriptors of this process, 1 for stdout.
DESCRIPTORS = {'/dev/stdout': 1, '/dev/stderr': 2}
DESCRIPTOR_FOLDERS = ('/dev/fd/', '/proc/self/fd/')
# What a write to a full disk raises: no space, no quota, too large for the file system.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def write_errors(path: str | os.PathLike, only: tuple[int, ...] = ()) -> Iterator[None]:
    """Raise a FileWriteError in place of an OSError, where ``only`` is given of one with such an errno."""
    try:
        yield
    except MMPartRefError:
        raise
    except OSError as error:
        if only and error.errno not in only:
            raise
        hint = 'make room on the disk' if error.errno in DISK_FULL else 'name another path'
        raise FileWriteError(f'{shown_name(os.fspath(path))} cannot be written ({error.strerror or error}); '
                             f'{hint}') from error


def check_replaceable(path: str | os.PathLike) -> None:
    """Check that nothing, or a plain file, has the path.

    Raises:
        FileInTheWayError: something else has it: a link, a folder, a pipe, a device or a socket.
    """
    try:
        kind = stat.S_IFMT(os.lstat(path).st_mode)
    except FileNotFoundError:
        return
    if kind != stat.S_IFREG:
        name = 'a link' if kind == stat.S_IFLNK else OTHER_KINDS.get(kind, ('something else', ''))[0]
        raise FileInTheWayError(f'{shown_name(os.fspath(path))} is {name}, not a plain file, and is not replaced; '
                                'remove it or name another file')


def check_output_file(path: str) -> None:
    """Check that a file can be written: a stream, or a new or plain file whose folder exists or can be made.

    Raises:
        FileInTheWayError: something other than a plain file has the path.
        FileWriteError, NotAFolderError: see ``check_output_folder``.
    """
    path = check_path(path, 'the file')
    if is_stream(path):
        return
    with write_errors(path):
        if path.endswith(('/', os.sep)):
            raise FileInTheWayError(f'{shown_name(path)} is the name of a folder; name a file')
        check_replaceable(path)
        check_output_folder(os.path.dirname(path) or '.')


def check_not_inputs(outputs: Iterable[str | os.PathLike], inputs: Iterable[str | os.PathLike]) -> None:
    """Check that no output would overwrite an input, also one with another name (a link, a hard link).

    Raises:
        InputError: an output is an input.
    """
    protected = set(map(_identity, inputs))
    for output in outputs:
        if _identity(output) in protected:
            raise InputError(f'{shown_name(os.fspath(output))} is an input and would be overwritten; write to another '
                             'file or folder')


def _identity(path: str | os.PathLike) -> tuple[int, int] | str:
    """Return what is the same for all names of a file."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return os.path.realpath(path)
    return found.st_dev, found.st_ino


def check_output_folder(path: str) -> None:
    """Check that a folder can be written, or made.

    Raises:
        NotAFolderError: it, or what it is in, is not a folder.
        FileWriteError: the user may not write there.
    """
    path = check_path(path, 'the folder')
    with write_errors(path):
        there = _first_that_exists(Path(path))
        if not there.is_dir():
            raise NotAFolderError(f'{shown_name(str(there))} is not a folder, so that nothing can be written '
                                  + ('into it' if there == Path(path) else f'to {shown_name(path)}')
                                  + '; name another path')
        if not os.access(there, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, f'no permission to write in {there}')


def _first_that_exists(path: Path) -> Path:
    """Return the path or the nearest of its parents that exists; raises an OSError where one is too long."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return _first_that_exists(path.parent)
    return path


def is_stream(path: str | os.PathLike) -> bool:
    """Return whether a path is ``'-'`` (stdout), a file descriptor (``/dev/stdout``) or a character device."""
    path = check_path(path, 'the file')
    if descriptor(path) is not None:
        return True
    try:
        return stat.S_ISCHR(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def copy_to_stream(file: Path, path: str | os.PathLike) -> None:
    """Write the content of a file to a stream, see ``is_stream``.

    Raises:
        BrokenPipeError: nothing reads stdout any more.
        FileWriteError: the stream cannot be written.
    """
    number = descriptor(path)
    with file.open('rb') as source:
        if number == 1 and sys.__stdout__ is not None:
            sys.__stdout__.flush()
            with write_errors('stdout', only=DISK_FULL):
                shutil.copyfileobj(source, sys.__stdout__.buffer)
                sys.__stdout__.flush()
            return
        with write_errors(path), open(path if number is None else os.dup(number), 'wb') as target:
            shutil.copyfileobj(source, target)


def descriptor(path: str | os.PathLike) -> int | None:
    """Return the number of the file descriptor that a path stands for, or None."""
    name = os.fspath(path)
    if name == STDOUT:
        return 1
    for folder in DESCRIPTOR_FOLDERS:
        if name.startswith(folder) and name.removeprefix(folder).isdecimal():
            return int(name.removeprefix(folder))
    return DESCRIPTORS.get(name)

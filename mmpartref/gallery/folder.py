"""Atomic writing of a gallery folder, without changing other files in it.

Only plain files in real folders inside the folder are written or deleted. Links inside are not followed; the folder
itself can be a link.
"""
import json
import os
import shutil
import signal
import stat
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import FrameType

from mmpartref.errors import FileInTheWayError, NotAFolderError
from mmpartref.files.atomic_write import temporary_path
from mmpartref.files.json_files import load_json
from mmpartref.files.output_path import DISK_FULL, write_errors

# File in the folder that lists the files of the gallery.
MARKER = 'gallery.manifest.json'
FORMAT = 'mmpartref-gallery'
# A file of each folder of every gallery, to find obstacles before the images are drawn.
COMMON_FILES = ('index.html', 'assets/gallery.css', 'data/index.js', 'data/images/0.js', 'images/0.jpg',
                'thumbs/0_0.jpg', MARKER)


def own_files(folder: Path) -> list[str] | None:
    """Return the files of the gallery in the folder, without names outside it; None without a gallery."""
    if (folder / MARKER).is_symlink():
        return None
    try:
        manifest = load_json(folder / MARKER)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    if not isinstance(manifest, dict) or manifest.get('format') != FORMAT:
        return None
    files = manifest.get('files')
    return [name for name in files if is_inside(name)] if isinstance(files, list) else None


def is_inside(name: object) -> bool:
    """Return whether a manifest's entry is a relative path as galleries write it."""
    if not isinstance(name, str) or not name.isprintable() or '\\' in name or PureWindowsPath(name).drive:
        return False
    path = PurePosixPath(name)
    return path.as_posix() == name != '.' and not path.is_absolute() and '..' not in path.parts


def find_obstacle(folder: Path, name: str) -> Path | None:
    """Return the first existing part of a path that is not a real folder, or a plain file at its end; None if all fit.

    Args:
        folder: of the gallery, without links.
        name: path relative to it.
    """
    *folders, _ = parts = PurePosixPath(name).parts
    path = folder
    for number, part in enumerate(parts):
        path = path / part
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return path
        if not (stat.S_ISDIR(mode) if number < len(folders) else stat.S_ISREG(mode)):
            return path
    return None


def check_no_obstacles(folder: Path, names: Iterable[str]) -> None:
    """Check that files can be written without following a link or replacing anything but a plain file.

    Raises:
        FileExistsError: see ``find_obstacle``.
    """
    for name in names:
        found = find_obstacle(folder, name)
        if found is not None:
            expected = 'a plain file' if found == folder / name else 'a folder'
            kind = 'a link' if found.is_symlink() else f'not {expected}'
            raise FileInTheWayError(f'{found} is {kind} but the gallery needs {expected} there; remove it or name '
                                    'another folder with --out')


def check_folder(folder: Path, overwrite: bool) -> None:
    """Check that a gallery can be written into a folder.

    Raises:
        NotADirectoryError: it is a file.
        FileExistsError: it has files but no gallery, and ``overwrite`` is False; or see ``find_obstacle``.
    """
    if os.path.islink(os.path.realpath(folder)):
        raise NotAFolderError(f'{folder} is a circular link; name another folder with --out')
    if not os.path.exists(folder):
        return
    if not folder.is_dir():
        raise NotAFolderError(f'{folder} is a file; name a folder with --out')
    check_no_obstacles(folder.resolve(), COMMON_FILES)
    if any(folder.iterdir()) and own_files(folder) is None and not overwrite:
        raise FileInTheWayError(f'{folder} has files but no gallery; name an empty or new folder, or use '
                                '--overwrite (files with other names are not changed)')


@contextmanager
def gallery_folder(folder: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield an empty temporary folder, which replaces ``folder`` when the body ends.

    An older gallery is replaced file by file; other files are not changed. After an error, Ctrl-C or SIGTERM in the
    body, ``folder`` is unchanged. Temporary files are removed in each case.

    Raises:
        NotADirectoryError, FileExistsError: see ``check_folder``.
        SystemExit: with code 143, on SIGTERM.
    """
    check_folder(folder, overwrite)
    folder = Path(os.path.realpath(folder))
    part = temporary_path(folder)
    with exit_on_sigterm():
        try:
            with write_errors(folder):
                part.mkdir(parents=True)
            with write_errors(folder, only=DISK_FULL):
                yield part
            files = sorted(path.relative_to(part).as_posix() for path in part.rglob('*') if path.is_file())
            write_manifest(part, files)
            move_in(part, folder, files)
        finally:
            shutil.rmtree(part, ignore_errors=True)


@contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """Raise SystemExit(143) on SIGTERM within the context, so that ``finally`` clauses run.

    Does nothing outside the main thread, or if the program has set a handler.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def write_manifest(folder: Path, files: list[str], name: str = MARKER) -> None:
    """Write the list of the gallery's files as json to ``folder/name``."""
    (folder / name).write_text(json.dumps({'format': FORMAT, 'files': files}) + '\n', encoding='utf-8')


def move_in(part: Path, folder: Path, files: list[str]) -> None:
    """Move the complete gallery into its folder.

    Raises:
        FileExistsError: see ``find_obstacle``, or the folder became a link; nothing was changed.
    """
    if folder.is_symlink():
        raise FileInTheWayError(f'{folder} became a link while the gallery was written; name another folder with --out')
    if not folder.exists() or not any(folder.iterdir()):
        os.replace(part, folder)
        return
    check_no_obstacles(folder, [*files, MARKER])
    old = own_files(folder) or []
    # If the move is interrupted, the manifest lists the files of both galleries.
    write_manifest(part, sorted({*old, *files}), f'{MARKER}.both')
    os.replace(part / f'{MARKER}.both', folder / MARKER)
    for name in set(old) - {*files, MARKER}:
        if find_obstacle(folder, name) is None and os.path.lexists(folder / name):
            (folder / name).unlink()
            remove_empty(folder, (folder / name).parent)
    for name in [*files, MARKER]:
        check_no_obstacles(folder, [name])
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(part / name, folder / name)


def remove_empty(folder: Path, below: Path) -> None:
    """Remove an empty folder and its empty parents, up to ``folder``."""
    while below != folder and below.is_dir() and not any(below.iterdir()):
        below.rmdir()
        below = below.parent

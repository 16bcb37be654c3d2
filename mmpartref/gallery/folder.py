"""Writing a gallery whole or not at all, without changing other files.

Inside the folder only plain files in real folders are written or deleted. Links in it are not followed, since they lead
out of it; the folder itself can be a link.
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
from mmpartref.files.plain_file import read_plain_file

# Lies in the folder and names the files of the gallery.
MARKER = 'gallery.manifest.json'
FORMAT = 'mmpartref-gallery'
# One file in each folder of every gallery: obstacles are found before the pictures are drawn.
COMMON_FILES = ('index.html', 'assets/gallery.css', 'data/index.js', 'data/photos/0.js', 'photos/0.jpg',
                'thumbs/0_0.jpg', MARKER)


def own_files(folder: Path) -> list[str] | None:
    """Return the files that a gallery wrote into the folder, None where there is no gallery.

    Names that lead out of the folder are dropped; galleries write none.
    """
    if (folder / MARKER).is_symlink():
        return None
    try:
        manifest = json.loads(read_plain_file(folder / MARKER))
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return None
    if not isinstance(manifest, dict) or manifest.get('format') != FORMAT:
        return None
    files = manifest.get('files')
    return [name for name in files if is_inside(name)] if isinstance(files, list) else None


def is_inside(name: object) -> bool:
    """Say whether a manifest's entry is the relative path of a file, in the form in which galleries write it."""
    if not isinstance(name, str) or not name.isprintable() or '\\' in name or PureWindowsPath(name).drive:
        return False
    path = PurePosixPath(name)
    return path.as_posix() == name != '.' and not path.is_absolute() and '..' not in path.parts


def find_obstacle(folder: Path, name: str) -> Path | None:
    """Return what has the place of a gallery's file, or of a folder on its path, and is not one; None if nothing has.

    Args:
        folder: the gallery's, without links.
        name: path below it. Its folders must be real folders and the file a plain file, as far as they exist.
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


def check_places(folder: Path, names: Iterable[str]) -> None:
    """Check that a gallery's files can be written without following a link or replacing what is not a plain file.

    Raises:
        FileExistsError: there is an obstacle, see ``find_obstacle``; names it.
    """
    for name in names:
        found = find_obstacle(folder, name)
        if found is not None:
            wanted = 'a plain file' if found == folder / name else 'a folder'
            kind = 'a link' if found.is_symlink() else f'not {wanted}'
            raise FileInTheWayError(f'{found} is {kind} where the gallery needs {wanted}; remove it or name another '
                                    'folder with --out')


def check_folder(folder: Path, overwrite: bool) -> None:
    """Refuse a place where a gallery must not go.

    Raises:
        NotADirectoryError: there is a file of that name.
        FileExistsError: the folder holds something that is no gallery, and ``overwrite`` is not set; or a link, or
            anything but a plain file, has the place of one of the gallery's files or folders.
    """
    if os.path.islink(os.path.realpath(folder)):
        raise NotAFolderError(f'{folder} is a link that leads in a circle; name a folder for the gallery')
    if not os.path.exists(folder):
        return
    if not folder.is_dir():
        raise NotAFolderError(f'{folder} is a file; name a folder for the gallery')
    check_places(folder.resolve(), COMMON_FILES)
    if any(folder.iterdir()) and own_files(folder) is None and not overwrite:
        raise FileInTheWayError(f'{folder} holds files but no gallery; name an empty or a new folder, or say '
                                '--overwrite (files of other names stay)')


@contextmanager
def gallery_folder(folder: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give an empty folder to write into, which takes the place of ``folder`` when all went well.

    A gallery that lay there is replaced file by file; files that it did not write stay. After an error, Ctrl-C or
    SIGTERM before that, ``folder`` is as it was. Unfinished files are removed whenever it ends.

    Raises:
        NotADirectoryError, FileExistsError: see ``check_folder``.
        SystemExit: on SIGTERM, with 143 as its code.
    """
    check_folder(folder, overwrite)
    folder = Path(os.path.realpath(folder))
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = temporary_path(folder)
    with exit_on_sigterm():
        try:
            part.mkdir()
            yield part
            files = sorted(path.relative_to(part).as_posix() for path in part.rglob('*') if path.is_file())
            write_manifest(part, files)
            move_in(part, folder, files)
        finally:
            shutil.rmtree(part, ignore_errors=True)


@contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """Turn SIGTERM into SystemExit(143) while the context is open, so that ``finally`` clauses run.

    Does nothing outside the main thread, or where the program has set its own handler.
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
    """Say which files are the gallery's."""
    (folder / name).write_text(json.dumps({'format': FORMAT, 'files': files}) + '\n', encoding='utf-8')


def move_in(part: Path, folder: Path, files: list[str]) -> None:
    """Let the finished gallery take its place.

    Raises:
        FileExistsError: see ``check_places``, or the folder became a link; nothing was changed.
    """
    if folder.is_symlink():
        raise FileInTheWayError(f'{folder} became a link while the gallery was made; name another folder with --out')
    if not folder.exists() or not any(folder.iterdir()):
        os.replace(part, folder)
        return
    check_places(folder, [*files, MARKER])
    old = own_files(folder) or []
    # Whatever happens from here on, every file of either gallery is known to be one's own.
    write_manifest(part, sorted({*old, *files}), f'{MARKER}.both')
    os.replace(part / f'{MARKER}.both', folder / MARKER)
    for name in set(old) - {*files, MARKER}:
        if find_obstacle(folder, name) is None and os.path.lexists(folder / name):
            (folder / name).unlink()
            remove_empty(folder, (folder / name).parent)
    for name in [*files, MARKER]:
        check_places(folder, [name])
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(part / name, folder / name)


def remove_empty(folder: Path, below: Path) -> None:
    """Remove a folder that became empty, and those above it, up to ``folder``."""
    while below != folder and below.is_dir() and not any(below.iterdir()):
        below.rmdir()
        below = below.parent

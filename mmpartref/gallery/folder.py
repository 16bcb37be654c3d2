"""Writing a gallery whole or not at all, without touching what is not its own."""
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

# Lies in the folder and names the files of the gallery.
MARKER = 'gallery.manifest.json'
FORMAT = 'mmpartref-gallery'


def own_files(folder: Path) -> list[str] | None:
    """Return the files that a gallery wrote into the folder, None where there is no gallery."""
    try:
        manifest = json.loads((folder / MARKER).read_text(encoding='utf-8'))
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    if not isinstance(manifest, dict) or manifest.get('format') != FORMAT:
        return None
    files = manifest.get('files')
    return [name for name in files if isinstance(name, str)] if isinstance(files, list) else None


def check_folder(folder: Path, overwrite: bool) -> None:
    """Refuse a place where a gallery must not go.

    Raises:
        NotADirectoryError: there is a file of that name.
        FileExistsError: the folder holds something that is no gallery, and ``overwrite`` is not set.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise NotADirectoryError(f'{folder} is a file; name a folder for the gallery')
    if any(folder.iterdir()) and own_files(folder) is None and not overwrite:
        raise FileExistsError(f'{folder} holds files but no gallery; name an empty or a new folder, or say --overwrite '
                              '(files of other names stay)')


@contextmanager
def gallery_folder(folder: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give an empty folder to write into, which takes the place of ``folder`` when all went well.

    A gallery that lay there is replaced file by file; files that it did not write stay. After an error ``folder`` is as
    it was.

    Raises:
        NotADirectoryError, FileExistsError: see ``check_folder``.
    """
    check_folder(folder, overwrite)
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f'.{folder.name}.', suffix='.part', dir=folder.parent))
    try:
        yield part
        part.chmod(0o777 & ~current_umask())
        files = sorted(path.relative_to(part).as_posix() for path in part.rglob('*') if path.is_file())
        write_manifest(part, files)
        move_in(part, folder, files)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_manifest(folder: Path, files: list[str]) -> None:
    """Say which files are the gallery's."""
    (folder / MARKER).write_text(json.dumps({'format': FORMAT, 'files': files}) + '\n', encoding='utf-8')


def current_umask() -> int:
    """Return the process's umask; ``mkdtemp`` makes folders that only their owner can open."""
    umask = os.umask(0)
    os.umask(umask)
    return umask


def move_in(part: Path, folder: Path, files: list[str]) -> None:
    """Let the finished gallery take its place."""
    if not folder.exists() or not any(folder.iterdir()):
        os.replace(part, folder)
        return
    old = own_files(folder) or []
    # Whatever happens from here on, every file of either gallery is known to be one's own.
    write_manifest(folder, sorted({*old, *files}))
    for name in set(old) - set(files):
        path = PurePosixPath(name)
        # A manifest that somebody edited must not reach out of its folder.
        if not path.is_absolute() and '..' not in path.parts:
            (folder / path).unlink(missing_ok=True)
            remove_empty(folder, (folder / path).parent)
    for name in [*files, MARKER]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(part / name, folder / name)


def remove_empty(folder: Path, below: Path) -> None:
    """Remove a folder that became empty, and those above it, up to ``folder``."""
    while below != folder and below.is_dir() and not any(below.iterdir()):
        below.rmdir()
        below = below.parent

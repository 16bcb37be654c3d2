"""The private folder of this process for uploads to the page and for its results."""
import atexit
import os
import shutil
import tempfile
import time
from collections.abc import Set
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

PREFIX = 'mmpartref_demo_'
# Environment variable with the folder of Gradio's files.
VARIABLE = 'GRADIO_TEMP_DIR'
# Seconds after which an upload is deleted, and between two checks.
MAX_AGE, INTERVAL = 3600, 600
# Seconds during which a file is not deleted to make room, and bytes that a smaller file counts.
MIN_AGE, FILE_BYTES = 300, 64 * 2**10


@lru_cache(maxsize=1)
def upload_folder() -> Path:
    """Return the folder of this process, only readable by its user; the first call makes it.

    It is Gradio's cache, so uploads, examples and results are all in it. It is deleted when the process ends by
    itself, by an error, or by a signal that ``serve`` handles.
    """
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=os.environ.get(VARIABLE) or None)).resolve()
    os.environ[VARIABLE] = str(folder)
    atexit.register(delete_folder, folder, os.getpid())
    return folder


def delete_folder(folder: Path, process: int) -> None:
    """Delete the folder, but not in a child that ``process`` has forked."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


def delete_uploads() -> None:
    """Delete all files in the folder."""
    for path in upload_folder().iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def uploaded_file(path: object) -> Path | None:
    """Return the resolved path of a plain file inside the folder, None for anything else.

    Args:
        path: from a request; symbolic links are resolved. Nothing outside the folder is opened, and the result does
            not depend on whether a file outside exists.
    """
    if not isinstance(path, str) or not Path(os.path.normpath(path)).is_relative_to(upload_folder()):
        return None
    try:
        resolved = Path(path).resolve(strict=True)
        inside = resolved.is_relative_to(upload_folder()) and resolved.is_file()
    except (OSError, ValueError, RuntimeError):  # missing, too long, a zero byte, a loop of links
        return None
    return resolved if inside else None


def files_in_folder() -> set[Path]:
    """Return all files in the folder."""
    return {path for path in upload_folder().rglob('*') if path.is_file()}


def make_room(keep: Set[Path], limit: int) -> int:
    """Delete old files until the others fit in ``limit`` bytes; return the bytes of the others.

    Files older than ``MAX_AGE`` are always deleted, those younger than ``MIN_AGE`` and those in ``keep`` never. Each
    counts at least ``FILE_BYTES``, so that the number of files is limited as well.
    """
    found, now = [], time.time()
    for path in files_in_folder() - keep:
        with suppress(FileNotFoundError):  # Gradio moved or deleted it meanwhile
            status = path.lstat()
            found.append((status.st_mtime, max(status.st_size, FILE_BYTES), path))
    total = sum(size for _, size, _ in found)
    for changed, size, path in sorted(found):
        age = now - changed
        if age > MAX_AGE or (age > MIN_AGE and total > limit):
            path.unlink(missing_ok=True)
            total -= size
    return total

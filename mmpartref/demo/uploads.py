"""The private folder of this process for what is uploaded to the page and for what the page shows."""
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
# Where Gradio looks for the folder of its files.
VARIABLE = 'GRADIO_TEMP_DIR'
# Seconds after which an upload is deleted, and between two looks.
MAX_AGE, INTERVAL = 3600, 600
# Seconds during which a file is not deleted to make room, and bytes that the smallest file counts.
MIN_AGE, FILE_BYTES = 300, 64 * 2**10


@lru_cache(maxsize=1)
def upload_folder() -> Path:
    """Return this process's folder, only readable by its user; make it on the first call.

    Gradio is given it as its cache, so uploads, examples and results are all in it. It is deleted when the process
    ends by itself, by an error, or by a signal that ``serve`` handles.
    """
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=os.environ.get(VARIABLE) or None)).resolve()
    os.environ[VARIABLE] = str(folder)
    atexit.register(delete_folder, folder, os.getpid())
    return folder


def delete_folder(folder: Path, process: int) -> None:
    """Delete the folder of ``process``; a forked child leaves its parent's alone."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


def delete_uploads() -> None:
    """Delete all that is in the folder."""
    for path in upload_folder().iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def uploaded_file(path: object) -> Path | None:
    """Return the resolved path of a plain file inside the folder, None for anything else.

    Args:
        path: what a request names; a symbolic link counts as what it leads to. Nothing outside the folder is opened,
            and the result is the same whether a file outside exists or not.
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
    """Return every file that is in the folder now."""
    return {path for path in upload_folder().rglob('*') if path.is_file()}


def make_room(keep: Set[Path], limit: int) -> int:
    """Delete old files until the others fit in ``limit`` bytes; return how many bytes they count.

    Files older than ``MAX_AGE`` are deleted in any case, those younger than ``MIN_AGE`` and ``keep`` never. Each counts
    ``FILE_BYTES`` or more, so that many small files have a limit too.
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

"""Writing of checkpoints: each file is complete or absent, and all processes end where the main one cannot write."""
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.runner import Runner

from mmpartref.engine.resume.resumable_state_hook import ResumableStateHook
from mmpartref.engine.resume.resume_point import POINTER
from mmpartref.errors import CheckpointWriteError
from mmpartref.files.atomic_write import atomic_write

# The ``backend_args`` of mmengine's functions that select ``AtomicBackend``.
ATOMIC = {'backend': 'mmpartref_atomic'}


@register_backend(ATOMIC['backend'])
class AtomicBackend(LocalBackend):
    """mmengine's storage backend of local files, with an atomic ``put``."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write a file under a temporary name, sync it and rename it.

        Raises:
            CheckpointWriteError: the disk is full, the folder is not writable, or the path is not a plain file.
        """
        try:
            with atomic_write(filepath, fsync=True) as temporary:
                temporary.write_bytes(obj)
        except OSError as error:
            raise CheckpointWriteError(f'{error}; the previous file of that name, if any, is unchanged') from None


def check_work_dir(work_dir: str) -> None:
    """Make the work dir and write a temporary file there, before hours of training.

    Raises:
        CheckpointWriteError: that is not possible.
    """
    try:
        os.makedirs(work_dir, exist_ok=True)
        with tempfile.TemporaryFile(dir=work_dir) as file:
            file.write(b'0')
    except OSError as error:
        raise CheckpointWriteError(f'cannot write into the work dir {work_dir}: {error.strerror}; set another one '
                                   'with --work-dir') from None


@contextmanager
def main_process_decides() -> Iterator[None]:
    """Raise in all processes where the body fails in the main one; otherwise the others would wait for it forever.

    All processes have to enter it. The body must not communicate between processes, or fail in another process.

    Raises:
        CheckpointWriteError: in the other processes.
    """
    failure: Exception | None = None
    try:
        yield
    except Exception as error:
        failure = error
    message = [None if failure is None else f'{type(failure).__name__}: {failure}']
    broadcast_object_list(message)
    if failure is not None:
        raise failure
    if message[0] is not None:
        raise CheckpointWriteError(f'the main process could not write a checkpoint; {message[0]}')


@contextmanager
def file_client_warnings_hidden(logger: logging.Logger) -> Iterator[None]:
    """Hide mmengine's warnings about ``FileClient`` and ``HardDiskBackend``, deprecated classes that it uses itself."""

    def is_other(record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return not (message.startswith(('"FileClient"', '"HardDiskBackend"')) and 'deprecated in future' in message)

    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)


def gather_buffers(runner: Runner) -> None:
    """Collect for the next checkpoint the buffers of all processes; called in each of them."""
    for hook in runner.hooks:
        if isinstance(hook, ResumableStateHook):
            hook.gather_buffers(runner)


def write_checkpoint(runner: Runner, folder: str, name: str, **options: Any) -> None:
    """Write a checkpoint, then its path into ``last_checkpoint``; called in all processes.

    Args:
        runner: the runner.
        folder: of the checkpoint.
        name: of the checkpoint's file.
        **options: further arguments of ``Runner.save_checkpoint``.

    Raises:
        CheckpointWriteError: the main process cannot write.
    """
    gather_buffers(runner)
    with main_process_decides(), file_client_warnings_hidden(runner.logger):
        runner.save_checkpoint(folder, name, **options)
        if is_main_process():
            AtomicBackend().put(os.path.join(folder, name).encode(), os.path.join(runner.work_dir, POINTER))

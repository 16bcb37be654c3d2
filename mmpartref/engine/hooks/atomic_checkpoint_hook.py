"""Checkpoints that are whole or not there."""
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmpartref.engine.resume.resumable_state_hook import ResumableStateHook
from mmpartref.engine.resume.resume_point import POINTER
from mmpartref.errors import CheckpointWriteError
from mmpartref.files.atomic_write import atomic_write, unfinished_files
from mmpartref.registry import HOOKS

# What a run that was told to stop leaves behind; the next checkpoint replaces it.
INTERRUPTED = 'interrupted.pth'


def write_whole(content: bytes, path: str) -> None:
    """Write a file whole or not at all, and sync it to disk.

    Raises:
        CheckpointWriteError: the disk is full, the folder cannot be written, or the path is not a plain file.
    """
    try:
        with atomic_write(path, fsync=True) as unfinished:
            unfinished.write_bytes(content)
    except OSError as error:
        raise CheckpointWriteError(f'cannot write {path}: {error.strerror or error}; the file of that name, if there '
                                   'was one, is as before') from None


def check_work_dir(work_dir: str) -> None:
    """Write a file into the work dir before hours go into what could not be saved.

    Raises:
        CheckpointWriteError: that is not possible.
    """
    try:
        os.makedirs(work_dir, exist_ok=True)
        with tempfile.TemporaryFile(dir=work_dir) as file:
            file.write(b'0')
    except OSError as error:
        raise CheckpointWriteError(
            f'cannot write into the work dir {work_dir}: {error.strerror}; --work-dir names another') from None


@contextmanager
def main_process_decides() -> Iterator[None]:
    """End all processes where the main one, which writes, cannot go on; without it the others would wait for ever.

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
def file_client_deprecation_hidden(logger: logging.Logger) -> Iterator[None]:
    """Hide mmengine's warnings that ``FileClient`` and ``HardDiskBackend``, which its own checkpoints use, will go."""

    def is_other(record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return not (message.startswith(('"FileClient"', '"HardDiskBackend"')) and 'deprecated in future' in message)

    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)


@contextmanager
def whole_files(runner: Runner) -> Iterator[None]:
    """Have the runner save by ``write_whole`` and all processes learn whether that was possible."""
    put, save = LocalBackend.put, runner.save_checkpoint

    def put_whole(self: LocalBackend, obj: Any, filepath: Any) -> None:
        write_whole(bytes(obj), str(filepath))

    def save_agreed(*args: Any, **kwargs: Any) -> None:
        for hook in runner.hooks:
            if isinstance(hook, ResumableStateHook):
                hook.gather_buffers(runner)
        with main_process_decides(), file_client_deprecation_hidden(runner.logger):
            save(*args, **kwargs)

    LocalBackend.put, runner.save_checkpoint = put_whole, save_agreed
    try:
        yield
    finally:
        LocalBackend.put, runner.save_checkpoint = put, save


def point_to(runner: Runner, path: str) -> None:
    """Have ``last_checkpoint`` name a checkpoint that has been written."""
    with main_process_decides():
        if is_main_process():
            write_whole(path.encode(), os.path.join(runner.work_dir, POINTER))


class LateRemoval:
    """A file backend that notes what to remove, and does so when told.

    Args:
        backend: does everything else.
    """

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.condemned: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def remove(self, path: str) -> None:
        """Note a file."""
        self.condemned.append(path)

    rmtree = remove

    def carry_out(self, folder: str, spared: list[str | None]) -> None:
        """Remove what was noted in the folder of checkpoints, but not what was written there since."""
        for path in self.condemned:
            if path not in spared and os.path.dirname(path) == folder.rstrip(os.sep):
                remove(self.backend, path)


def remove(backend: Any, path: str) -> None:
    """Remove a checkpoint, a file or deepspeed's folder, if it is there."""
    if backend.isfile(path):
        backend.remove(path)
    elif backend.isdir(path):
        backend.rmtree(path)


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook``; a kill while it writes leaves the last good checkpoint and its name as they were.

    A checkpoint is put down whole, then ``last_checkpoint`` names it, then old ones go; so does a better ``best_...``
    before its predecessor goes. If the main process cannot write, all end.
    """

    file_backend: Any

    def before_train(self, runner: Runner) -> None:
        """Remember the last checkpoint of a resumed run, and clear away what a kill has left half written."""
        with file_client_deprecation_hidden(runner.logger):
            super().before_train(runner)
        # Without it mmengine does not note a best checkpoint that comes before the next regular one.
        self.last_ckpt = runner.message_hub.runtime_info.get('last_ckpt')
        if is_main_process():
            for path in [*unfinished_files(self.out_dir, '*.pth'), *unfinished_files(runner.work_dir, POINTER)]:
                path.unlink()
                runner.logger.warning(f'removed {path}, which an earlier run had not written to its end')

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        backend, kept = self.file_backend, self.keep_ckpt_ids
        old = []
        if self.max_keep_ckpts > 0 and (not kept or kept[-1] != step):
            if len(kept) == self.max_keep_ckpts:
                old.append(kept.popleft())
            kept.append(step)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('keep_ckpt_ids', list(kept))
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        with whole_files(runner):
            runner.save_checkpoint(
                self.out_dir, name, self.file_client_args, save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler, meta=meta, by_epoch=self.by_epoch,
                backend_args=self.backend_args, **self.args)
        point_to(runner, self.last_ckpt)
        if is_main_process():
            for path in (backend.join_path(self.out_dir, self.filename_tmpl.format(each)) for each in old):
                remove(backend, path)
            remove(LocalBackend(), os.path.join(runner.work_dir, INTERRUPTED))

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        backend = self.file_backend
        late = self.file_backend = LateRemoval(backend)
        try:
            with whole_files(runner):
                super()._save_best_checkpoint(runner, metrics)
        finally:
            self.file_backend = backend
        late.carry_out(self.out_dir, [getattr(self, 'best_ckpt_path', None),
                                      *getattr(self, 'best_ckpt_path_dict', {}).values()])

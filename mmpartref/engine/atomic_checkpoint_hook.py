"""Checkpoints that are whole or not there."""
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmpartref.registry import HOOKS


class CheckpointWriteError(RuntimeError):
    """A checkpoint could not be written."""


def write_whole(content: bytes, path: str) -> None:
    """Write a file under a temporary name in the same folder, sync it to disk and rename it.

    Raises:
        CheckpointWriteError: the disk is full or the folder cannot be written.
    """
    temporary = f'{path}.part'
    try:
        os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
        with open(temporary, 'wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if os.path.exists(temporary):
            os.remove(temporary)
        raise CheckpointWriteError(
            f'cannot write {path}: {error.strerror}; the file of that name, if there was one, is as before') from None


@contextmanager
def whole_files() -> Iterator[None]:
    """Have mmengine's local backend put its files down by ``write_whole``."""
    put = LocalBackend.put

    def put_whole(self: LocalBackend, obj: Any, filepath: Any) -> None:
        write_whole(bytes(obj), str(filepath))

    LocalBackend.put = put_whole
    try:
        yield
    finally:
        LocalBackend.put = put


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook``; a kill while it writes leaves the last good checkpoint and its name as they were.

    A checkpoint is put down whole, then ``last_checkpoint`` names it, then old ones go.
    """

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
        with whole_files():
            runner.save_checkpoint(
                self.out_dir, name, self.file_client_args, save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler, meta=meta, by_epoch=self.by_epoch,
                backend_args=self.backend_args, **self.args)
        if not is_main_process():
            return
        write_whole(self.last_ckpt.encode(), os.path.join(runner.work_dir, 'last_checkpoint'))
        for path in (backend.join_path(self.out_dir, self.filename_tmpl.format(each)) for each in old):
            if backend.isfile(path):
                backend.remove(path)
            elif backend.isdir(path):
                backend.rmtree(path)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        with whole_files():
            super()._save_best_checkpoint(runner, metrics)

"""Checkpoint hook whose checkpoints are complete or absent."""
import os
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmpartref.engine.resume.resume_point import POINTER
from mmpartref.engine.resume.write_checkpoint import (
    ATOMIC,
    file_client_warnings_hidden,
    gather_buffers,
    main_process_decides,
    write_checkpoint,
)
from mmpartref.errors import ConfigError
from mmpartref.files.atomic_write import unfinished_files
from mmpartref.registry import HOOKS
from mmpartref.text import shown

# Checkpoint of a preempted run; removed after the next regular checkpoint.
INTERRUPTED = 'interrupted.pth'


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook``, such that a kill at any time leaves a complete checkpoint to resume from.

    A checkpoint is written first (``AtomicBackend``), then ``last_checkpoint`` is set to it, and old ones are removed
    at the end; mmengine removes them first. The same holds for ``best_...``. If the main process cannot write, all
    processes end. Arguments as ``CheckpointHook``; with ``file_client_args`` or ``backend_args`` of another storage,
    or an ``out_dir`` with a prefix like ``s3://``, that storage is used.
    """

    file_backend: Any
    backend_args: dict | None

    def before_train(self, runner: Runner) -> None:
        """Choose the storage, read the last checkpoint of a resumed run, and remove incomplete files of killed runs."""
        is_local = '://' not in str(self.out_dir or runner.work_dir)
        if is_local and self.backend_args is None and self.file_client_args is None:
            self.backend_args = ATOMIC
        with file_client_warnings_hidden(runner.logger):
            super().before_train(runner)
        # mmengine leaves it unset, and then does not note a best checkpoint that comes before the next regular one.
        self.last_ckpt = runner.message_hub.runtime_info.get('last_ckpt')
        if is_main_process():
            for path in [*unfinished_files(self.out_dir, '*.pth'), *unfinished_files(runner.work_dir, POINTER)]:
                path.unlink()
                runner.logger.warning(f'removed the incomplete file {path} of an earlier run')

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        old = []
        if self.max_keep_ckpts > 0:
            ids = self.keep_ckpt_ids
            if not ids or ids[-1] != step:
                if len(ids) == self.max_keep_ckpts:
                    old.append(ids.popleft())
                ids.append(step)
            runner.message_hub.update_info('keep_ckpt_ids', list(ids))
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        write_checkpoint(
            runner, self.out_dir, name, file_client_args=self.file_client_args, save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler, meta=meta, by_epoch=self.by_epoch,
            backend_args=self.backend_args, **self.args)
        if is_main_process():
            for each in old:
                remove(self.file_backend, self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(each)))
            remove(LocalBackend(), os.path.join(runner.work_dir, INTERRUPTED))

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        if not self.save_best:
            return
        missing = [key for key in self.key_indicators if key != 'auto' and key not in metrics]
        if missing:
            raise ConfigError(f'save_best={shown(missing[0])} is not a metric of the validation, which has '
                              f"{', '.join(metrics)}; set default_hooks.checkpoint.save_best to one of them")
        # Without the paths of the previous best checkpoints mmengine does not remove them before it writes. Without
        # that of the last checkpoint it does not write it again, which all processes have to do together.
        last, self.last_ckpt = self.last_ckpt, None
        previous = self._best_paths()
        self._set_best_paths(dict.fromkeys(previous))
        gather_buffers(runner)
        with main_process_decides(), file_client_warnings_hidden(runner.logger):
            super()._save_best_checkpoint(runner, metrics)
        written = {key: path for key, path in self._best_paths().items() if path is not None}
        self._set_best_paths({**previous, **written})
        self.last_ckpt = last
        if not written:
            return
        if last is not None:  # again, since its message hub names the best checkpoint
            step = runner.epoch if self.by_epoch else runner.iter
            self._save_checkpoint_with_step(runner, step, {'epoch': runner.epoch, 'iter': runner.iter})
        if is_main_process():
            in_use = self._best_paths().values()
            for key in written:
                path = previous.get(key)
                if path and path not in in_use and os.path.dirname(path) == self.out_dir.rstrip(os.sep):
                    remove(self.file_backend, path)

    def _best_paths(self) -> dict[str, str | None]:
        """Return the path of the best checkpoint by metric, which mmengine has in one of two attributes."""
        if hasattr(self, 'best_ckpt_path_dict'):
            return {key: self.best_ckpt_path_dict.get(key) for key in self.key_indicators}
        return {'': self.best_ckpt_path}

    def _set_best_paths(self, paths: dict[str, str | None]) -> None:
        if hasattr(self, 'best_ckpt_path_dict'):
            self.best_ckpt_path_dict = paths
        else:
            self.best_ckpt_path = paths['']


def remove(backend: Any, path: str) -> None:
    """Remove a checkpoint if it exists: a file, or the folder that DeepSpeed writes."""
    if backend.isfile(path):
        backend.remove(path)
    elif backend.isdir(path):
        backend.rmtree(path)

"""Commands to continue with after a training or a test, with the paths of this run; they can be pasted into a shell."""
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.fileio import LocalBackend, get_file_backend, join_path
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner, find_latest_checkpoint
from mmengine.visualization import TensorboardVisBackend

from mmpartref.engine.config.config_nodes import leaf_datasets
from mmpartref.engine.hooks.referring_visualization_hook import ReferringVisualizationHook
from mmpartref.evaluation.metrics.referring_dump import ReferringDump
from mmpartref.files.output_path import descriptor

# Folder of installed packages; scripts in it are started through mim.
INSTALLED = ('site-packages', 'dist-packages')


def after_training(runner: Runner) -> list[str]:
    """Return commands for the best checkpoint, an image and the curves."""
    commands = []
    checkpoint = best_checkpoint(runner)
    if checkpoint:
        config = dumped_config(runner)
        if runner._test_loop is not None:
            commands.append([*tool('test'), config, checkpoint, *split(runner), '--dump',
                             in_work_dir(runner, 'predictions.json'), *without_launcher(runner)])
        if example := example_image(runner):
            commands.append([*tool('infer'), *example, '--config', config, '--checkpoint', checkpoint])
    if any(isinstance(each, TensorboardVisBackend) for each in runner.visualizer._vis_backends.values()):
        commands.append([*tensorboard(), '--logdir', short_path(runner.work_dir)])
    return [shlex.join(each) for each in commands]


def after_test(runner: Runner, checkpoint: str | None) -> list[str]:
    """Return the commands that read the dump of a test; without a dump, the one that writes it."""
    dump = dump_file(runner)
    if dump is None:
        given = [short_path(checkpoint)] if checkpoint else []
        commands = [[*tool('test'), dumped_config(runner), *given, '--dump', in_work_dir(runner, 'predictions.json'),
                     *without_launcher(runner)]]
    elif descriptor(dump) is not None:  # a stream, which is gone
        commands = []
    else:
        commands = [[*tool('evaluate'), short_path(dump), '--by-part'],
                    [*tool('gallery'), short_path(dump), '--out', in_work_dir(runner, 'gallery')]]
    return [shlex.join(each) for each in commands]


def outputs_of_test(runner: Runner) -> list[str]:
    """Return where the dump and the overlays of a test are."""
    dump = dump_file(runner)
    found = [] if dump is None or descriptor(dump) is not None else [f'predictions in {short_path(dump)}']
    return found + [f'overlays in {short_path(each.out_dir)}' for each in runner.hooks
                    if isinstance(each, ReferringVisualizationHook) and each.out_dir is not None and each.max_images]


def dump_file(runner: Runner) -> str | None:
    """Return the file of a test's ``ReferringDump``, if it has one."""
    return next((str(each.out_file) for each in runner.test_evaluator.metrics if isinstance(each, ReferringDump)), None)


def show_next(runner: Runner, commands: Sequence[str], outputs: Sequence[str] = ()) -> None:
    """Log that a run is done, its outputs and, each on its own line, the next commands; the first process prints."""
    head = '; '.join(['done', *outputs, *(['next:'] if commands else [])])
    runner.logger.info('\n'.join([head, *(f'  {each}' for each in commands)]))


def best_checkpoint(runner: Runner) -> str:
    """Return the best checkpoint of a training, without one the last; '' if no checkpoint was written."""
    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook):
            last = getattr(hook, 'last_ckpt', None) or find_latest_checkpoint(runner.work_dir)
            for path in (*best_paths(hook), last):
                if path and os.path.isfile(path):
                    return short_path(path)
    return ''


def best_paths(hook: CheckpointHook) -> Iterator[str | None]:
    """Yield the paths of the best checkpoints, which mmengine has in one of two attributes."""
    yield getattr(hook, 'best_ckpt_path', None)
    yield from getattr(hook, 'best_ckpt_path_dict', {}).values()


def example_image(runner: Runner) -> list[str]:
    """Return the first image of the validation, or else the training, on this disk, and an expression for it."""
    loader = runner.val_dataloader if runner.val_loop is not None else runner.train_dataloader
    dataset: Any = loader.dataset
    if len(dataset) == 0 or not hasattr(dataset, 'get_data_info'):
        return []
    entry = dataset.get_data_info(0)
    expressions = [each for ref in entry.get('refs') or [] if 'absent' not in ref for each in ref['expressions']]
    path = entry.get('img_path')
    return [short_path(path), expressions[0]] if expressions and path and os.path.isfile(path) else []


def dumped_config(runner: Runner) -> str:
    """Return the path of the complete config in the work dir, which has the command line's options in it."""
    name = os.path.basename(runner.cfg.filename) if runner.cfg.filename else f'{runner.timestamp}.py'
    return in_work_dir(runner, name)


def in_work_dir(runner: Runner, name: str) -> str:
    """Return a path in the work dir."""
    return short_path(os.path.join(runner.work_dir, name))


def split(runner: Runner) -> list[str]:
    """Return the option for the validation split where a json of the test split is not on this disk."""
    for each in leaf_datasets(runner.cfg.test_dataloader.dataset if runner.val_loop is not None else None):
        path = join_path(each.get('data_root') or '', str(each.get('ann_file') or ''))
        if isinstance(get_file_backend(path), LocalBackend) and not os.path.exists(path):
            return ['--split', 'val']
    return []


def without_launcher(runner: Runner) -> list[str]:
    """Return the option that makes one process of a config that was written by several."""
    return ['--launcher', 'none'] if runner.cfg.get('launcher', 'none') != 'none' else []


def tool(name: str) -> list[str]:
    """Return the beginning of a command for a script that is next to the running one."""
    folder = os.path.dirname(os.path.abspath(sys.argv[0]))
    if set(INSTALLED) & set(folder.split(os.sep)) and is_found('mim'):
        return ['mim', 'run', 'mmpartref', name]
    # From a checkout mim starts a script through a link in the package.
    return [python(), short_path(os.path.join(os.path.realpath(folder), f'{name}.py'))]


def python() -> str:
    """Return the shortest name of the running interpreter."""
    return 'python' if is_found('python') else short_path(sys.executable)


def tensorboard() -> list[str]:
    """Return the command of TensorBoard, of the running interpreter where the shell does not find it."""
    return ['tensorboard'] if is_found('tensorboard') else [python(), '-m', 'tensorboard.main']


def is_found(program: str) -> bool:
    """Return whether the shell finds the program of this name that is next to the running interpreter."""
    found = shutil.which(program)
    return found is not None and os.path.dirname(found) == os.path.dirname(sys.executable)


def short_path(path: str) -> str:
    """Return a path relative to the working directory where it is in it, others and addresses as they are."""
    if '://' in path:
        return path
    relative = os.path.relpath(path)
    if relative.startswith(os.pardir):
        return path
    return os.path.join(os.curdir, relative) if relative.startswith('-') else relative

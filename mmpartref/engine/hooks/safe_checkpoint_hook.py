"""Loading and saving of checkpoints without execution of code."""
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import CheckpointLoader, Runner, find_latest_checkpoint

from mmpartref.engine.resume.resumed_checkpoint import check_resumed, clean_paths
from mmpartref.errors import WeightsError
from mmpartref.models.weights.checkpoint_content import pack, restore
from mmpartref.models.weights.state_files import describe_error, load_checkpoint
from mmpartref.registry import HOOKS

# Prefix of the path or URL of a checkpoint with which mmengine's CheckpointLoader calls ``load_from_checked``.
PREFIX = 'mmpartref-checked:'
# Key of ``meta`` that mmengine executes as a Python file when a run is resumed.
EXECUTED = 'config'


@CheckpointLoader.register_scheme(prefixes=PREFIX)
def load_from_checked(filename: str, map_location: Any = None) -> Any:
    """Load a checkpoint of plain values, tensors and mmengine's log history and schedules.

    Args:
        filename: ``PREFIX`` and a path, or a URL that mmengine's ``CheckpointLoader`` supports.
        map_location: as in ``torch.load``.

    Raises:
        WeightsError: it does not exist, is damaged or has other types; no code in it was executed.
    """
    content = dict(load_checkpoint(filename.removeprefix(PREFIX), map_location))
    if not isinstance(content.get('meta', {}), dict):
        del content['meta']  # not mmengine's, whose hooks read a dictionary
    return content


@HOOKS.register_module()
class SafeCheckpointHook(Hook):
    """Make mmengine's runner load checkpoints without executing code in them, and save plain values and tensors only.

    It belongs into ``default_hooks``, so that it is used by a plain ``Runner`` as well. ``meta['config']``, which
    mmengine would execute, is removed at loading.
    """

    priority = 'LOWEST'  # after the hooks that add to a checkpoint

    def before_run(self, runner: Runner) -> None:
        """Add ``PREFIX`` to the path of the runner's checkpoint."""
        source = runner._load_from
        if source is None and runner._resume:
            source = find_latest_checkpoint(runner.work_dir)
        if source is not None and not str(source).startswith(PREFIX):
            runner._load_from = f'{PREFIX}{source}'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check the content, remove what mmengine would execute, and check the state of a run to resume.

        Raises:
            WeightsError: it has other than plain values, or lacks the state of a run.
        """
        try:
            plain = restore(checkpoint)
        except Exception as error:  # crafted content can raise anything
            raise WeightsError(f'the checkpoint {source_of(runner)} was not loaded: {describe_error(error)}') from error
        checkpoint.clear()
        checkpoint.update(plain)
        meta = checkpoint.get('meta')
        if isinstance(meta, dict):
            meta.pop(EXECUTED, None)
        hub = checkpoint.get('message_hub')
        if isinstance(hub, dict) and isinstance(hub.get('runtime_info'), dict):
            clean_paths(runner, hub['runtime_info'])  # always: Runner.resume may be called
        if runner._resume:
            try:
                check_resumed(runner, checkpoint)
            except WeightsError as error:
                raise WeightsError(f'cannot resume from {source_of(runner)}: {error}') from None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Convert the content to plain values and tensors.

        Raises:
            TypeError: a value cannot be converted.
        """
        plain = pack(checkpoint)
        checkpoint.clear()
        checkpoint.update(plain)


def source_of(runner: Runner) -> str:
    """Return the path or URL of the runner's checkpoint."""
    return str(runner._load_from).removeprefix(PREFIX)


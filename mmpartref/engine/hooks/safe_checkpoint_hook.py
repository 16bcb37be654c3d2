"""Load and save checkpoints that run nothing."""
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import CheckpointLoader, Runner, find_latest_checkpoint

from mmpartref.engine.resume.resumed_checkpoint import check_resumed, clean_paths
from mmpartref.errors import WeightsError
from mmpartref.models.weights.checkpoint_content import pack, restore
from mmpartref.models.weights.load_checkpoint import load_checkpoint
from mmpartref.models.weights.state_files import in_words
from mmpartref.registry import HOOKS

# Before the path or address of a checkpoint: mmengine's CheckpointLoader then calls ``load_from_checked``.
PREFIX = 'mmpartref-checked:'
# mmengine executes it as a Python file when a run is resumed.
EXECUTED = 'config'


@CheckpointLoader.register_scheme(prefixes=PREFIX)
def load_from_checked(filename: str, map_location: Any = None) -> Any:
    """Load a checkpoint as plain values, tensors and mmengine's log history and schedules.

    Args:
        filename: ``PREFIX`` and a path, or an address that mmengine's ``CheckpointLoader`` knows.
        map_location: as in ``torch.load``.

    Raises:
        WeightsError: it is missing, damaged or asks for more than that; nothing in it was run.
    """
    return load_checkpoint(filename.removeprefix(PREFIX), map_location)


@HOOKS.register_module()
class SafeCheckpointHook(Hook):
    """Have mmengine's runner load checkpoints that run nothing, and save such that need no permission to load.

    A default hook, so that it also guards a plain ``Runner``. ``meta['config']``, which mmengine would execute, is
    removed from what is loaded. What is saved holds plain values and tensors only.
    """

    # After the hooks that add to a checkpoint.
    priority = 'LOWEST'

    def before_run(self, runner: Runner) -> None:
        """Have the runner's checkpoint read by ``load_from_checked``."""
        source = runner._load_from
        if source is None and runner._resume:
            source = find_latest_checkpoint(runner.work_dir)
        if source is not None and not str(source).startswith(PREFIX):
            runner._load_from = f'{PREFIX}{source}'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check the content, remove what would be executed, and check what resuming reads.

        Raises:
            WeightsError: it holds more than plain values, or lacks what a resumed run needs.
        """
        try:
            plain = restore(checkpoint)
        except Exception as error:  # restoring trips over crafted content in many ways
            raise WeightsError(f'the checkpoint {source_of(runner)} was not loaded: {in_words(error)}') from error
        checkpoint.clear()
        checkpoint.update(plain)
        meta = checkpoint.get('meta')
        if isinstance(meta, dict):
            meta.pop(EXECUTED, None)
        hub = checkpoint.get('message_hub')
        if isinstance(hub, dict) and isinstance(hub.get('runtime_info'), dict):
            clean_paths(runner, hub['runtime_info'])  # also for a call of runner.resume
        if runner._resume:
            try:
                check_resumed(runner, checkpoint)
            except WeightsError as error:
                raise WeightsError(f'cannot resume from {source_of(runner)}: {error}') from None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Write the content as plain values and tensors.

        Raises:
            TypeError: something in it has no plain form.
        """
        plain = pack(checkpoint)
        checkpoint.clear()
        checkpoint.update(plain)


def source_of(runner: Runner) -> str:
    """Return the path or address of the runner's checkpoint."""
    return str(runner._load_from).removeprefix(PREFIX)


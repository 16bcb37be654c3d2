"""Refuse checkpoints that do not fit."""
import logging
from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmpartref.engine.distributed import unwrapped
from mmpartref.errors import WeightsError
from mmpartref.models.weights.key_report import compare_keys, in_short
from mmpartref.registry import HOOKS


@HOOKS.register_module()
class StrictLoadHook(Hook):
    """Compare every checkpoint with the model before it is loaded.

    mmengine loads what fits, warns about the rest and goes on: a checkpoint of another model is then tested, or trained
    from, with random weights.

    Args:
        may_lack: parts of names that the checkpoint may lack, e.g. ``('decode_head.', )`` to train a new head.
        may_add: parts of names that the model may have no place for.
    """

    def __init__(self, may_lack: Sequence[str] = (), may_add: Sequence[str] = ()) -> None:
        self.may_lack = tuple(may_lack)
        self.may_add = tuple(may_add)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check what is about to be loaded.

        Raises:
            WeightsError: a key is missing, unexpected or of another shape; the log lists all.
        """
        model = unwrapped(runner.model)
        state = checkpoint.get('state_dict', checkpoint)
        state = {name.removeprefix('module.'): value for name, value in state.items()}
        given = {name: value for name, value in state.items() if not any(part in name for part in self.may_add)}
        report = compare_keys(given, model.state_dict(), may_lack=('num_batches_tracked', *self.may_lack))
        if report:
            print_log(f'checkpoint and {type(model).__name__} differ:\n{report}', 'current', logging.ERROR)
            raise WeightsError(f'the checkpoint does not fit the {type(model).__name__} of this config: '
                               f'{in_short(report)}; what may differ can be named in StrictLoadHook(may_lack=..., '
                               'may_add=...)')

"""Check of a checkpoint against the model."""
import logging
from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmpartref.engine.distributed import unwrapped
from mmpartref.errors import WeightsError
from mmpartref.models.weights.key_report import compare_keys
from mmpartref.registry import HOOKS


@HOOKS.register_module()
class StrictLoadHook(Hook):
    """Compare every checkpoint with the model before it is loaded.

    mmengine only warns about keys that do not fit, so that a checkpoint of another model would leave random weights.

    Args:
        allow_missing: parts of names that the checkpoint may lack, e.g. ``('decode_head.', )`` to train a new head.
        allow_unexpected: parts of names that the model may lack.
    """

    def __init__(self, allow_missing: Sequence[str] = (), allow_unexpected: Sequence[str] = ()) -> None:
        self.allow_missing = tuple(allow_missing)
        self.allow_unexpected = tuple(allow_unexpected)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the keys and shapes.

        Raises:
            WeightsError: a key is missing, unexpected or of another shape; the log has all of them.
        """
        model = unwrapped(runner.model)
        state = checkpoint.get('state_dict', checkpoint)
        state = {name.removeprefix('module.'): value for name, value in state.items()}
        given = {name: value for name, value in state.items()
                 if not any(part in name for part in self.allow_unexpected)}
        report = compare_keys(given, model.state_dict(), allow_missing=('num_batches_tracked', *self.allow_missing))
        if report:
            print_log(f'checkpoint and {type(model).__name__} differ:\n{report}', 'current', logging.ERROR)
            raise WeightsError(f'the checkpoint does not fit the {type(model).__name__} of this config: '
                               f'{report.summary()}; use another checkpoint, or set allow_missing or '
                               'allow_unexpected of StrictLoadHook')

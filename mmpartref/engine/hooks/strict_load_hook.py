"""Check of a checkpoint against the model."""
import logging
from collections.abc import Sequence

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmpartref.engine.distributed import unwrapped
from mmpartref.engine.hooks.safe_checkpoint_hook import PREFIX
from mmpartref.errors import WeightsError
from mmpartref.models.weights.checkpoints import fit_names
from mmpartref.models.weights.key_report import check_loaded, compare_keys, value_fault
from mmpartref.models.weights.state_dicts import find_state_dict
from mmpartref.registry import HOOKS


@HOOKS.register_module()
class StrictLoadHook(Hook):
    """Compare every checkpoint with the model before it is loaded, and the model with the checkpoint afterwards.

    mmengine only warns about entries that do not fit or cannot be copied, which would leave random weights. The weights
    are found and renamed as ``load_weights`` does.

    Args:
        allow_missing: parts of names that the checkpoint may lack, e.g. ``('decode_head.', )`` to train a new head.
        allow_unexpected: parts of names that the model may lack.
        key: in the checkpoint, of the weights, e.g. ``'ema_state_dict'``; None for those of ``find_state_dict``.
    """

    priority = 'ABOVE_NORMAL'  # before EMAHook, which needs ``state_dict``

    def __init__(self, allow_missing: Sequence[str] = (), allow_unexpected: Sequence[str] = (),
                 key: str | None = None) -> None:
        self.allow_missing = tuple(allow_missing)
        self.allow_unexpected = tuple(allow_unexpected)
        self.key = key
        self._checkpoint: dict = {}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the keys, shapes and values, and put the weights under ``state_dict``.

        Raises:
            WeightsError: a key is missing, unexpected, of another shape or with unusable values; the log has all.
        """
        model, source = unwrapped(runner.model), source_of(runner)
        key = None if getattr(runner, '_resume', False) else self.key
        state, _ = fit_names(find_state_dict(checkpoint, source, key), model, source)
        given = {name: value for name, value in state.items()
                 if not any(part in name for part in self.allow_unexpected)}
        wanted = model.state_dict()
        report = compare_keys(given, wanted, allow_missing=('num_batches_tracked', *self.allow_missing))
        if report:
            print_log(f'{source} and {type(model).__name__} differ:\n{report}', 'current', logging.ERROR)
            advice = 'use another checkpoint, or set allow_missing or allow_unexpected of StrictLoadHook'
            raise WeightsError(f'{source} does not fit the {type(model).__name__} of this config: '
                               f'{report.summary(advice)}')
        averaged = checkpoint.get('ema_state_dict')
        for name, value in (averaged.items() if isinstance(averaged, dict) else ()):
            own = wanted.get(str(name).removeprefix('module.'))
            if own is not None and isinstance(value, torch.Tensor) and (fault := value_fault(value, own)):
                raise WeightsError(f'ema_state_dict of {source} cannot be used: {name} {fault}; use an undamaged '
                                   'checkpoint')
        there = checkpoint.get('state_dict')
        if not isinstance(there, dict) or list(there) != list(state) or any(there[name] is not state[name]
                                                                            for name in state):
            checkpoint['state_dict'] = state
        self._checkpoint = checkpoint

    def _check_loaded(self, runner: Runner) -> None:
        """Compare the model with the checkpoint that mmengine has loaded since the last call.

        Raises:
            WeightsError: a parameter or buffer has another value.
        """
        # Read here and not in after_load_checkpoint, because EMAHook exchanges entries of it.
        check_loaded(unwrapped(runner.model), self._checkpoint.get('state_dict', {}), source_of(runner))
        self._checkpoint = {}

    before_train = before_val = before_test = _check_loaded


def source_of(runner: Runner) -> str:
    """Return 'the checkpoint' with its path or URL, where the runner has it, for messages."""
    source = getattr(runner, '_load_from', None)
    return 'the checkpoint' if source is None else f'the checkpoint {str(source).removeprefix(PREFIX)}'

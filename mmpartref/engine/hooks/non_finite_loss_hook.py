"""Report of losses and gradients that are not finite, and the end of the run where that is wanted."""
from typing import Any

import torch
from mmengine.dist import all_gather_object, get_world_size
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner
from torch import nn

from mmpartref.engine.distributed import unwrapped
from mmpartref.engine.optim.skip_non_finite_ema_hook import SkipNonFiniteEMAHook
from mmpartref.engine.optim.skip_non_finite_optim_wrapper import SkipNonFiniteMixin
from mmpartref.errors import ConfigError, InputError, NonFiniteGradientError, NonFiniteLossError
from mmpartref.registry import HOOKS

# Parameters that a message names: where one gradient is not finite, most of those in front of it are not either.
MAX_NAMED = 3
NEEDS_SKIPPING = ("NonFiniteLossHook cannot be used with {}; set optim_wrapper.type='SkipNonFiniteOptimWrapper' (or "
                  "'SkipNonFiniteAmpOptimWrapper'), derive the class from one of them, or turn the hook off with "
                  'default_hooks.non_finite=None')


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Raise or report where a loss or, without mixed precision, a gradient is not finite.

    Needs an optimiser wrapper with ``SkipNonFiniteMixin``, which has skipped the update by then, in all processes. The
    message names the losses or parameters and the images of the batch; all processes raise the same one.

    A learning-rate schedule counts a skipped step. ``SkipNonFiniteEMAHook`` does not.

    Args:
        on_nonfinite: ``'raise'`` ends the run; ``'skip'`` restores the model's buffers (BatchNorm's statistics),
            removes the losses from the log, and reports the number of skipped steps at the end.

    Raises:
        ValueError: ``on_nonfinite`` has another value.
    """

    priority = 'HIGHEST'  # before the losses are logged

    def __init__(self, on_nonfinite: str = 'raise') -> None:
        if on_nonfinite not in ('raise', 'skip'):
            raise InputError(f"on_nonfinite must be 'raise' or 'skip', got {on_nonfinite!r}")
        self.on_nonfinite = on_nonfinite
        self.skipped = 0
        self._buffers: list[torch.Tensor] = []

    def before_train(self, runner: Runner) -> None:
        """Check the types of the optimiser wrapper and the averaging hook.

        Raises:
            ConfigError: they cannot skip an update.
        """
        if not isinstance(runner.optim_wrapper, SkipNonFiniteMixin):
            raise ConfigError(NEEDS_SKIPPING.format(type(runner.optim_wrapper).__name__))
        for hook in runner.hooks:
            if self.on_nonfinite == 'skip' and isinstance(hook, EMAHook) and not isinstance(hook, SkipNonFiniteEMAHook):
                raise ConfigError(f"on_nonfinite='skip' cannot be used with {type(hook).__name__}, which would average "
                                  'after a skipped step; use SkipNonFiniteEMAHook')

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Copy the model's buffers."""
        if self.on_nonfinite == 'skip':
            self._buffers = [each.clone() for each in unwrapped(runner.model).buffers()]

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        """Raise, or restore the buffers and warn, if the step was skipped.

        Raises:
            NonFiniteLossError: with ``'raise'``; a ``NonFiniteGradientError`` if the losses were finite.
        """
        if not runner.optim_wrapper.skipped:
            return
        model, parameters = unwrapped(runner.model), runner.optim_wrapper.non_finite_parameters
        # BaseModel.parse_losses distinguishes losses from logged values by name as well.
        bad = [name for name, value in (outputs or {}).items()
               if 'loss' in name and not torch.isfinite(torch.as_tensor(value)).all()]
        names = ', '.join(bad) if parameters is None else name_gradients(model, parameters)
        gathered = all_gather_object((describe_batch(names, data_batch), parameters is not None))
        several = get_world_size() > 1
        message = f'iteration {runner.iter + 1}: ' + '; '.join(
            f'{text} (process {rank})' if several else text for rank, (text, _) in enumerate(gathered) if text)
        if self.on_nonfinite == 'raise':
            kind = NonFiniteGradientError if any(gradient for _, gradient in gathered) else NonFiniteLossError
            raise kind(f'{message}; check these images, lower the learning rate, or skip such steps with '
                       "default_hooks.non_finite.on_nonfinite='skip'")
        with torch.no_grad():
            for buffer, old in zip(model.buffers(), self._buffers, strict=True):
                buffer.copy_(old)
        if outputs:
            outputs.clear()
        self.skipped += 1
        runner.logger.warning(f'step skipped: {message}')

    def after_train(self, runner: Runner) -> None:
        """Report the number of skipped steps."""
        if self.skipped:
            runner.logger.warning(f'{self.skipped} steps were skipped because a loss or a gradient was not finite')


def name_gradients(model: nn.Module, parameters: tuple[nn.Parameter, ...]) -> str:
    """Return the names of parameters, the first ``MAX_NAMED`` of them, for a message on their gradients."""
    if not parameters:
        return 'the norm of all gradients'
    names = {id(each): name for name, each in model.named_parameters()}
    shown = ', '.join(names[id(each)] for each in parameters[:MAX_NAMED])
    more = f' and {len(parameters) - MAX_NAMED} more' if len(parameters) > MAX_NAMED else ''
    return f'the gradient of {shown}{more}'


def describe_batch(names: str, data: Any) -> str:
    """Return which values are not finite for which images and expressions, '' where ``names`` is empty."""
    samples = data.get('data_samples', []) if isinstance(data, dict) else []
    images = '; '.join(f"{each.get('img_path')} {list(each.get('expressions') or [])}" for each in samples)
    return f'{names} not finite on the batch {images}' if names else ''

"""A loss or a gradient that is no number stops the run, or its step is skipped, before it reaches the weights."""
import functools
from collections.abc import Callable, Iterable
from typing import Any

import torch
from mmengine.dist import all_gather_object, get_world_size
from mmengine.hooks import EMAHook, Hook
from mmengine.optim import AmpOptimWrapper
from mmengine.runner import Runner
from torch import nn

from mmpartref.engine.distributed import anywhere, unwrapped
from mmpartref.errors import InputError, NonFiniteGradientError, NonFiniteLossError
from mmpartref.registry import HOOKS

# Parameters named in a message: where one gradient is no number, most of those before it are none either.
NAMED = 3


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Check the losses between forward and backward, and the gradients before the optimiser's step.

    All processes decide alike, and with ``'raise'`` all of them end with the same sentence. In mixed precision the
    gradients are left to the gradient scaler, which skips steps of its own.

    ``EMAHook`` does not average after a skipped step. A learning-rate schedule counts it: schedules run over the
    batches of the data, and end where the run ends. With gradient accumulation, a skipped loss leaves the gradients of
    the batches before it for the next step; a skipped gradient drops them.

    Args:
        on_nonfinite: ``'raise'`` ends the run; ``'skip'`` leaves out the optimiser's step, puts the model's buffers
            (BatchNorm's statistics) back, and reports the number of skips at the end.

    Raises:
        ValueError: ``on_nonfinite`` is neither.
    """

    def __init__(self, on_nonfinite: str = 'raise') -> None:
        if on_nonfinite not in ('raise', 'skip'):
            raise InputError(f"on_nonfinite must be 'raise' or 'skip', got {on_nonfinite!r}")
        self.on_nonfinite = on_nonfinite
        self.skipped = 0
        self._skipping = False
        self._replaced: list[tuple[Any, str, dict]] = []

    def before_train(self, runner: Runner) -> None:
        """Put the checks into what mmengine calls: the model's losses and step, the optimiser's step, the average."""
        wrapped, optimizer = runner.model, runner.optim_wrapper
        model = unwrapped(wrapped)

        def checked_losses(parse: Callable, losses: dict) -> tuple:
            total, log_vars = parse(losses)
            # As BaseModel.parse_losses tells losses from what is only logged.
            bad = [name for name, value in log_vars.items()
                   if 'loss' in name and not torch.isfinite(torch.as_tensor(value)).all()]
            if anywhere(bool(bad)):
                raise NonFiniteLossError(', '.join(bad))
            return total, log_vars

        def checked_step(step: Callable, **kwargs: Any) -> None:
            finite = gradients_are_finite(model.parameters())
            if anywhere(not finite):
                raise NonFiniteGradientError('' if finite else name_gradients(model))
            step(**kwargs)

        def guarded(train_step: Callable, data: Any, optim_wrapper: Any) -> dict:
            kept = [b.clone() for b in model.buffers()] if self.on_nonfinite == 'skip' else []
            self._skipping = False
            try:
                return train_step(data, optim_wrapper)
            except NonFiniteLossError as error:
                message = describe(runner.iter + 1, str(error), data)
                if self.on_nonfinite == 'raise':
                    raise NonFiniteLossError(message) from None
                if isinstance(error, NonFiniteGradientError):
                    optim_wrapper.zero_grad()
            with torch.no_grad():
                for buffer, old in zip(model.buffers(), kept, strict=True):
                    buffer.copy_(old)
            self._skipping = True
            self.skipped += 1
            runner.logger.warning(f'step skipped: {message}')
            return {}

        def averaged(update: Callable, source: nn.Module) -> None:
            if not self._skipping:
                update(source)

        self._replace(model, 'parse_losses', checked_losses)
        self._replace(wrapped, 'train_step', guarded)
        if not isinstance(optimizer, AmpOptimWrapper):
            self._replace(optimizer, 'step', checked_step)
        for hook in runner.hooks:
            if isinstance(hook, EMAHook):
                self._replace(hook.ema_model, 'update_parameters', averaged)

    def after_train(self, runner: Runner) -> None:
        """Take the checks out again and report the skips."""
        for owner, name, before in reversed(self._replaced):
            delattr(owner, name)
            owner.__dict__.update(before)
        self._replaced.clear()
        if self.skipped:
            runner.logger.warning(f'{self.skipped} steps were skipped because a loss or a gradient was not finite')

    def _replace(self, owner: Any, name: str, around: Callable) -> None:
        """Have ``owner.name(...)`` call ``around(owner.name, ...)`` until the end of training."""
        inner = getattr(owner, name)
        self._replaced.append((owner, name, {name: inner} if name in owner.__dict__ else {}))
        # With what mmengine's schedulers note on the optimiser's step.
        setattr(owner, name, functools.wraps(inner)(functools.partial(around, inner)))


def gradients_are_finite(parameters: Iterable[nn.Parameter]) -> bool:
    """Return whether the norm of all gradients together is a number."""
    gradients = [each.grad for each in parameters if each.grad is not None]
    return bool(torch.isfinite(nn.utils.get_total_norm(gradients)))


def name_gradients(model: nn.Module) -> str:
    """Return words on which gradients are not finite."""
    bad = [name for name, each in model.named_parameters()
           if each.grad is not None and not torch.isfinite(each.grad).all()]
    if not bad:
        return 'the norm of all gradients'
    more = f' and {len(bad) - NAMED} more' if len(bad) > NAMED else ''
    return f"the gradient of {', '.join(bad[:NAMED])}{more}"


def describe(iteration: int, names: str, data: Any) -> str:
    """Return the sentence on what is not finite in which batches, gathered from all processes: the same in each.

    Args:
        iteration: counted from 1.
        names: what is not finite in this process; empty: nothing is.
        data: this process's batch.
    """
    samples = data.get('data_samples', []) if isinstance(data, dict) else []
    photos = '; '.join(f"{s.get('img_path')} {list(s.get('expressions') or [])}" for s in samples)
    own = f'{names} not finite on the batch {photos}' if names else ''
    found = [(rank, each) for rank, each in enumerate(all_gather_object(own)) if each]
    several = get_world_size() > 1
    return f'iteration {iteration}: ' + '; '.join(f'{each} (process {rank})' if several else each
                                                 for rank, each in found)

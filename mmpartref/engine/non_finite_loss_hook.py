"""A loss that is no number stops the run, or its step is skipped, before it reaches the weights."""
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmpartref.registry import HOOKS


class NonFiniteLossError(RuntimeError):
    """A training loss is NaN or infinite."""


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Check the losses between forward and backward; all processes decide alike.

    Gradients that overflow in mixed precision remain the gradient scaler's business.

    Args:
        on_nonfinite: ``'raise'`` ends the run; ``'skip'`` leaves out backward and the optimiser's step, puts the
            model's buffers (BatchNorm's statistics) back, and reports the number of skips at the end.

    Raises:
        ValueError: ``on_nonfinite`` is neither.
    """

    def __init__(self, on_nonfinite: str = 'raise') -> None:
        if on_nonfinite not in ('raise', 'skip'):
            raise ValueError(f"on_nonfinite must be 'raise' or 'skip', got {on_nonfinite!r}")
        self.on_nonfinite = on_nonfinite
        self.skipped = 0

    def before_train(self, runner: Runner) -> None:
        """Put the check into the model's ``parse_losses``, which ``train_step`` calls before the optimiser."""
        wrapped = runner.model
        model = wrapped.module if is_model_wrapper(wrapped) else wrapped
        parse, step = model.parse_losses, wrapped.train_step

        def checked(losses: dict) -> tuple:
            total, log_vars = parse(losses)
            # As BaseModel.parse_losses tells losses from what is only logged.
            bad = [name for name, value in log_vars.items()
                   if 'loss' in name and not torch.isfinite(torch.as_tensor(value)).all()]
            flag = torch.tensor(float(bool(bad)))
            all_reduce(flag, op='max')
            if flag:
                raise NonFiniteLossError(', '.join(bad))
            return total, log_vars

        def guarded(data: Any, optim_wrapper: Any) -> dict:
            kept = [b.clone() for b in model.buffers()] if self.on_nonfinite == 'skip' else []
            try:
                return step(data, optim_wrapper)
            except NonFiniteLossError as error:
                message = describe(runner.iter + 1, str(error), data)
            if self.on_nonfinite == 'raise':
                raise NonFiniteLossError(message)
            with torch.no_grad():
                for buffer, old in zip(model.buffers(), kept, strict=True):
                    buffer.copy_(old)
            self.skipped += 1
            runner.logger.warning(f'step skipped: {message}')
            return {}

        model.parse_losses, wrapped.train_step = checked, guarded

    def after_train(self, runner: Runner) -> None:
        """Take the check out again and report the skips."""
        wrapped = runner.model
        model = wrapped.module if is_model_wrapper(wrapped) else wrapped
        del model.parse_losses, wrapped.train_step
        if self.skipped:
            runner.logger.warning(f'{self.skipped} steps were skipped because a loss was not finite')


def describe(iteration: int, names: str, data: Any) -> str:
    """Return the sentence on a batch whose losses are not finite; without names it was another process's."""
    if not names:
        return f'iteration {iteration}: a loss of another process is not finite; see its message'
    samples = data.get('data_samples', []) if isinstance(data, dict) else []
    photos = '; '.join(f"{s.get('img_path')} {list(s.get('expressions') or [])}" for s in samples)
    return f'iteration {iteration}: {names} not finite on the batch {photos}'

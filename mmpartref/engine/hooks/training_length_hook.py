"""Length of a training: its first log line, and checks of what depends on the number of iterations."""
from collections.abc import Iterator
from typing import Any

from mmengine.hooks import Hook
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler
from mmengine.runner import Runner

from mmpartref.errors import ConfigError
from mmpartref.registry import HOOKS

# With fewer iterations weights from random initialisation hardly change.
FEW_ITERATIONS = 100


@HOOKS.register_module()
class TrainingLengthHook(Hook):
    """Log the number of iterations and the loss of the first one, and check one-cycle schedules by iteration.

    The number of iterations is known when the data have been read, after the other checks of a config.
    """

    priority = 'VERY_LOW'  # after NonFiniteLossHook, which can end the run

    def __init__(self) -> None:
        self._logged = False

    def before_train(self, runner: Runner) -> None:
        """Warn of a training of few iterations.

        Raises:
            ConfigError: a one-cycle schedule by iteration is shorter than the training; mmengine raises in its middle.
        """
        if runner.max_iters < FEW_ITERATIONS:
            runner.logger.warning(f'the training has only {runner.max_iters} iterations; for more, lower '
                                  'train_dataloader.batch_size or raise the length in train_cfg')
        for schedule in _schedules(runner.param_schedulers):
            if isinstance(schedule, OneCycleParamScheduler) and not schedule.by_epoch:
                steps = min(schedule.end, runner.max_iters) - schedule.begin
                if schedule.total_steps < steps:
                    raise ConfigError(f'total_steps={schedule.total_steps} of {type(schedule).__name__} in '
                                      f'param_scheduler ends before the {runner.max_iters} iterations of the training; '
                                      'set by_epoch=True and convert_to_iter_based=True without total_steps, so that '
                                      'it follows them')

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        """Log the loss of the first iteration; mmengine logs after ``LoggerHook.interval`` iterations."""
        if self._logged or not outputs or 'loss' not in outputs:
            return
        self._logged = True
        per_epoch = len(runner.train_dataloader)
        runner.logger.info(f'iteration {runner.iter + 1:,} of {runner.max_iters:,} ({per_epoch:,} per epoch): loss '
                           f"{float(outputs['loss'].detach()):.4f}")


def _schedules(found: Any) -> Iterator[Any]:
    """Yield the schedules of a runner, which has a list, or with several optimisers a dict of lists."""
    for each in found.values() if isinstance(found, dict) else [found or []]:
        yield from each

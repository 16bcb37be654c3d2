"""First epoch at the full learning rate for all parameter groups, as in CRIS."""
from mmengine.optim import OptimWrapper
from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.optim.scheduler.param_scheduler import _ParamScheduler

from mmpartref.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class UniformFirstEpochLR(LRSchedulerMixin, _ParamScheduler):
    """Set the learning rate of all parameter groups to the optimiser's ``lr`` until the first step, then to their own.

    CRIS's published code sets ``initial_lr`` of its groups (a tenth for the encoders) but one ``lr`` for all, and steps
    its scheduler only after the first epoch, so that the encoders have ten times their learning rate in that epoch.
    Source: CRIS's published ``train.py`` and ``model/__init__.py``. It precedes the schedule itself::

        param_scheduler = [dict(type='UniformFirstEpochLR'), dict(type='MultiStepLR', milestones=[35], by_epoch=True)]

    Args:
        optimizer: the optimiser or mmengine's wrapper of it.
        end: set by mmengine's runner to the end of training; there are no changes after the first step.
        by_epoch: True for a first step after the first epoch, as published; False for after the first iteration.
        last_step: as in mmengine's schedulers.
        verbose: print each learning rate that is set.
    """

    def __init__(self,
                 optimizer: object,
                 *,
                 end: int = 2,
                 by_epoch: bool = True,
                 last_step: int = -1,
                 verbose: bool = False) -> None:
        super().__init__(optimizer, begin=0, end=end, last_step=last_step, by_epoch=by_epoch, verbose=verbose)

    def _get_value(self) -> list[float]:
        # mmengine passes its wrapper of the optimiser.
        optimizer = self.optimizer.optimizer if isinstance(self.optimizer, OptimWrapper) else self.optimizer
        full = optimizer.defaults['lr']
        groups = self.optimizer.param_groups
        if self.last_step == 0:
            return [full] * len(groups)
        if self.last_step > 1:
            return [group['lr'] for group in groups]
        # A factor, not a value, because another scheduler may have changed the learning rate.
        return [group['lr'] * group['initial_lr'] / full for group in groups]

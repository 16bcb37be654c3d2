"""CRIS's first epoch, in which every group learns at the full rate."""
from mmengine.optim import OptimWrapper
from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.optim.scheduler.param_scheduler import _ParamScheduler

from mmpartref.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class UniformFirstEpochLR(LRSchedulerMixin, _ParamScheduler):
    """Let all parameter groups learn at the optimiser's own rate until the first step, then at their own.

    The published code gives its groups an ``initial_lr`` (a tenth for the encoders) but the optimiser one ``lr``, and
    calls its scheduler only after the first epoch: so the pretrained encoders spend that epoch at ten times their rate.
    Source: CRIS's published ``train.py`` and ``model/__init__.py``. Goes in front of the schedule proper::

        param_scheduler = [dict(type='UniformFirstEpochLR'), dict(type='MultiStepLR', milestones=[35], by_epoch=True)]

    Args:
        optimizer: the wrapped optimiser.
        end: mmengine's runner puts the end of training here; after the first step nothing changes any more.
        by_epoch: whether the first step comes after an epoch, as published, or after an iteration.
        last_step: see mmengine's schedulers.
        verbose: print every value set.
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
        # mmengine hands over its wrapper around the optimiser.
        optimizer = self.optimizer.optimizer if isinstance(self.optimizer, OptimWrapper) else self.optimizer
        full = optimizer.defaults['lr']
        groups = self.optimizer.param_groups
        if self.last_step == 0:
            return [full] * len(groups)
        if self.last_step > 1:
            return [group['lr'] for group in groups]
        # A factor, not a value: another scheduler may have changed the rate meanwhile.
        return [group['lr'] * group['initial_lr'] / full for group in groups]

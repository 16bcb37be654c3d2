"""Optimiser wrapper of mixed precision that skips updates from losses that are not finite."""
from mmengine.optim import AmpOptimWrapper

from mmpartref.engine.optim.skip_non_finite_optim_wrapper import SkipNonFiniteMixin
from mmpartref.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class SkipNonFiniteAmpOptimWrapper(SkipNonFiniteMixin, AmpOptimWrapper):
    """``AmpOptimWrapper`` that skips an update where the loss is not finite.

    Gradients that overflow are left to the gradient scaler, which skips the step and lowers its scale. Arguments as
    ``AmpOptimWrapper``.
    """

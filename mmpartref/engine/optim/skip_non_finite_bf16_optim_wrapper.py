"""Optimiser wrapper of bfloat16 autocast that skips updates from losses or gradients that are not finite."""
from mmpartref.engine.optim.bf16_optim_wrapper import Bf16OptimWrapper
from mmpartref.engine.optim.skip_non_finite_optim_wrapper import SkipNonFiniteOptimWrapper
from mmpartref.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class SkipNonFiniteBf16OptimWrapper(SkipNonFiniteOptimWrapper, Bf16OptimWrapper):
    """``Bf16OptimWrapper`` that skips an update where the loss or the norm of all gradients is not finite.

    Arguments as ``OptimWrapper``.
    """

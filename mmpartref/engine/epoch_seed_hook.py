"""The same random numbers in an epoch, whether the run came through or was resumed."""
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner, set_random_seed

from mmpartref.registry import HOOKS

# Keeps the streams of neighbouring epochs apart from those of neighbouring ranks.
EPOCH_STRIDE = 100_003


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed python, numpy and torch anew at each training epoch from the run's seed, the epoch and the rank.

    mmengine restores the seed of a resumed run but not how far the generators had come, so dropout would differ from
    an uninterrupted run. Checkpoints are written at epoch ends, and with this hook nothing random crosses one.
    """

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed the epoch about to begin."""
        set_random_seed((runner.seed + EPOCH_STRIDE * runner.epoch + get_rank()) % 2**32)

"""Draws that change from epoch to epoch, in every worker process."""
import torch


class EpochDraws:
    """Holds the epoch in shared memory, so that persistent workers follow when the main process sets it."""

    def __init__(self) -> None:
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()

    def __setstate__(self, state: dict) -> None:
        # A copy (e.g. of a subset of the data set) owns a tensor of its own, which has to be shared with its workers.
        self.__dict__.update(state)
        self._epoch.share_memory_()

    @property
    def epoch(self) -> int:
        """The epoch of the next draws."""
        return int(self._epoch[0])

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next draws, in every worker process."""
        self._epoch[0] = epoch

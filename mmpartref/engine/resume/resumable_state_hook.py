"""Position within an epoch, and other state that mmengine does not save, in checkpoints."""
from typing import Any

import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from mmpartref.engine.distributed import unwrapped
from mmpartref.engine.resume.resumable_epoch_based_train_loop import ResumableEpochBasedTrainLoop
from mmpartref.engine.resume.resumable_iter_based_train_loop import ResumableIterBasedTrainLoop
from mmpartref.engine.resume.resumed_checkpoint import STATE_KEY, is_place
from mmpartref.errors import InputError, WeightsError
from mmpartref.registry import HOOKS
from mmpartref.seeding import seed_global_generators


def sampler_of(runner: Runner) -> Any:
    """Return the sampler of the training data's indices: that of the batch sampler, where it has one."""
    return getattr(runner.train_dataloader.batch_sampler, 'sampler', runner.train_dataloader.sampler)


@HOOKS.register_module()
class ResumableStateHook(Hook):
    """Save the position within the epoch in each checkpoint, and resume there, bit for bit.

    Random states are not saved: before each step every process seeds its global generators from the run's seed, the
    epoch, the batch and its rank. mmengine saves the weights, the optimiser with its gradient scaler, the schedules,
    the averaged weights and the logs.

    A checkpoint from the end of an epoch also has whether that epoch was validated. Where the buffers of the processes
    differ (BatchNorm's statistics without SyncBN), all are saved and each process gets its own ones.
    """

    priority = 'LOW'  # after EMAHook, which swaps the loaded weights; before the checkpoint hook

    def __init__(self) -> None:
        self.batches_done = 0
        self.validation_due = False
        self.buffers: list[dict[str, torch.Tensor]] = []

    def gather_buffers(self, runner: Runner) -> None:
        """Collect the buffers of all processes where they differ; called in each before the main one saves."""
        if get_world_size() == 1:
            return
        buffers = {name: buffer.cpu() for name, buffer in unwrapped(runner.model).named_buffers()}
        everyone = all_gather_object(buffers)
        differ = any(not torch.equal(each[name], buffers[name]) for each in everyone for name in buffers)
        self.buffers = everyone if differ else []

    def before_train(self, runner: Runner) -> None:
        """Check that all processes start at the same epoch and iteration.

        Raises:
            ValueError: they do not, because not all of them found the checkpoint.
        """
        places = all_gather_object((runner.epoch, runner.iter))
        if len(set(places)) > 1:
            raise InputError(f'the processes start at different (epoch, iteration): {places}, by rank; set the work '
                             'dir to a folder that all machines share')

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seed the global generators for the step."""
        seed_global_generators(runner.seed, runner.epoch, 'step', batch_idx, get_rank())

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Count the batch, before the checkpoint hook, and note whether a validation follows."""
        loop = runner.train_loop
        self.batches_done = batch_idx + 1
        self.validation_due = isinstance(loop, ResumableEpochBasedTrainLoop) and loop.validation_follows(
            runner.iter + 1)

    def after_train_epoch(self, runner: Runner) -> None:
        """Mark the epoch as finished, and in a loop by epoch as not validated."""
        self.batches_done = 0
        self.validation_due = not isinstance(runner.train_loop, (ResumableIterBasedTrainLoop, IterBasedTrainLoop))

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Mark the epoch as validated."""
        self.validation_due = False

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the position."""
        checkpoint[STATE_KEY] = {
            'batches_done': self.batches_done,
            'batches': len(runner.train_dataloader),
            'validation_due': self.validation_due,
            'world_size': get_world_size(),
            # A run without a seed in its config would draw another one.
            'sampler_seed': getattr(sampler_of(runner), 'seed', None),
            'buffers': self.buffers,
        }
        self.buffers = []

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Set the position of a resumed run; with another number of ranks or batches, to the same share of the epoch.

        Raises:
            ValueError: the checkpoint is from within an epoch, where the loop cannot start, or its position is not one.
        """
        if not runner._resume:
            return
        state = checkpoint.get(STATE_KEY)
        if state is None:
            runner.logger.warning(f"the checkpoint has no '{STATE_KEY}': the run resumes at the start of an epoch, and "
                                  'its results may differ from those of an uninterrupted run')
            return
        if not is_place(state):
            raise WeightsError(f"the checkpoint's '{STATE_KEY}' is not a place within an epoch; resume from another "
                               'checkpoint of the run')
        if state['sampler_seed'] is not None:
            sampler_of(runner).seed = state['sampler_seed']
        if len(state['buffers']) == get_world_size():
            weights, own = checkpoint['state_dict'], state['buffers'][get_rank()]
            weights.update({name: buffer for name, buffer in own.items() if name in weights})
        loop, done, batches = runner.train_loop, state['batches_done'], state['batches']
        if not isinstance(loop, ResumableEpochBasedTrainLoop):
            if isinstance(loop, EpochBasedTrainLoop) and done:
                raise InputError(
                    f'the checkpoint was written after {done} of {batches} batches of an epoch, where '
                    f'{type(loop).__name__} cannot start; set '
                    "train_cfg=dict(type='ResumableEpochBasedTrainLoop', ...)")
            return
        now = len(runner.train_dataloader)
        loop.start = done * now // batches
        loop.validation_due = state['validation_due']
        if (now, get_world_size()) != (batches, state['world_size']):
            runner.logger.warning(
                f"the checkpoint has {state['world_size']} processes and {batches} batches per epoch, this run has "
                f'{get_world_size()} and {now}: it resumes after batch {loop.start}, and its results will differ from '
                'those of an uninterrupted run')

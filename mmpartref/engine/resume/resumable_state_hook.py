"""What a checkpoint has to know besides mmengine's state for a run to go on bit for bit."""
from typing import Any

import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmpartref.engine.distributed import unwrapped
from mmpartref.engine.resume.random_streams import seed_step
from mmpartref.engine.resume.resumable_epoch_based_train_loop import ResumableEpochBasedTrainLoop
from mmpartref.errors import InputError
from mmpartref.registry import HOOKS

KEY = 'resumable_state'


def sampler_of(runner: Runner) -> Any:
    """Return the sampler of the training data's indices; torch keeps it in the batch sampler where that is our own."""
    return getattr(runner.train_dataloader.batch_sampler, 'sampler', runner.train_dataloader.sampler)


@HOOKS.register_module()
class ResumableStateHook(Hook):
    """Write the place in the epoch into each checkpoint and go on there.

    Random numbers are not saved but derived: before each step every process seeds its generators from the run's seed,
    the epoch, the batch and its rank. So nothing random crosses a step, and any number of ranks can go on. mmengine
    saves the weights, the optimiser with its gradient scaler, the schedules, the averaged weights and the logs.

    A checkpoint from an epoch's end also notes whether that epoch has been validated. Where the processes' buffers
    differ (BatchNorm's statistics without SyncBN), each gets its own back.
    """

    priority = 'LOW'  # after EMAHook, which exchanges what is loaded; before the checkpoint hook

    def __init__(self) -> None:
        self.batches_done = 0
        self.validation_due = False
        self.buffers: list[dict[str, torch.Tensor]] = []

    def gather_buffers(self, runner: Runner) -> None:
        """Collect the buffers of all processes; called in each of them before the main one saves."""
        if get_world_size() == 1:
            return
        buffers = {name: buffer.cpu() for name, buffer in unwrapped(runner.model).named_buffers()}
        everyone = all_gather_object(buffers)
        differ = any(not torch.equal(each[name], buffers[name]) for each in everyone for name in buffers)
        self.buffers = everyone if differ else []

    def before_train(self, runner: Runner) -> None:
        """Make sure that all processes begin at the same place.

        Raises:
            ValueError: they do not, because not all of them see the checkpoint.
        """
        places = all_gather_object((runner.epoch, runner.iter))
        if len(set(places)) > 1:
            raise InputError(f'the processes begin at different (epoch, iteration): {places}, by rank; the work dir '
                             'has to be the same folder on all machines')

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seed the step."""
        seed_step(runner.seed, runner.epoch, batch_idx, get_rank())

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Count the batch; the checkpoint hook comes after this one."""
        self.batches_done, self.validation_due = batch_idx + 1, False

    def after_train_epoch(self, runner: Runner) -> None:
        """Note that the epoch is at its end and not validated."""
        self.batches_done, self.validation_due = 0, True

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Note that it is."""
        self.validation_due = False

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the place."""
        checkpoint[KEY] = {
            'batches_done': self.batches_done,
            'batches': len(runner.train_dataloader),
            'validation_due': self.validation_due,
            'world_size': get_world_size(),
            # Drawn anew by a run that was given no seed.
            'sampler_seed': getattr(sampler_of(runner), 'seed', None),
            'buffers': self.buffers,
        }
        self.buffers = []

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Go to the place, when a run is resumed; ranks or batches of another number keep the share of the epoch.

        Raises:
            ValueError: the loop cannot begin within an epoch, but the checkpoint is from within one.
        """
        state = checkpoint.get(KEY)
        if state is None or not runner._resume:
            return
        if state['sampler_seed'] is not None:
            sampler_of(runner).seed = state['sampler_seed']
        if len(state['buffers']) == get_world_size():
            weights, own = checkpoint['state_dict'], state['buffers'][get_rank()]
            weights.update({name: buffer for name, buffer in own.items() if name in weights})
        loop, done, batches = runner.train_loop, state['batches_done'], state['batches']
        if not isinstance(loop, ResumableEpochBasedTrainLoop):
            if isinstance(loop, EpochBasedTrainLoop) and done:
                raise InputError(
                    f'the checkpoint has {done} of {batches} batches of its epoch behind it, and {type(loop).__name__} '
                    "begins epochs only at their start; set train_cfg=dict(type='ResumableEpochBasedTrainLoop', ...)")
            return
        now = len(runner.train_dataloader)
        loop.start = done * now // batches
        loop.validation_due = state['validation_due']
        if (now, get_world_size()) != (batches, state['world_size']):
            runner.logger.warning(
                f"the checkpoint is of {state['world_size']} processes and {batches} batches an epoch, this run of "
                f'{get_world_size()} and {now}: it goes on after batch {loop.start}, and will not be the same run bit '
                'for bit')

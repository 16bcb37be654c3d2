"""Checks of the state that a resumed run reads from its checkpoint.

A checkpoint of plain values can still do harm: mmengine deletes the file in ``best_ckpt`` after a better one, and
torch's fused optimisers write into state tensors without checking their shapes.
"""
import os
import re
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmpartref.errors import WeightsError

# Keys of the message hub that hold paths of checkpoints.
PATH_KEYS = re.compile(r'(best_ckpt(_.*)?|last_ckpt)', re.DOTALL)
OTHER_CONFIG = 'resume with the config of that run'
# Arguments of torch's optimisers that select their kernels.
SWITCHES = ('fused', 'foreach', 'capturable', 'differentiable')


def check_resumed(runner: Runner, checkpoint: dict) -> None:
    """Check a checkpoint, and set ``SWITCHES`` in its optimiser to those of the run.

    Raises:
        WeightsError: the run cannot be resumed from it.
    """
    for fault in (state_fault(checkpoint), scheduler_fault(runner, checkpoint), optimizer_fault(runner, checkpoint)):
        if fault:
            raise WeightsError(fault)


def clean_paths(runner: Runner, info: dict) -> None:
    """Replace the paths of checkpoints in a message hub by those of the files of the same names in the run's folder.

    In place; a path is dropped if there is no such file.
    """
    folders = [folder_of(hook, runner) for hook in runner.hooks if isinstance(hook, CheckpointHook)]
    for key in [key for key in info if isinstance(key, str) and PATH_KEYS.fullmatch(key)]:
        own = own_checkpoint(info[key], folders or [runner.work_dir], 'best_' if key.startswith('best_') else '')
        if own is None:
            del info[key]
        else:
            info[key] = own
    kept = info.get('keep_ckpt_ids', [])
    if not isinstance(kept, list) or not all(type(each) is int for each in kept):
        del info['keep_ckpt_ids']


def folder_of(hook: CheckpointHook, runner: Runner) -> str:
    """Return the folder of a checkpoint hook, as mmengine forms it before the training."""
    if hook.out_dir is None or hook.out_dir == runner.work_dir:
        return runner.work_dir
    return os.path.join(hook.out_dir, os.path.basename(runner.work_dir.rstrip(os.sep)))


def own_checkpoint(path: Any, folders: list[str], start: str) -> str | None:
    """Return the file with the name of a message hub's checkpoint in one of the folders; None if there is none."""
    name = os.path.basename(path) if isinstance(path, str) else ''
    if not name.startswith(start) or not name.endswith('.pth') or '\0' in name:
        return None
    files = (os.path.join(folder, name) for folder in folders)
    return next((file for file in files if os.path.isfile(file)), None)


def state_fault(checkpoint: Mapping[str, Any]) -> str:
    """Return what a checkpoint lacks to resume a run, '' if nothing."""
    meta, hub = checkpoint.get('meta'), checkpoint.get('message_hub')
    if not isinstance(meta, dict):
        return "it has no 'meta' of a run; use a checkpoint of a training, not its weights only"
    if not all(type(meta.get(key)) is int and meta[key] >= 0 for key in ('epoch', 'iter')):
        return "its 'meta' does not give the epoch and the iteration as whole numbers"
    if type(meta.get('seed', 0)) not in (int, type(None)):
        return 'its seed is not a whole number'
    if not isinstance(hub, dict) or not all(isinstance(hub.get(key), dict)
                                            for key in ('log_scalars', 'runtime_info', 'resumed_keys')):
        return "it has no 'message_hub' of a run; use a checkpoint of a training, not its weights only"
    return ''


def scheduler_fault(runner: Runner, checkpoint: Mapping[str, Any]) -> str:
    """Return how the states of the schedules differ in number or keys from the run's schedules, '' if they do not.

    mmengine sets all items of a state as attributes of the schedule, without a check.
    """
    own, given = runner.param_schedulers, checkpoint.get('param_schedulers')
    if given is None or not isinstance(own, (list, dict)):
        return ''
    if isinstance(own, dict):
        if type(given) is not dict or given.keys() != own.keys():
            return f'its schedules are not those of {", ".join(own)}; {OTHER_CONFIG}'
        pairs = [(own[name], given[name]) for name in own]
    else:
        pairs = [(own, given)]
    for schedulers, states in pairs:
        if type(states) is not list or len(states) != len(schedulers):
            return f'it does not have the {len(schedulers)} schedules of this config; {OTHER_CONFIG}'
        for scheduler, state in zip(schedulers, states, strict=True):
            attributes = scheduler.state_dict()
            if type(state) is not dict or state.keys() - attributes.keys() or (
                    state.get('param_name') != attributes.get('param_name')):
                return f'its schedule is not the {type(scheduler).__name__} of this config; {OTHER_CONFIG}'
    return ''


def optimizer_fault(runner: Runner, checkpoint: Mapping[str, Any]) -> str:
    """Return why an optimiser's state does not fit that of the run, '' if it does; set its ``SWITCHES`` to the run's.

    State tensors have to have their parameters' shapes, for all of torch's optimisers with a fused kernel.
    """
    given, wrapper = checkpoint.get('optimizer'), runner.optim_wrapper
    if given is None or not hasattr(wrapper, 'param_groups'):
        return ''
    several = hasattr(wrapper, 'optim_wrappers')
    for name, each in wrapper.optim_wrappers.items() if several else [('', wrapper)]:
        found = given.get(name) if several and type(given) is dict else given
        state: dict = found if type(found) is dict else {}
        own, groups = each.optimizer.param_groups, state.get('param_groups')
        if type(groups) is not list or len(groups) != len(own) or not all(type(group) is dict for group in groups):
            return f"its optimizer's state does not have the {len(own)} groups of this config; {OTHER_CONFIG}"
        for group, mine in zip(groups, own, strict=True):
            group.update({key: mine[key] for key in SWITCHES if key in mine})
        parameters = [parameter for mine in own for parameter in mine['params']]
        ids = [index for group in groups for index in group.get('params', ())]
        if any('fused' in mine for mine in own) and (
                ids != list(range(len(parameters))) or not fits(state.get('state'), parameters)):
            return f"its optimizer's state does not have the shapes of the parameters; {OTHER_CONFIG}"
    return ''


def fits(states: Any, parameters: list[torch.Tensor]) -> bool:
    """Return whether all state tensors have the shape of the parameter at their index, and ``step`` one element."""
    if type(states) is not dict:
        return False
    for index, state in states.items():
        if type(index) is not int or not 0 <= index < len(parameters) or type(state) is not dict:
            return False
        for key, value in state.items():
            if not isinstance(value, torch.Tensor):
                continue
            if value.numel() != 1 if key == 'step' else value.shape != parameters[index].shape:
                return False
    return True

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
from mmpartref.text import shown

# Keys of the message hub that hold paths of checkpoints.
PATH_KEYS = re.compile(r'(best_ckpt(_.*)?|last_ckpt)', re.DOTALL)
OTHER_CONFIG = 'resume with the config of that run'
WHOLE = 'resume from a regular checkpoint of a training, e.g. the one in last_checkpoint'
# Key of the state of ``ResumableStateHook``.
STATE_KEY = 'resumable_state'
# Arguments of torch's optimisers that select their kernels.
SWITCHES = ('fused', 'foreach', 'capturable', 'differentiable')
# Keys of a group that are not arguments of the optimiser.
NO_ARGUMENTS = {'params', 'param_names', *SWITCHES}
# An argument that some versions of torch do not save, with its default; in newer ones it distinguishes Adam from AdamW.
DECOUPLED = {'decoupled_weight_decay': False}
# States that torch's optimisers have of each parameter after the first step.
MOMENTS = {'Adam': {'step', 'exp_avg', 'exp_avg_sq'}, 'AdamW': {'step', 'exp_avg', 'exp_avg_sq'},
           'RMSprop': {'step', 'square_avg'}}
# Numbers from here on do not fit into what torch's kernels use.
MAX_NUMBER = 2.0**63
# Optimisers of torch whose states have other shapes than the parameters.
OTHER_SHAPES = {'Adafactor', 'LBFGS', 'Muon'}


def check_resumed(runner: Runner, checkpoint: dict) -> None:
    """Check a checkpoint, and set ``SWITCHES`` in its optimiser to those of the run.

    Raises:
        WeightsError: the run cannot be resumed from it.
    """
    fault = state_fault(checkpoint) or scheduler_fault(runner, checkpoint) or optimizer_fault(runner, checkpoint)
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
    meta, hub, place = checkpoint.get('meta'), checkpoint.get('message_hub'), checkpoint.get(STATE_KEY)
    if not isinstance(meta, dict):
        return f"it has no 'meta' of a run; {WHOLE}"
    if not all(is_count(meta.get(key)) for key in ('epoch', 'iter')):
        found = ', '.join(f'{key} {shown(meta[key]) if key in meta else "missing"}' for key in ('epoch', 'iter'))
        return f"its 'meta' does not give the epoch and the iteration as whole numbers ({found}); {WHOLE}"
    if meta['epoch'] > meta['iter']:
        return f"its 'meta' gives {meta['epoch']} epochs of {meta['iter']} iterations; {WHOLE}"
    seed = meta.get('seed')
    if seed is not None and not (is_count(seed) and seed < 2**32):
        return f'its seed is not a whole number; {WHOLE}'
    if not isinstance(hub, dict) or not all(isinstance(hub.get(key), dict)
                                            for key in ('log_scalars', 'runtime_info', 'resumed_keys')):
        return f"it has no 'message_hub' of a run; {WHOLE}"
    if checkpoint.get('optimizer') is None:
        return f'it has no optimizer state (best_... and converted checkpoints have none); {WHOLE}'
    if place is not None and not is_place(place):
        return f"its '{STATE_KEY}' is not a place within an epoch; {WHOLE}"
    if 'ema_state_dict' in checkpoint and not is_average(checkpoint['ema_state_dict'], checkpoint.get('state_dict')):
        return f'its averaged weights do not have the names and shapes of its weights; {WHOLE}'
    return ''


def is_count(value: Any) -> bool:
    """Return whether a value is a whole number from 0 on that fits into 63 bits."""
    return type(value) is int and 0 <= value < 2**63


def is_average(averaged: Any, weights: Any) -> bool:
    """Return whether an ``ema_state_dict`` has ``steps`` and the tensors of a ``state_dict``, as ``EMAHook`` saves."""
    if not isinstance(averaged, Mapping) or not isinstance(weights, Mapping):
        return False
    shapes = {name: value.shape for name, value in averaged.items() if isinstance(value, torch.Tensor)}
    return shapes == {'steps': torch.Size(()), **{
        f'module.{name}': value.shape for name, value in weights.items() if isinstance(value, torch.Tensor)}}


def is_place(state: Any) -> bool:
    """Return whether a value has the keys and types that ``ResumableStateHook`` saves."""
    return (type(state) is dict and all(is_count(state.get(key)) for key in ('batches_done', 'batches', 'world_size'))
            and state['batches_done'] <= state['batches'] > 0 and type(state.get('validation_due')) is bool
            and (state.get('sampler_seed', '') is None or is_count(state.get('sampler_seed')))
            and type(state.get('buffers')) is list
            and all(type(each) is dict and all(isinstance(value, torch.Tensor) for value in each.values())
                    for each in state['buffers']))


def scheduler_fault(runner: Runner, checkpoint: Mapping[str, Any]) -> str:
    """Return how the states of the schedules differ in number or keys from the run's schedules, '' if they do not.

    mmengine sets all items of a state as attributes of the schedule, without a check.
    """
    own, given = runner.param_schedulers, checkpoint.get('param_schedulers')
    if not own or not isinstance(own, (list, dict)):
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
            if type(state) is not dict or state.keys() != attributes.keys() or (
                    state['param_name'] != attributes['param_name']) or not all(
                        is_like(state[key], attributes[key]) for key in attributes):
                return f'its schedule is not the {type(scheduler).__name__} of this config; {OTHER_CONFIG}'
    return ''


def optimizer_fault(runner: Runner, checkpoint: Mapping[str, Any]) -> str:
    """Return why an optimiser's state does not fit the run, '' if it does; set its ``SWITCHES`` to the run's."""
    given, wrapper = checkpoint.get('optimizer'), runner.optim_wrapper
    if not hasattr(wrapper, 'param_groups'):
        return ''
    several = hasattr(wrapper, 'optim_wrappers')
    for name, each in wrapper.optim_wrappers.items() if several else [('', wrapper)]:
        found = given.get(name) if several and type(given) is dict else given
        state: dict = found if type(found) is dict else {}
        fault = groups_fault(each.optimizer, state.get('param_groups')) or moments_fault(
            each.optimizer, state.get('state'), checkpoint['meta']['iter'])
        if fault:
            return f"its optimizer's state {fault}; {OTHER_CONFIG}"
    return ''


def groups_fault(optimizer: torch.optim.Optimizer, groups: Any) -> str:
    """Return how the parameter groups of a state differ from an optimiser's, '' if they do not.

    Values of arguments may differ: the state's are used.
    """
    own = optimizer.param_groups
    if type(groups) is not list or len(groups) != len(own) or not all(type(group) is dict for group in groups):
        return f'does not have the {len(own)} groups of this config'
    start = 0
    for group, mine in zip(groups, own, strict=True):
        end = start + len(mine['params'])
        ids = group.get('params')
        if type(ids) is not list or [each if type(each) is int else None for each in ids] != list(range(start, end)):
            return 'does not have the parameters of this model'
        start = end
        expected, found = arguments(mine), arguments(group)
        if expected.keys() != found.keys():
            return f'is not that of this {type(optimizer).__name__}'
        wrong = next((key for key in expected if not is_like(found[key], expected[key], lowest=0)), None)
        if wrong is not None:
            return f'has {wrong}={shown(found[wrong])}'
        # Of another algorithm, whose state has other tensors.
        if any(bool(expected[key]) != bool(found[key]) for key in expected
               if key == 'momentum' or isinstance(expected[key], bool)):
            return f'is not that of this {type(optimizer).__name__}'
        group.update({key: mine[key] for key in SWITCHES if key in mine})
    return ''


def arguments(group: Mapping[str, Any]) -> dict[str, Any]:
    """Return a group's arguments of the optimiser, and what the schedules have added to them."""
    return {**DECOUPLED, **{key: value for key, value in group.items() if key not in NO_ARGUMENTS}}


def is_like(value: Any, own: Any, lowest: float = -MAX_NUMBER) -> bool:
    """Return whether a value has the type and length of the run's, and is finite and not huge where it is a number."""
    if isinstance(own, (list, tuple)):
        return isinstance(value, (list, tuple)) and len(value) == len(own) and all(
            is_like(*pair, lowest) for pair in zip(value, own, strict=True))
    if isinstance(own, Mapping):  # such as milestones, of which there may be others
        first = next(iter(own.values()), None)
        return isinstance(value, Mapping) and all(is_like(each, own.get(key, first)) for key, each in value.items())
    if isinstance(own, (int, float)) and not isinstance(own, bool):
        return isinstance(value, (int, float)) and not isinstance(value, bool) and lowest <= value < MAX_NUMBER
    if isinstance(own, (bool, str)):
        return type(value) is type(own)
    return callable(value) or not callable(own)


def moments_fault(optimizer: torch.optim.Optimizer, states: Any, iterations: int) -> str:
    """Return how the state tensors of parameters differ from an optimiser's, '' if they do not.

    For torch's optimisers: tensors have to have their parameters' shapes, ``step`` has one element. torch's fused
    kernels write into them without checking.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group['params']]
    kind = type(optimizer).__name__
    if type(states) is not dict or not all(type(index) is int and 0 <= index < len(parameters) and type(state) is dict
                                           for index, state in states.items()):
        return 'does not have the shapes of the parameters'
    if not type(optimizer).__module__.startswith('torch.optim') or kind in OTHER_SHAPES:
        return ''
    needed = MOMENTS.get(kind, set())
    if needed and iterations and not states:
        return f'has no moments after {iterations:,} iterations'
    every = [state.keys() for state in states.values()]
    if any(keys != every[0] or not needed <= keys for keys in every):
        return f'is not that of {kind}'
    if not all(is_moment(key, value, parameters[index]) for index, state in states.items()
               for key, value in state.items()):
        return 'does not have the shapes of the parameters'
    return ''


def is_moment(key: str, value: Any, parameter: torch.Tensor) -> bool:
    """Return whether a value can be a state of a parameter: its ``step``, or a tensor like it."""
    if key == 'step':
        number = value.item() if isinstance(value, torch.Tensor) and value.numel() == 1 else value
        return is_like(number, 0, lowest=0)
    if not isinstance(value, torch.Tensor):
        return value is None and key == 'momentum_buffer'  # as SGD without momentum has it
    return value.shape == parameter.shape and value.is_floating_point() == parameter.is_floating_point()

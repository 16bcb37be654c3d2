"""Summary of a training or test, before its first iteration."""
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner

from mmpartref.datasets.referring.missing_images import part_datasets
from mmpartref.datasets.referring.samplers.expression_batch_sampler import ExpressionBatchSampler
from mmpartref.engine.distributed import unwrapped
from mmpartref.engine.hooks.safe_checkpoint_hook import source_of
from mmpartref.engine.resume.resumable_data import ResumableBatchSampler, SeededDataset
from mmpartref.engine.resume.resumable_iter_based_train_loop import ResumableIterBasedTrainLoop
from mmpartref.engine.terminal.next_commands import short_path
from mmpartref.registry import HOOKS
from mmpartref.text import counted

# Attributes of a model whose classes name it, in this order.
NAMED = ('backbone', 'text_encoder', 'detector')
# Width of the names of lines.
WIDTH = 9


@HOOKS.register_module()
class RunSummaryHook(Hook):
    """Log what a run is about to do: config, model, data, batches, length, learning rate, seed, device and files.

    The log file has the same in detail, which ``TerminalRunner`` does not print.
    """

    priority = 'VERY_HIGH'  # before what the other hooks log

    def before_train(self, runner: Runner) -> None:
        """Log the summary of a training."""
        loader = runner.train_dataloader
        lines = {**head(runner), 'train': describe_data(loader.dataset)}
        if runner.val_loop is not None:
            lines['val'] = describe_data(runner.val_dataloader.dataset)
        lines |= {'batch': describe_batch(loader), 'length': describe_length(runner),
                  'optimiser': describe_optimiser(runner), 'seed': f'{runner.seed}; device: {describe_device(runner)}',
                  'start': describe_start(runner), **files(runner)}
        show(runner, 'training', lines)

    def before_test(self, runner: Runner) -> None:
        """Log the summary of a test."""
        loader = runner.test_dataloader
        lines = {**head(runner), 'weights': describe_weights(runner), 'test': describe_data(loader.dataset),
                 'batch': describe_batch(loader), 'device': describe_device(runner), **files(runner)}
        show(runner, 'test', lines)


def show(runner: Runner, title: str, lines: Mapping[str, str]) -> None:
    """Log the lines of a summary."""
    runner.logger.info('\n'.join([title, *(f'  {name:{WIDTH}}  {text}' for name, text in lines.items())]))


def head(runner: Runner) -> dict[str, str]:
    """Return the lines about config and model."""
    model = unwrapped(runner.model)
    parts = [type(getattr(model, name)).__name__ for name in NAMED if getattr(model, name, None) is not None]
    own = type(model).__name__ + (f' ({", ".join(parts)})' if parts else '')
    parameters = list(model.parameters())
    every = sum(each.numel() for each in parameters)
    trained = sum(each.numel() for each in parameters if each.requires_grad)
    frozen = '' if trained == every else f', {millions(trained)} of them trained'
    return {'config': short_path(runner.cfg.filename) if runner.cfg.filename else runner.experiment_name,
            'model': f'{own}, {millions(every)} parameters{frozen}'}


def millions(number: int) -> str:
    """Return a number of parameters in millions."""
    return f'{number / 1e6:,.2f} M'


def files(runner: Runner) -> dict[str, str]:
    """Return the lines about the output."""
    lines = {'work dir': short_path(runner.work_dir)}
    if log_file := getattr(runner.logger, 'log_file', None):
        lines['log'] = f'{short_path(log_file)}, with the whole config, environment and hooks'
    return lines


def describe_data(dataset: Any) -> str:
    """Return the images and expressions of a dataset, what was dropped or repaired, and its json."""
    dataset = dataset.inner if isinstance(dataset, SeededDataset) else dataset
    leaves = list(part_datasets(dataset))
    if not leaves:
        text = counted(len(dataset), 'image')
        return f'{text}: {short_path(dataset.ann_file)}' if getattr(dataset, 'ann_file', None) else text
    by_image = all(each.group_by == 'image' for each in leaves)
    text = (f"{counted(sum(map(len, leaves)), 'image' if by_image else 'item')}, "
            f"{counted(round(sum(float(each.num_expressions().sum()) for each in leaves)), 'expression')}")
    text += describe_faults(leaves)
    if dataset is not leaves[0]:
        text += f'; {type(dataset).__name__} of {counted(len(leaves), "json")}, {counted(len(dataset), "item")}'
    return f'{text}: {short_path(leaves[0].ann_file)}' + (' and others' if len(leaves) > 1 else '')


def describe_faults(leaves: Iterable[Any]) -> str:
    """Return how many images, annotations and expressions of the jsons are dropped or repaired; '' if none are."""
    every = [each.statistics for each in leaves]
    dropped = [(sum(each.images_without_parts for each in every), 'image'),
               (sum(each.annotations_in_json - each.parts_used for each in every), 'annotation'),
               (sum(each.refs_dropped for each in every), 'expression')]
    repaired = sum(each.short_rings_dropped + each.backslash_file_names for each in every)
    words = [counted(number, name) for number, name in dropped if number]
    text = f'; dropped: {", ".join(words)}' if words else ''
    return text + (f'; repaired: {counted(repaired, "record")}' if repaired else '')


def describe_batch(loader: Any) -> str:
    """Return what a batch has, and how many processes load and train."""
    sampler = loader.batch_sampler
    sampler = sampler.inner if isinstance(sampler, ResumableBatchSampler) else sampler
    size = getattr(sampler, 'batch_size', None)
    about = 'about ' if isinstance(sampler, ExpressionBatchSampler) else ''
    text = f"{about}{counted(size, 'expression' if about else 'item')}" if size else type(sampler).__name__
    processes = get_world_size()
    if processes > 1:
        text += f' in each of {processes} processes'
    return f'{text}, {counted(loader.num_workers, "worker")}'


def describe_length(runner: Runner) -> str:
    """Return the number of epochs and iterations, and how often the validation comes."""
    per_epoch = len(runner.train_dataloader)
    if isinstance(runner.train_loop, (IterBasedTrainLoop, ResumableIterBasedTrainLoop)):
        text, unit = f'{counted(runner.max_iters, "iteration")} ({per_epoch:,} per epoch)', 'iteration'
    else:
        text, unit = f'{counted(runner.max_epochs, "epoch")} of {counted(per_epoch, "iteration")}', 'epoch'
    if runner.val_loop is None:
        return f'{text}, no validation'
    every = getattr(runner.train_loop, 'val_interval', 1)  # a custom loop may not have it
    return f'{text}, validation every {f"{every:,} {unit}s" if every > 1 else unit}'


def describe_optimiser(runner: Runner) -> str:
    """Return the optimisers, their greatest learning rates and the schedules."""
    wrappers = runner.optim_wrapper
    found = []
    for wrapper in wrappers.values() if hasattr(wrappers, 'values') else [wrappers]:
        # A one-cycle schedule adds max_lr, others initial_lr.
        rates = {group.get('max_lr', group.get('initial_lr', group['lr'])) for group in wrapper.optimizer.param_groups}
        rate = f'{max(rates):g}' if len(rates) == 1 else f'{min(rates):g} to {max(rates):g}'
        found.append(f'{type(wrapper.optimizer).__name__}, learning rate {rate}')
        if 'Amp' in type(wrapper).__name__:
            found[-1] += ' in mixed precision'
    schedules = runner.param_schedulers or []
    if isinstance(schedules, dict):
        schedules = [each for every in schedules.values() for each in every]
    names = ', '.join(dict.fromkeys(type(each).__name__ for each in schedules))
    return '; '.join(found) + (f', {names}' if names else '')


def describe_device(runner: Runner) -> str:
    """Return the device of the model."""
    device = next((each.device for each in runner.model.parameters()), torch.device('cpu'))
    if device.type == 'cuda':
        return f'{torch.cuda.get_device_name(device)} ({device})'
    return f'CPU, {counted(torch.get_num_threads(), "thread")}' if device.type == 'cpu' else str(device)


def describe_start(runner: Runner) -> str:
    """Return whether a training is new or resumed."""
    if runner._resume and runner._load_from is not None:
        return (f'resumed from {short_path(source_of(runner))} after '
                f'{counted(runner.epoch, "epoch")}, {counted(runner.iter, "iteration")}')
    return f'new, from {describe_weights(runner)}'


def describe_weights(runner: Runner) -> str:
    """Return where the weights are from."""
    if runner._load_from is not None:
        return short_path(source_of(runner))
    return 'the weights that init_cfg names' if any_pretrained(runner.cfg.get('model')) else 'random weights'


def any_pretrained(node: Any) -> bool:
    """Return whether a model's config names pretrained weights."""
    if isinstance(node, Mapping):
        init = node.get('init_cfg')
        return (isinstance(init, Mapping) and 'checkpoint' in init) or any(map(any_pretrained, node.values()))
    return isinstance(node, (list, tuple)) and any(map(any_pretrained, node))

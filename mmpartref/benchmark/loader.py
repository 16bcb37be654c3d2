"""Throughput of the data loader and time of each transform."""
import copy
import time
from typing import NamedTuple

from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmpartref.datasets.referring.samplers.expression_batch_sampler import count_expressions
from mmpartref.engine.hooks.worker_error_hook import raise_error, return_errors
from mmpartref.errors import InputError
from mmpartref.registry import DATASETS, SCOPE


class LoaderSpeed(NamedTuple):
    """Throughput of a data loader."""
    images_per_second: float
    expressions_per_second: float


def time_loader(dataloader: ConfigDict, workers: int, batches: int, warm_up: int) -> LoaderSpeed:
    """Time loading ``batches`` batches of a dataloader, after ``warm_up`` batches.

    Args:
        dataloader: as in a config.
        workers: number of worker processes; 0 for none.

    Raises:
        ValueError: the dataset has too few batches.
    """
    cfg = copy.deepcopy(dataloader)
    cfg.update(num_workers=workers, persistent_workers=False)
    with DefaultScope.overwrite_default_scope(SCOPE):
        loader = Runner.build_dataloader(cfg, seed=0)
    return_errors(loader)
    if len(loader) < warm_up + batches:
        raise InputError(f'{warm_up + batches} batches are needed but the dataset has {len(loader)}; use fewer, or '
                         'make them smaller with --batch-size')
    images = expressions = 0
    began = time.perf_counter()
    for number, batch in enumerate(loader):
        raise_error(batch)
        if number >= warm_up:
            images += len(batch['inputs'])
            expressions += sum(len(sample.expressions) for sample in batch['data_samples'])
        if number + 1 == warm_up:
            began = time.perf_counter()
        if number + 1 == warm_up + batches:
            break
    seconds = time.perf_counter() - began
    return LoaderSpeed(images / seconds, expressions / seconds)


def time_transforms(dataset: ConfigDict, images: int) -> dict[str, float]:
    """Return the seconds per image of each transform of a dataset, in this process, over the first ``images``."""
    with DefaultScope.overwrite_default_scope(SCOPE):
        built = DATASETS.build(copy.deepcopy(dataset))
    count_expressions(built)  # reads the json
    steps = built.pipeline.transforms
    seconds = dict.fromkeys(['entry', *(type(step).__name__ for step in steps)], 0.0)
    images = min(images, len(built))
    for index in range(images):
        began = time.perf_counter()
        item = built.get_data_info(index)
        seconds['entry'] += time.perf_counter() - began
        for step in steps:
            began = time.perf_counter()
            item = step(item)
            seconds[type(step).__name__] += time.perf_counter() - began
    return {name: each / images for name, each in seconds.items()}

"""How many photos and expressions a second the loader delivers."""
import copy
import time
from dataclasses import dataclass

from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmpartref.datasets.referring.samplers.expression_batch_sampler import count_expressions
from mmpartref.errors import InputError
from mmpartref.registry import DATASETS, SCOPE


@dataclass(frozen=True)
class Delivered:
    """What came in ``seconds``."""
    photos: int
    expressions: int
    seconds: float

    @property
    def photos_per_second(self) -> float:
        return self.photos / self.seconds

    @property
    def expressions_per_second(self) -> float:
        return self.expressions / self.seconds


def time_loader(dataloader: ConfigDict, workers: int, batches: int, warm_up: int) -> Delivered:
    """Take ``batches`` batches from a config's dataloader, after ``warm_up`` that do not count.

    Args:
        dataloader: as in a config.
        workers: processes that read and decode; 0 reads in this one.

    Raises:
        ValueError: the data set has no so many batches.
    """
    cfg = copy.deepcopy(dataloader)
    cfg.update(num_workers=workers, persistent_workers=False)
    with DefaultScope.overwrite_default_scope(SCOPE):
        loader = Runner.build_dataloader(cfg, seed=0)
    if len(loader) < warm_up + batches:
        raise InputError(f'{warm_up + batches} batches were asked for but the data set has {len(loader)}; ask for '
                         'fewer, or make them smaller with --batch-size')
    photos = expressions = 0
    began = time.perf_counter()
    for number, batch in enumerate(loader):
        if number >= warm_up:
            photos += len(batch['inputs'])
            expressions += sum(len(sample.expressions) for sample in batch['data_samples'])
        if number + 1 == warm_up:
            began = time.perf_counter()
        if number + 1 == warm_up + batches:
            break
    return Delivered(photos, expressions, time.perf_counter() - began)


def time_transforms(dataset: ConfigDict, photos: int) -> dict[str, float]:
    """Return seconds per photo of each step of a data set's pipeline, in this process, over the first ``photos``."""
    with DefaultScope.overwrite_default_scope(SCOPE):
        built = DATASETS.build(copy.deepcopy(dataset))
    count_expressions(built)  # reads the json
    steps = built.pipeline.transforms
    seconds = dict.fromkeys(['entry', *(type(step).__name__ for step in steps)], 0.0)
    photos = min(photos, len(built))
    for index in range(photos):
        began = time.perf_counter()
        item = built.get_data_info(index)
        seconds['entry'] += time.perf_counter() - began
        for step in steps:
            began = time.perf_counter()
            item = step(item)
            seconds[type(step).__name__] += time.perf_counter() - began
    return {name: each / photos for name, each in seconds.items()}

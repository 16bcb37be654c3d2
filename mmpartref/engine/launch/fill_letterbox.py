"""The colour of the letterbox margins, from the mean that the model's preprocessor subtracts."""
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from mmpartref.datasets.transforms.letterbox import Letterbox
from mmpartref.engine.launch.detector_config import nodes
from mmpartref.models.data_preprocessor import ReferringDataPreprocessor
from mmpartref.registry import MODELS, TRANSFORMS, argument, resolve


def fill_letterbox(cfg: Config) -> None:
    """Give every ``Letterbox`` of a config that names no ``fill`` the preprocessor's mean, which normalisation makes 0.

    Changes ``cfg`` in place, and only where that mean is not the default fill already. A model without a
    ``ReferringDataPreprocessor``, a detector for example, leaves it unchanged.
    """
    mean = mean_colour(cfg)
    if mean is None:
        return
    for name in ('train', 'val', 'test'):
        changed = False
        for step in letterboxes(cfg.get(f'{name}_dataloader') or {}):
            if 'fill' not in step and tuple(argument(TRANSFORMS, step, 'fill')) != mean:
                step['fill'] = mean
                changed = True
        if changed:
            print_log(f'{name}_dataloader: Letterbox fill={mean}, the mean of model.data_preprocessor', 'current')


def mean_colour(cfg: Mapping[str, Any]) -> tuple[float, ...] | None:
    """Return the mean (R, G, B), in grey levels, of a config's ``ReferringDataPreprocessor``, None without one."""
    # mmengine's runner takes it next to the model as well.
    node = (cfg.get('model') or {}).get('data_preprocessor') or cfg.get('data_preprocessor') or {}
    kind = resolve(MODELS, node.get('type'))
    if not isinstance(kind, type) or not issubclass(kind, ReferringDataPreprocessor):
        return None
    return tuple(float(level) for level in argument(MODELS, node, 'mean'))


def letterboxes(dataloader: Mapping[str, Any]) -> list[Any]:
    """Return the config of every ``Letterbox`` in the pipelines of a dataloader's datasets."""
    steps = [step for node in nodes(dataloader) for step in nodes(node.get('pipeline') or [])]
    kinds = [resolve(TRANSFORMS, step.get('type')) for step in steps]
    return [step for step, kind in zip(steps, kinds, strict=True)
            if isinstance(kind, type) and issubclass(kind, Letterbox)]

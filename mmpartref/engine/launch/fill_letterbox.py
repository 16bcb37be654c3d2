"""Colour of the letterbox margins: the mean that the model's preprocessor subtracts."""
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from mmpartref.datasets.transforms.letterbox import Letterbox
from mmpartref.datasets.transforms.random_part_zoom import RandomPartZoom
from mmpartref.engine.config.config_nodes import builds, nodes
from mmpartref.models.data_preprocessor import ReferringDataPreprocessor
from mmpartref.registry import MODELS, TRANSFORMS, argument


def fill_letterbox(cfg: Config) -> None:
    """Set ``fill`` of every ``Letterbox`` and ``RandomPartZoom`` that has none to the mean of the preprocessor.

    Normalisation maps it to 0.

    The config is unchanged where that is the default fill, and for models without a ``ReferringDataPreprocessor``,
    such as detectors.
    """
    mean = mean_colour(cfg)
    if mean is None:
        return
    for name in ('train', 'val', 'test'):
        changed = False
        for step in steps_of(cfg.get(f'{name}_dataloader') or {}, Letterbox, RandomPartZoom):
            if 'fill' not in step and tuple(argument(TRANSFORMS, step, 'fill')) != mean:
                step['fill'] = mean
                changed = True
        if changed:
            print_log(f'{name}_dataloader: fill={mean} of the margins, the mean of model.data_preprocessor', 'current')


def fill_zoom(cfg: Config) -> None:
    """Make the pipelines of validation and test keep the images' own pixels, if the model looks at them again."""
    if (cfg.get('model') or {}).get('zoom') is not None:
        for name in ('val', 'test'):
            for step in letterboxes(cfg.get(f'{name}_dataloader') or {}):
                step['keep_original'] = True


def mean_colour(cfg: Mapping[str, Any]) -> tuple[float, ...] | None:
    """Return the mean (R, G, B), in grey levels, of a config's ``ReferringDataPreprocessor``, None without one."""
    # mmengine's runner also accepts it next to the model.
    node = (cfg.get('model') or {}).get('data_preprocessor') or cfg.get('data_preprocessor') or {}
    if not builds(MODELS, node, ReferringDataPreprocessor):
        return None
    return tuple(float(level) for level in argument(MODELS, node, 'mean'))


def letterboxes(dataloader: Mapping[str, Any]) -> list[Any]:
    """Return the config of every ``Letterbox`` in the pipelines of a dataloader's datasets."""
    return steps_of(dataloader, Letterbox)


def steps_of(dataloader: Mapping[str, Any], *kinds: type) -> list[Any]:
    """Return the config of every transform of some classes in the pipelines of a dataloader's datasets."""
    steps = [step for node in nodes(dataloader) for step in nodes(node.get('pipeline') or [])]
    return [step for step in steps if any(builds(TRANSFORMS, step, kind) for kind in kinds)]

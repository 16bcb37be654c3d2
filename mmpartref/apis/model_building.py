"""From a config and a checkpoint to a model that answers, without data sets or a runner."""
import copy
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope

from mmpartref.datasets.coco.records import plain
from mmpartref.datasets.partimagenet.partimagenet_names import PART_ALIASES, PARTS
from mmpartref.engine.hooks.detector_categories_hook import META_KEY
from mmpartref.engine.launch.config_check import build_errors_explained, read_config_file
from mmpartref.engine.launch.detector_config import nodes, require_operations, set_categories
from mmpartref.engine.launch.fill_letterbox import fill_letterbox
from mmpartref.errors import ConfigError, InputError, MissingFileError
from mmpartref.models.weights.checkpoints import load_weights, read_outline
from mmpartref.registry import MODELS, SCOPE, TRANSFORMS

# Steps of a test pipeline that need annotations, which one's own photo does not have.
ANNOTATION_STEPS = ('LoadReferringMasks', 'DrawExpressions', 'ConstantExpression')


def read_config(config: str | Path | Config) -> Config:
    """Return a copy of a config, read from its file where a path is given.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigError: it has no model, or no test pipeline.
    """
    if isinstance(config, Config):
        config = copy.deepcopy(config)
    elif Path(config).is_file():
        config = read_config_file(config)
    else:
        raise MissingFileError(f'there is no config {config}')
    if not config.get('model') or not ((config.get('test_dataloader') or {}).get('dataset') or {}).get('pipeline'):
        raise ConfigError(f'{name_of(config)} has no model or no test_dataloader.dataset.pipeline, which prepares the '
                          'photo')
    return config


def name_of(config: Config) -> str:
    """Return the name of a config's file, for messages."""
    return Path(config.filename).name if config.filename else 'this config'


def choose_device(device: str | torch.device | None) -> torch.device:
    """Return a device; None and ``'auto'`` take CUDA where there is one.

    Raises:
        ValueError: torch knows no such device, or CUDA is asked for and missing.
    """
    if device is None or device == 'auto':
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise InputError(f"device={device!r} is none that torch knows; give 'cpu', 'cuda', 'cuda:1', ...") from None
    if chosen.type == 'cuda' and not torch.cuda.is_available():
        raise InputError(f"device='{chosen}' was asked for, but torch sees no CUDA device here; use 'cpu' or 'auto'")
    return chosen


def build_model(config: Config, checkpoint: str | Path | None) -> BaseModel:
    """Build a config's model with a checkpoint's weights, on the CPU.

    Without a checkpoint it gets what ``init_cfg`` names, as in ``tools/test.py``, or random weights, and says so.

    Raises:
        ConfigError: a detector's compiled operations are missing.
        ValueError: a detector's checkpoint does not say what its labels mean.
        WeightsError: see ``load_weights``.
    """
    require_operations(config)
    if checkpoint is not None and not Path(checkpoint).is_file():
        raise MissingFileError(f'there is no checkpoint {checkpoint}')
    if config.model.get('type') == 'ReferringDetector' and not config.model.get('categories'):
        find_categories(config, checkpoint)
    with DefaultScope.overwrite_default_scope(SCOPE):
        with build_errors_explained():
            model = MODELS.build(config.model)
        if checkpoint is not None:
            print_log(f'{load_weights(model, checkpoint, name_of(config))} from {checkpoint}', 'current')
        elif names_weights(config):
            model.init_weights()
        else:
            print_log('no checkpoint: the weights are random, and so is every answer', 'current', logging.WARNING)
    return model.eval()


def names_weights(config: Config) -> bool:
    """Tell whether the ``init_cfg`` of any part of the model names a checkpoint."""
    return any(isinstance(node.get('init_cfg'), Mapping) and 'checkpoint' in node['init_cfg']
               for node in nodes(config.model))


def find_categories(config: Config, checkpoint: str | Path | None) -> None:
    """Give a detector its categories without a json: from its checkpoint, or PartImageNet's for one of COCO's objects.

    Raises:
        ValueError: the checkpoint does not say what its labels mean.
    """
    if config.model.get('targets') == 'coco_objects':
        # They only tell which object an expression is about.
        set_categories(config, partimagenet_categories(), "PartImageNet's names")
        return
    if checkpoint is None:
        return  # the detector's constructor says what is missing
    meta = read_outline(checkpoint).get('meta') or {}
    if META_KEY not in meta:
        raise InputError(f'{checkpoint} does not say which categories its labels stand for; give model.categories '
                         'in the config, as dict(name=..., super_category=..., part=...) each')
    set_categories(config, meta[META_KEY], str(checkpoint))


def partimagenet_categories() -> list[dict[str, str]]:
    """Return PartImageNet's 40 categories as a ``ReferringDetector`` takes them."""
    return [{'name': f'{owner} {part}', 'super_category': plain(owner), 'part': spoken_part(part)}
            for owner, parts in PARTS.items() for part in parts]


def spoken_part(part: str) -> str:
    """Return a part's name of PartImageNet as expressions have it: "Tier" -> "tire"."""
    return PART_ALIASES.get(plain(part), plain(part))


def build_pipeline(config: Config) -> list[Any]:
    """Build what follows ``LoadImage`` in the test pipeline, its letterbox filled as ``fill_letterbox`` does in place.

    Raises:
        ConfigError: it does not begin with ``LoadImage``, or a step needs annotations.
    """
    steps = config.test_dataloader.dataset.pipeline
    kinds = [str(step['type']).split('.')[-1] for step in steps]
    if kinds[0] != 'LoadImage':
        raise ConfigError(f"{name_of(config)}: the test pipeline begins with {kinds[0]}; photos of one's own are read "
                          'in place of LoadImage, which has to be its first step')
    needy = [kind for kind in kinds if kind in ANNOTATION_STEPS]
    if needy:
        raise ConfigError(f"{name_of(config)}: the test pipeline's {needy[0]} needs annotations, which one's own photo "
                          'does not have; use a config without it')
    fill_letterbox(config)
    with DefaultScope.overwrite_default_scope(SCOPE):
        return [TRANSFORMS.build(step) for step in steps[1:]]

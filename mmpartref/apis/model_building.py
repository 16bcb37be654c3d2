"""Build a model for inference from a config and a checkpoint, without datasets or a runner."""
import copy
import logging
import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope

from mmpartref.argument_checks import check_path
from mmpartref.datasets.coco.records import plain
from mmpartref.datasets.partimagenet.partimagenet_names import PART_ALIASES, PARTS
from mmpartref.datasets.transforms.letterbox import Letterbox
from mmpartref.engine.config.build_errors import build_errors_explained
from mmpartref.engine.config.config_names import find_config
from mmpartref.engine.config.config_nodes import builds, nodes, type_name
from mmpartref.engine.config.config_values import check_values
from mmpartref.engine.config.model_index import published_weights
from mmpartref.engine.config.read_config import read_config_file
from mmpartref.engine.hooks.detector_categories_hook import META_KEY
from mmpartref.engine.launch.detector_config import require_operations, set_categories
from mmpartref.engine.launch.fill_letterbox import fill_letterbox, fill_zoom
from mmpartref.engine.launch.input_size import apply_input_size
from mmpartref.errors import ConfigError, InputError, InputTypeError, MissingFileError
from mmpartref.files.plain_file import check_plain
from mmpartref.images.image_arrays import describe
from mmpartref.models.detectors import ReferringDetector
from mmpartref.models.segmentors.referring_segmentor import ReferringSegmentor
from mmpartref.models.weights.checkpoints import load_weights, read_outline
from mmpartref.registry import MODELS, SCOPE, TRANSFORMS
from mmpartref.text import shown, shown_name

# Steps of a test pipeline that need annotations.
ANNOTATION_STEPS = ('LoadReferringMasks', 'DrawExpressions', 'ConstantExpression')


def read_config(config: str | Path | Config) -> Config:
    """Return a config from its file, or a copy of a loaded one.

    Raises:
        TypeError: it is neither.
        FileNotFoundError: the file does not exist.
        ConfigError: the config has no model or no test pipeline, or a value cannot be used.
    """
    if isinstance(config, Config):
        config = copy.deepcopy(config)
    elif isinstance(config, Mapping):
        raise InputTypeError('the config should be a path or a Config, got a dict; give mmengine.config.Config(...) of '
                             'it')
    else:
        config = read_config_file(config_path(config))
    dataset = _inside(_inside(config, 'test_dataloader'), 'dataset')
    pipeline = dataset.get('pipeline')
    if not (_is_node(config.get('model')) and isinstance(pipeline, (list, tuple)) and pipeline
            and all(map(_is_node, pipeline))):
        raise ConfigError(f'{name_of(config)} has no model or no test_dataloader.dataset.pipeline, which prepares the '
                          'images; give a complete config')
    apply_input_size(config)
    check_values(config)
    return config


def _inside(node: Any, key: str) -> Mapping[str, Any]:
    """Return a dict inside another, or an empty one if there is none."""
    found = node.get(key)
    return found if isinstance(found, Mapping) else {}


def _is_node(value: object) -> bool:
    """Return whether a value of a config is a dict from which a registry builds an object."""
    return isinstance(value, Mapping) and (isinstance(value.get('type'), str) or callable(value.get('type')))


def config_path(config: object) -> str:
    """Return the path of a config from a path or the name of a packaged one; raises as ``existing_file``."""
    text = check_path(config, 'the config')
    return existing_file(text if not text or os.path.exists(text) else find_config(text), 'config')


def existing_file(path: object, kind: str) -> str:
    """Return the path of a plain file; ``kind`` is 'config' or 'checkpoint', for messages.

    Raises:
        TypeError: it is not a path.
        ValueError: it is empty, or names a folder or a device.
        FileNotFoundError: it does not exist.
    """
    text = check_path(path, f'the {kind}')
    name = f'the {kind} {shown_name(text)}'
    if not text:
        raise InputError(f'the path of a {kind} is empty; name a file')
    if not os.path.exists(text):
        raise MissingFileError(f'{name} does not exist')
    check_plain(os.stat(text), name)
    return text


def name_of(config: Config) -> str:
    """Return the file name of a config, for messages."""
    return Path(config.filename).name if config.filename else 'this config'


def choose_device(device: str | torch.device | None) -> torch.device:
    """Return a device; None and ``'auto'`` choose CUDA where it is available.

    Raises:
        TypeError: it is neither a string nor a device.
        ValueError: the device is unknown, or not available.
    """
    if not isinstance(device, (str, torch.device, type(None))):
        raise InputTypeError(f"device={shown(device)} should be a string such as 'cpu' or 'cuda:1', or a torch.device")
    if device is None or device == 'auto':
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise InputError(f"device={shown(device)} is not a torch device; give 'cpu', 'cuda', 'cuda:1', ...") from None
    if chosen.type == 'cuda' and not torch.cuda.is_available():
        raise InputError(f"device='{chosen}' is not available, torch finds no CUDA device; use 'cpu' or 'auto'")
    try:
        torch.zeros(1, device=chosen).cpu()
    except Exception as error:  # of many types, e.g. ModuleNotFoundError
        raise InputError(f"device='{chosen}' cannot be used ({describe(error)}); use 'cpu' or 'auto'") from None
    return chosen


@contextmanager
def random_states_kept() -> Iterator[None]:
    """Restore the random states of torch, numpy and Python when the context ends.

    What is drawn inside still depends on the state before, e.g. on ``torch.manual_seed``.
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 (mmengine and others use it)
    # On a GPU only where one is in use: reading a state would initialise it, and forbid to fork.
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(gpus):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002


def build_model(config: Config, checkpoint: str | Path | None, key: str | None = None) -> BaseModel:
    """Build a config's model on the CPU, in evaluation mode, and load a checkpoint.

    Without a checkpoint the weights are those of ``init_cfg``, as in ``tools/test.py``, or random with a warning.
    ``key`` is that of ``load_weights``. The global random states stay as they are.

    Raises:
        ConfigError: the compiled operations of a detector are missing.
        FileNotFoundError, TypeError, ValueError: the checkpoint is not a plain file, ``key`` is not a name or given
            without a checkpoint; see also ``set_detector_categories``.
        WeightsError: see ``load_weights``.
    """
    if key is not None and not (isinstance(key, str) and key):
        raise InputTypeError(f"weights_key={shown(key)} should be the name of an entry, e.g. 'ema_state_dict', or None")
    if checkpoint is not None:
        checkpoint = existing_file(checkpoint, 'checkpoint')
    elif key is not None:
        raise InputError(f'weights_key={shown(key)} is the name of an entry of a checkpoint, but there is none; give '
                         'weights')
    require_operations(config)
    if builds(MODELS, config.model, ReferringDetector) and not config.model.get('categories'):
        set_detector_categories(config, checkpoint)
    with DefaultScope.overwrite_default_scope(SCOPE), random_states_kept():
        with build_errors_explained():
            model = MODELS.build(config.model)
        if checkpoint is not None:
            print_log(f'{load_weights(model, checkpoint, name_of(config), key=key)} from {checkpoint}', 'current')
        elif names_weights(config):
            model.init_weights()
        else:
            print_log('no checkpoint: the weights and predictions are random', 'current', logging.WARNING)
    return model.eval()


def published_weights_of(model: str | Path | Config) -> Path | None:
    """Return the weights that the model index has for the name of a packaged config; see ``published_weights``."""
    return None if isinstance(model, Config) else published_weights(model)


def choose_weights(model: str | Path, config: Config, checkpoint: str | Path | None) -> str | Path | None:
    """Return the given checkpoint, or the weights of the model index; None for those that the config names.

    Raises:
        ConfigError: there are none.
    """
    weights = checkpoint or published_weights_of(model)
    if not weights and not names_weights(config):
        raise ConfigError(f'{model} names no weights (init_cfg), so all predictions would be random; give --checkpoint')
    return weights


def model_info(config: Config, weights: str | Path | None) -> dict[str, Any]:
    """Return ``'description'``, ``'config'`` and ``'checkpoint'`` of a model, for the json of its predictions."""
    return {'description': 'predicted by mmpartref', 'config': config.filename,
            'checkpoint': None if weights is None else os.fsdecode(weights)}


def names_weights(config: Config) -> bool:
    """Return whether any ``init_cfg`` of the model names a checkpoint."""
    return any(isinstance(node.get('init_cfg'), Mapping) and 'checkpoint' in node['init_cfg']
               for node in nodes(config.model))


def set_detector_categories(config: Config, checkpoint: str | Path | None) -> None:
    """Set a detector's categories from its checkpoint, or PartImageNet's for a detector of COCO objects.

    Raises:
        ValueError: the checkpoint has no categories.
    """
    if config.model.get('targets') == 'coco_objects':
        # They only map an expression to an object.
        set_categories(config, partimagenet_categories(), "PartImageNet's names")
        return
    if checkpoint is None:
        return  # the detector's constructor raises
    meta = read_outline(checkpoint).get('meta') or {}
    if META_KEY not in meta:
        raise InputError(f'{checkpoint} has no categories for its labels; set model.categories in the config, as a '
                         'list of dict(name=..., super_category=..., part=...)')
    set_categories(config, meta[META_KEY], str(checkpoint))


def partimagenet_categories() -> list[dict[str, str]]:
    """Return PartImageNet's 40 categories in the format of ``ReferringDetector``."""
    return [{'name': f'{owner} {part}', 'super_category': plain(owner), 'part': spoken_part(part)}
            for owner, parts in PARTS.items() for part in parts]


def spoken_part(part: str) -> str:
    """Return a PartImageNet part name as used in expressions: "Tier" -> "tire"."""
    return PART_ALIASES.get(plain(part), plain(part))


def build_pipeline(config: Config) -> list[Any]:
    """Build the transforms after ``LoadImage`` in the test pipeline; ``fill_letterbox`` changes the config in place.

    Raises:
        ConfigError: the first transform is not ``LoadImage``, or one needs annotations.
    """
    steps = config.test_dataloader.dataset.pipeline
    kinds = [type_name(step) for step in steps]
    if kinds[0] != 'LoadImage':
        raise ConfigError(f"{name_of(config)}: the test pipeline starts with {kinds[0]}; its first step must be "
                          'LoadImage, which the inferencer replaces')
    unsupported = [kind for kind in kinds if kind in ANNOTATION_STEPS]
    if unsupported:
        raise ConfigError(f'{name_of(config)}: {unsupported[0]} in the test pipeline needs annotations, which '
                          'inference does not have; use a config without it')
    fill_letterbox(config)
    fill_zoom(config)
    with DefaultScope.overwrite_default_scope(SCOPE), build_errors_explained():
        return [TRANSFORMS.build(step) for step in steps[1:]]


def load_segmentor(config: Config, checkpoint: str | Path | None) -> ReferringSegmentor:
    """Build a config's ``ReferringSegmentor`` in evaluation mode, with a checkpoint or untrained, for an export.

    Raises:
        ConfigError: the model is not a ``ReferringSegmentor``.
        WeightsError: see ``load_weights``.
    """
    if not builds(MODELS, config.get('model') or {}, ReferringSegmentor):
        raise ConfigError(f'only a ReferringSegmentor can be exported; model.type of {config.filename} is '
                          f"{(config.get('model') or {}).get('type')!r}")
    if config.model.get('zoom') is not None:
        print_log('zoom is not part of the graph: the exported file makes one pass', 'current', logging.WARNING)
    if config.model.get('amp'):
        print_log('amp is not part of the graph: the exported file computes in float32', 'current', logging.WARNING)
    # A compiled model cannot be traced.
    settings = {name: value for name, value in config.model.items() if name != 'compile'}
    with DefaultScope.overwrite_default_scope(SCOPE), build_errors_explained():
        model = MODELS.build(settings)
    if checkpoint is not None:
        load_weights(model, checkpoint, name_of(config))
    return model.eval()


def letterbox_of(config: Config) -> Any:
    """Build the ``Letterbox`` of a config's test pipeline after ``fill_letterbox`` in place; None without one."""
    fill_letterbox(config)
    dataset = (config.get('test_dataloader') or {}).get('dataset') or {}
    for step in dataset.get('pipeline') or []:
        if builds(TRANSFORMS, step, Letterbox):
            with DefaultScope.overwrite_default_scope(SCOPE):
                return TRANSFORMS.build(step)
    return None

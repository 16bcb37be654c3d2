"""Check a documented config: keys, datasets, and the model built on the meta device."""
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from doc_rules import ABSENT_FILES, NOT_BUILT
from doc_tools import CheckError
from mmengine.config import Config
from mmengine.fileio import join_path
from mmengine.registry import DefaultScope

from mmpartref.engine.config.config_keys import check_custom_keys
from mmpartref.engine.config.config_nodes import nodes
from mmpartref.engine.launch.build_runner import DATALOADERS, load_config
from mmpartref.engine.launch.detector_config import fill_categories
from mmpartref.engine.launch.fill_labels import fill_labels
from mmpartref.registry import DATASETS, METRICS, MODELS, SCOPE

_built: dict[str, torch.nn.Module] = {}


def build_on_meta(model: Config) -> torch.nn.Module:
    """Build a model on the meta device, without weights, once per test run."""
    for node in nodes(model):
        if 'init_cfg' in node:
            node.init_cfg = None
    key = str(model)
    if key not in _built:
        with torch.device('meta'):
            _built[key] = MODELS.build(model)
    return _built[key]


def files_of(dataset: Mapping[str, Any]) -> list[str]:
    """Return the json files of a dataset's config, or of the datasets that it mixes."""
    return [join_path(each.get('data_root') or '', each['ann_file']) for each in nodes(dataset) if 'ann_file' in each]


def check_config(path: str | Path, options: Mapping[str, Any] | None = None, data_root: str | None = None) -> Config:
    """Check everything of a config that needs neither weights nor a training step.

    Raises:
        CheckError: the config cannot be used.
    """
    try:
        cfg = load_config(path, options, data_root=data_root)
        with DefaultScope.overwrite_default_scope(SCOPE):
            loaders = [cfg[name] for name in DATALOADERS if cfg.get(name)]
            if not any(file.startswith(ABSENT_FILES) for loader in loaders for file in files_of(loader.dataset)):
                fill_categories(cfg)
                fill_labels(cfg)
                for loader in loaders:
                    DATASETS.build(loader.dataset)
            for evaluator in cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]:
                METRICS.build(evaluator)
            if not {node.get('type') for node in nodes(cfg.model)} & set(NOT_BUILT):
                check_custom_keys(build_on_meta(cfg.model), cfg.get('optim_wrapper'))
    except Exception as error:
        raise CheckError(f'{Path(path).name}: {type(error).__name__}: {error}') from error
    return cfg

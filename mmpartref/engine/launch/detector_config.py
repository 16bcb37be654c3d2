"""Categories of a detector's config, and the packages that it needs."""
import importlib
import os

from mmengine.config import Config
from mmengine.fileio import exists, join_path
from mmengine.logging import print_log
from mmengine.registry import DefaultScope

from mmpartref.datasets.coco.read_coco import read_names
from mmpartref.datasets.transforms import RandomDetectorFlip
from mmpartref.engine.config.config_nodes import builds, is_from, leaf_datasets, nodes, type_name
from mmpartref.errors import ConfigError
from mmpartref.models.detectors import ReferringDetector
from mmpartref.registry import DATASETS, MODELS, SCOPE, TRANSFORMS, argument

NEEDS_OPS = ("needs mmdet and mmcv with compiled operations ({found}); uninstall mmcv-lite and install "
             "'mmpartref[all]' as the README shows; CRIS does not need them")


def require_operations(cfg: Config) -> None:
    """Check that mmdet and mmcv's compiled operations can be imported, if the config has classes of mmdet.

    Raises:
        ConfigError: they cannot.
    """
    uses_mmdet = any(is_from('mmdet', each) for each in nodes(dict(cfg.items())))
    if not uses_mmdet and not builds(MODELS, cfg.get('model'), ReferringDetector):
        return
    try:
        importlib.import_module('mmcv.ops')
        importlib.import_module('mmdet.models')
    except ImportError as error:
        name = os.path.basename(cfg.filename or 'this config')
        raise ConfigError(f'{name} {NEEDS_OPS.format(found=error)}') from error


def fill_categories(cfg: Config) -> None:
    """Set ``categories`` of a ``ReferringDetector``, where it has none, of its heads, data and ``RandomDetectorFlip``.

    They are read by name from the json of the training split or, if that does not exist, of validation or test.

    Raises:
        ConfigError: none of these files exists.
    """
    if not builds(MODELS, cfg.get('model'), ReferringDetector) or cfg.model.get('categories'):
        return
    datasets = [each for name in ('train', 'val', 'test')
                for each in leaf_datasets((cfg.get(f'{name}_dataloader') or {}).get('dataset'))]
    files = [join_path(each.get('data_root') or '', each.ann_file) for each in datasets
             if isinstance(each.get('ann_file'), str)]
    found = next((file for file in files if exists(file)), None)
    if found is None:
        raise ConfigError(f'the categories of the detector are read from {", ".join(files) or "ann_file"}, none of '
                          'which exists; set data_root and ann_file of the dataloaders')
    naming = next((each for each in datasets if not is_from('mmdet', each)), None)
    if naming is None:
        raise ConfigError('ReferringDetector has no categories, and neither val_dataloader nor test_dataloader has a '
                          'PartReferDataset to interpret their names; set model.categories')
    with DefaultScope.overwrite_default_scope(SCOPE):
        meanings = DATASETS.build({**naming, 'lazy_init': True, 'pipeline': []})
    parts = read_names(found, meanings.name_category, meanings.level)
    categories = [{'name': parts.categories[key].name, **name._asdict()} for key, name in parts.names.items()]
    set_categories(cfg, categories, found)
    for each in datasets:
        if is_from('mmdet', each) and type_name(each) == 'CocoDataset':
            each.metainfo = {'classes': tuple(category.name for category in parts.categories.values())}
    for step in nodes([each.get('pipeline') or [] for each in datasets]):
        if builds(TRANSFORMS, step, RandomDetectorFlip) and not step.get('categories'):
            step['categories'] = tuple(category.name for category in parts.categories.values())  # type: ignore[index]


def set_categories(cfg: Config, categories: list[dict[str, str]], source: str) -> None:
    """Set ``cfg.model.categories``, and with ``targets='parts'`` their number in the detector's heads.

    Args:
        cfg: changed in place.
        categories: arguments of a ``PartCategory`` each.
        source: name of their file, for the log.
    """
    cfg.model.categories = categories
    print_log(f'{len(categories)} categories from {source}', 'current')
    if argument(MODELS, cfg.model, 'targets') == 'parts':
        _set_classes(cfg, len(categories))


def _set_classes(cfg: Config, count: int) -> None:
    for node in nodes(cfg.model.detector):
        if 'num_classes' in node and type_name(node) != 'RPNHead' and node['num_classes'] != count:
            print_log(f"detector: {type_name(node)} num_classes {node['num_classes']} -> {count}, as in the json",
                      'current')
            node['num_classes'] = count  # type: ignore[index]

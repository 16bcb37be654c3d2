"""What a detector's config takes from the data and from the installation."""
import importlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.fileio import exists, join_path
from mmengine.logging import print_log
from mmengine.registry import DefaultScope

from mmpartref.datasets.coco.read_coco import CocoPartsReader, read_json
from mmpartref.datasets.referring.expressions import name_categories
from mmpartref.errors import ConfigError
from mmpartref.registry import DATASETS, SCOPE

NEEDS_OPS = ("needs mmdet and mmcv with its compiled operations ({found}): uninstall mmcv-lite and follow the README's "
             "lines for pip install 'mmpartref[all]'; CRIS runs without them")


def nodes(value: Any) -> Iterator[Mapping]:
    """Yield every dict inside a config, outermost first."""
    if isinstance(value, Mapping):
        yield value
        for each in value.values():
            yield from nodes(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from nodes(each)


def require_operations(cfg: Config) -> None:
    """Check that what the config takes from mmdet can be built here.

    Raises:
        ConfigError: mmdet or mmcv's compiled operations are missing.
    """
    kinds = {str(node.get('type')) for node in nodes(cfg.to_dict())}
    if not any(kind.startswith('mmdet.') for kind in kinds) and cfg.get('model', {}).get('type') != 'ReferringDetector':
        return
    try:
        importlib.import_module('mmcv.ops')
        importlib.import_module('mmdet.models')
    except ImportError as error:
        name = os.path.basename(cfg.filename or 'this config')
        raise ConfigError(f'{name} {NEEDS_OPS.format(found=error)}') from None


def fill_categories(cfg: Config) -> None:
    """Give a ``ReferringDetector`` without ``categories`` those of its json, and its heads and CocoDataset the same.

    Names are read, never ids: the json of the train split counts, where it is missing that of val or test.

    Raises:
        ConfigError: none of them is there.
    """
    model = cfg.get('model') or {}
    if model.get('type') != 'ReferringDetector' or model.get('categories'):
        return
    datasets = {name: cfg[f'{name}_dataloader'].dataset for name in ('train', 'val', 'test')
                if cfg.get(f'{name}_dataloader')}
    files = {name: join_path(each.get('data_root') or '', each.ann_file) for name, each in datasets.items()}
    found = next((file for file in files.values() if exists(file)), None)
    if found is None:
        raise ConfigError(f'the categories of the detector are read from {", ".join(files.values())}, none of which '
                          'exists; set data_root')
    naming = next((each for each in datasets.values() if not str(each.type).startswith('mmdet.')), None)
    if naming is None:
        raise ConfigError('ReferringDetector has no categories, and neither val_dataloader nor test_dataloader has a '
                          'PartReferDataset that tells what its names mean')
    with DefaultScope.overwrite_default_scope(SCOPE):
        meanings = DATASETS.build({**naming, 'lazy_init': True, 'pipeline': []})
    categories = CocoPartsReader(found).read_categories(read_json(found)['categories'])
    names = name_categories(found, categories, meanings.name_category)
    set_categories(cfg, [{'name': categories[key].name, **name._asdict()} for key, name in names.items()], found)
    for each in datasets.values():
        if str(each.type) == 'mmdet.CocoDataset':
            each.metainfo = {'classes': tuple(categories[key].name for key in names)}


def set_categories(cfg: Config, categories: list[dict[str, str]], source: str) -> None:
    """Write categories into a detector's config, and their number into its heads; ``source`` is for the log."""
    cfg.model.categories = categories
    print_log(f'{len(categories)} categories from {source}', 'current')
    if cfg.model.get('targets', 'parts') == 'parts':
        _set_classes(cfg, len(categories))


def _set_classes(cfg: Config, count: int) -> None:
    for node in nodes(cfg.model.detector):
        if 'num_classes' in node and node.get('type') != 'RPNHead' and node['num_classes'] != count:
            print_log(f"detector: {node.get('type')} num_classes {node['num_classes']} -> {count}, as the json has",
                      'current')
            node['num_classes'] = count  # type: ignore[index]

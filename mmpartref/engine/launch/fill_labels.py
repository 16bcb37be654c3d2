"""Labels of an auxiliary head, from the training data."""
from mmengine.config import Config
from mmengine.fileio import exists, join_path
from mmengine.logging import print_log
from mmengine.registry import DefaultScope

from mmpartref.datasets.coco.read_coco import read_names
from mmpartref.datasets.referring.steps.image_labels import label_of
from mmpartref.engine.config.config_nodes import leaf_datasets
from mmpartref.errors import ConfigError
from mmpartref.registry import DATASETS, SCOPE


def fill_labels(cfg: Config) -> None:
    """Set ``labels`` of an auxiliary head, where it has none, to the part categories of the training jsons, in order.

    Raises:
        ConfigError: one of the jsons does not exist, or the config has no training data.
    """
    head = (cfg.get('model') or {}).get('auxiliary_head')
    if not head or head.get('labels') is not None:
        return
    dataset = (cfg.get('train_dataloader') or {}).get('dataset') or {}
    sets = leaf_datasets(dataset)
    files = [join_path(each.get('data_root') or '', each.get('ann_file') or '') for each in sets]
    missing = next((file for file in files if not file or not exists(file)), None)
    if missing is not None:
        raise ConfigError(f'the labels of model.auxiliary_head are read from the training json {missing!r}, which does '
                          'not exist; set data_root, or use the config in the work dir of the training')
    labels: dict[str, None] = {}
    with DefaultScope.overwrite_default_scope(SCOPE):
        for each, file in zip(sets, files, strict=True):
            naming = DATASETS.build({**each, 'lazy_init': True, 'pipeline': []})
            parts = read_names(file, naming.name_category, naming.level)
            labels.update(dict.fromkeys(label_of(parts.names[key]) for key, category in parts.categories.items()
                                        if category.level != 'object'))
    head.labels = list(labels)
    print_log(f'auxiliary head: {len(labels)} labels from {", ".join(files)}', 'current')

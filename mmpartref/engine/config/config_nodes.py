"""Search in configs by class; ``type`` may be a name, a name with scope, a dotted path or, in lazy configs, a class."""
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.registry import Registry

from mmpartref.registry import resolve

# Keys of the dataloaders of a config.
DATALOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def nodes(value: Any) -> Iterator[Mapping]:
    """Yield every dict inside a config, outermost first."""
    if isinstance(value, Mapping):
        yield value
        for each in value.values():
            yield from nodes(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from nodes(each)


def builds(registry: Registry, node: Any, kind: type) -> bool:
    """Return whether a registry builds an instance of ``kind`` from a config node.

    False also for a type that is unknown or cannot be imported, which mmengine reports when it builds the node.
    """
    try:
        found = resolve(registry, scoped_type(node)) if isinstance(node, Mapping) else type(node)
    except (ImportError, RuntimeError):
        return False
    return isinstance(found, type) and issubclass(found, kind)


def scoped_type(node: Mapping[str, Any]) -> Any:
    """Return a config node's ``type``, with its ``_scope_``, which bases from other packages have, as prefix."""
    kind, scope = node.get('type'), node.get('_scope_')
    return f'{scope}.{kind}' if scope and isinstance(kind, str) and '.' not in kind else kind


def type_name(node: Mapping[str, Any]) -> str:
    """Return the class name of a config node's ``type``, without scope or module."""
    kind = node.get('type')
    return kind.__name__ if isinstance(kind, type) else str(kind).rpartition('.')[2]


def is_from(package: str, node: Mapping[str, Any]) -> bool:
    """Return whether a config node's ``type`` is from a package, e.g. ``'mmdet'``, without importing it."""
    kind = scoped_type(node)
    return (kind.__module__ if isinstance(kind, type) else str(kind)).startswith(f'{package}.')


def hook_nodes(cfg: Config) -> list[Any]:
    """Return the configs of a config's hooks, without those that are turned off."""
    return [each for each in (*(cfg.get('default_hooks') or {}).values(), *(cfg.get('custom_hooks') or [])) if each]


def leaf_datasets(dataset: Any) -> list[Any]:
    """Return the configs of the datasets inside wrappers (``RepeatDataset``) and mixtures (``ConcatDataset``)."""
    if not isinstance(dataset, Mapping):
        return []
    inner = [dataset.get('dataset'), *(dataset.get('datasets') or [])]
    found = [leaf for each in inner for leaf in leaf_datasets(each)]
    return found or [dataset]

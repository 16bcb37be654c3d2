"""Size of the network's input, one key for all pipelines of a config."""
from typing import Any

from mmengine.config import Config

from mmpartref.engine.config.config_nodes import nodes, type_name
from mmpartref.engine.launch.fill_letterbox import letterboxes
from mmpartref.errors import ConfigError

DATALOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def apply_input_size(cfg: Config) -> None:
    """Set the size of every ``Letterbox``, or of mmdet's ``Resize``, in the dataloaders to ``input_size``, if given.

    ``input_size`` is a top-level key: (H, W) or one number for both, in pixels.

    Raises:
        ConfigError: there is no step that has it, or it is not one or two positive integers.
    """
    size = cfg.get('input_size')
    if size is None:
        return
    sides = (size, size) if isinstance(size, int) else tuple(size)
    if len(sides) != 2 or min(sides) < 1:
        raise ConfigError(f'the config has input_size={size!r}; it must be a positive integer or two, (height, width)')
    found = [step for name in DATALOADERS for step in letterboxes(cfg.get(name) or {})]
    for step in found:
        step['size'] = sides
    scales = [step for name in DATALOADERS for step in _resizes(cfg.get(name) or {})]
    for step in scales:
        step['scale'] = (sides[1], sides[0])  # mmdet's is (width, height)
    if not found and not scales:
        raise ConfigError(f'the config has input_size={size!r}, and no Letterbox or Resize that would have it')


def _resizes(dataloader: Any) -> list[Any]:
    """Return the config of every ``Resize`` with a scale in a dataloader."""
    return [step for step in nodes(dataloader) if 'type' in step and type_name(step) == 'Resize' and 'scale' in step]

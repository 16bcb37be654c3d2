"""Size of the network's input, one key for all pipelines of a config."""
import numbers
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from mmengine.config import Config

from mmpartref.engine.config.config_nodes import DATALOADERS, nodes, type_name
from mmpartref.engine.launch.fill_letterbox import letterboxes
from mmpartref.errors import ConfigError


def apply_input_size(cfg: Config, options: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Set the size of every ``Letterbox``, or of mmdet's ``Resize``, in the dataloaders to ``input_size``, if given.

    ``input_size`` is a top-level key: (H, W) or one number for both, in pixels.

    Args:
        cfg: changed in place.
        options: of ``--cfg-options``, which must not set another size.

    Raises:
        ConfigError: there is no such step, an option sets the size of one, or it is not one or two positive integers.
    """
    size = cfg.get('input_size')
    if size is None:
        return
    given = [size, size] if isinstance(size, numbers.Integral) else size
    sides = tuple(given) if isinstance(given, (list, tuple)) else ()
    if len(sides) != 2 or not all(isinstance(side, numbers.Integral) and int(side) >= 1 for side in sides):
        raise ConfigError(f'the config has input_size={size!r}; it must be a positive integer or two, (height, width)')
    other = next((path for path in options if '.pipeline.' in path and path.endswith(('.size', '.scale'))), None)
    if other is not None:
        raise ConfigError(f'--cfg-options {other}: input_size={size!r} sets the size of all pipelines; override '
                          'input_size, or set it to None')
    found = [step for name in DATALOADERS for step in letterboxes(cfg.get(name) or {})]
    sides = tuple(map(int, sides))
    for step in found:
        step['size'] = sides
    scales = [step for name in DATALOADERS for step in _resizes(cfg.get(name) or {})]
    for step in scales:
        step['scale'] = (sides[1], sides[0])  # mmdet's is (width, height)
    if not found and not scales:
        raise ConfigError(f'the config has input_size={size!r}, but no Letterbox or Resize to apply it to')


def _resizes(dataloader: Any) -> list[Any]:
    """Return the config of every ``Resize`` with a scale in a dataloader."""
    return [step for step in nodes(dataloader) if 'type' in step and type_name(step) == 'Resize' and 'scale' in step]

"""Load a state dict or checkpoint from a path or an address."""
import os
from collections.abc import Mapping
from typing import Any

from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import load_from_local

from mmpartref.errors import WeightsError
from mmpartref.models.weights.allowed_types import mmengine_checkpoints_allowed
from mmpartref.models.weights.archives import locate_url
from mmpartref.models.weights.checkpoint_content import restore
from mmpartref.models.weights.state_files import read_checkpoint


def load_checkpoint(source: str, map_location: Any = 'cpu') -> Any:
    """Return the state dict or checkpoint at a path, or at an address that mmengine's ``CheckpointLoader`` knows.

    Args:
        source: ``epoch_1.pth``, an address (see ``locate_url``), ``torchvision://resnet50``, ...
        map_location: as in ``torch.load``.

    Raises:
        WeightsError: as in ``read_checkpoint``; or the content is not a dictionary.
    """
    if source.startswith(('http://', 'https://')):
        content = read_checkpoint(locate_url(source), map_location)
    elif CheckpointLoader._get_checkpoint_loader(source) is load_from_local:
        content = read_checkpoint(os.path.expanduser(source), map_location)
    else:
        with mmengine_checkpoints_allowed():
            content = restore(CheckpointLoader.load_checkpoint(source, map_location))
    if not isinstance(content, Mapping):
        raise WeightsError(f'{source} holds a {type(content).__name__} and not a state dict; give a checkpoint')
    return content

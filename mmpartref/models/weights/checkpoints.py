"""Load any checkpoint into a model: ours, the published CRIS, mmdet's."""
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from mmpartref.errors import WeightsError
from mmpartref.models.detectors.referring_detector import ReferringDetector
from mmpartref.models.weights.cris_keys import from_published
from mmpartref.models.weights.key_report import compare_keys
from mmpartref.models.weights.state_files import read_checkpoint, read_tensors

# Prefix of names that occur in the published CRIS only.
PUBLISHED = 'neck.f1_v_proj.'
# Prefix of mmdet's names in a ReferringDetector.
DETECTOR = 'detector.'


def load_weights(model: nn.Module, checkpoint: str | Path, config_name: str) -> str:
    """Load a checkpoint strictly, and return a description of its kind.

    Kinds: checkpoints of mmengine (with averaged weights in ``state_dict`` after an ``EMAHook``), converted or
    published CRIS checkpoints, and for a ``ReferringDetector`` those of its mmdet detector. No code of the file is
    executed.

    Args:
        model: gets the weights.
        checkpoint: path.
        config_name: name of the model's config, for messages.

    Raises:
        WeightsError: the file does not exist (also a FileNotFoundError), is damaged, contains code or does not fit.
    """
    state = read_tensors(checkpoint)
    kind = 'averaged weights (EMA)' if 'ema_state_dict' in read_outline(checkpoint) else 'weights'
    if any(name.startswith(PUBLISHED) for name in state):
        state, kind = from_published(state), "the published CRIS's weights, renamed"
    elif isinstance(model, ReferringDetector) and not any(name.startswith(DETECTOR) for name in state):
        state, kind = {DETECTOR + name: value for name, value in state.items()}, "the mmdet detector's weights"
    report = compare_keys(state, model.state_dict(), allow_missing=('num_batches_tracked', ))
    if report:
        raise WeightsError(f'{checkpoint} does not fit the model of {config_name}: {report.summary()}; give the config '
                           'it was trained with')
    model.load_state_dict(state, strict=False)
    return kind


def read_outline(checkpoint: str | Path) -> Mapping[str, Any]:
    """Return the top level of a checkpoint, with memory-mapped tensors where possible.

    Empty for safetensors and TorchScript files, which contain tensors only.

    Raises:
        WeightsError: as in ``load_weights``.
    """
    try:
        content = read_checkpoint(checkpoint, mmap=True)
    except WeightsError:
        # Raises for a damaged file, not for one of another format.
        read_tensors(checkpoint)
        return {}
    if not isinstance(content, Mapping):
        raise WeightsError(f'{checkpoint} holds a {type(content).__name__} instead of a state dict; give a checkpoint')
    return content

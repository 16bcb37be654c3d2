"""Any checkpoint of this project's models, into a built model: ours, CRIS's as published, mmdet's own."""
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from mmpartref.errors import WeightsError
from mmpartref.models.detectors.referring_detector import ReferringDetector
from mmpartref.models.weights.cris_keys import from_published
from mmpartref.models.weights.key_report import compare_keys, in_short
from mmpartref.models.weights.state_files import read_checkpoint, read_tensors

# A name that only the published CRIS has.
PUBLISHED = 'neck.f1_v_proj.'
# What a ReferringDetector puts before mmdet's names.
DETECTOR = 'detector.'


def load_weights(model: nn.Module, checkpoint: str | Path, config_name: str) -> str:
    """Load a checkpoint, whole or not at all; returns what it was, in words.

    Understood are checkpoints of mmengine (whose ``state_dict`` holds the averaged weights where an ``EMAHook`` ran),
    converted or published CRIS checkpoints, and for a ``ReferringDetector`` those of the mmdet detector inside.
    Nothing that a pickle asks for is run.

    Args:
        model: gets the weights.
        checkpoint: the file.
        config_name: of the model's config, for messages.

    Raises:
        WeightsError: the file is missing (also a FileNotFoundError), damaged, asks to run code or does not fit.
    """
    state = read_tensors(checkpoint)
    kind = 'averaged weights (EMA)' if 'ema_state_dict' in read_outline(checkpoint) else 'weights'
    if any(name.startswith(PUBLISHED) for name in state):
        state, kind = from_published(state), "the published CRIS's weights, renamed"
    elif isinstance(model, ReferringDetector) and not any(name.startswith(DETECTOR) for name in state):
        state, kind = {DETECTOR + name: value for name, value in state.items()}, "the mmdet detector's weights"
    report = compare_keys(state, model.state_dict(), may_lack=('num_batches_tracked', ))
    if report:
        raise WeightsError(f'{checkpoint} does not fit the model of {config_name}: {in_short(report)}; give the config '
                           'it was trained with')
    model.load_state_dict(state, strict=False)
    return kind


def read_outline(checkpoint: str | Path) -> Mapping[str, Any]:
    """Return what a checkpoint holds at the top, its tensors not read into memory where it can be mapped.

    Nothing where it is another kind of file (safetensors, TorchScript), which holds tensors alone.

    Raises:
        WeightsError: as in ``load_weights``.
    """
    try:
        content = read_checkpoint(checkpoint, mmap=True)
    except WeightsError:
        # Raises what is wrong with it, unless it is of another kind.
        read_tensors(checkpoint)
        return {}
    if not isinstance(content, Mapping):
        raise WeightsError(f'{checkpoint} holds no state dict but a {type(content).__name__}; give a checkpoint')
    return content

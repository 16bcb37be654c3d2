"""Load any checkpoint into a model: ours, the published CRIS, mmdet's."""
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mmpartref.errors import WeightsError
from mmpartref.models.detectors.referring_detector import ReferringDetector
from mmpartref.models.weights.cris_keys import from_published
from mmpartref.models.weights.key_report import check_loaded, compare_keys
from mmpartref.models.weights.state_dicts import find_state_dict, plain_name, rename_entries
from mmpartref.models.weights.state_files import errors_with_path, read_checkpoint, read_content

# Prefix of names that occur in the published CRIS only.
PUBLISHED = 'neck.f1_v_proj.'
# Prefix of mmdet's names in a ReferringDetector.
DETECTOR = 'detector.'


def load_weights(model: nn.Module, checkpoint: str | Path, config_name: str, *, key: str | None = None) -> str:
    """Load a checkpoint strictly, and return a description of its kind.

    Kinds: checkpoints of mmengine (with averaged weights in ``state_dict`` after an ``EMAHook``), converted or
    published CRIS checkpoints, and for a ``ReferringDetector`` those of its mmdet detector. No code of the file is
    executed.

    Args:
        model: gets the weights.
        checkpoint: path.
        config_name: name of the model's config, for messages.
        key: in the checkpoint, of the weights, e.g. ``'ema_state_dict'``; None for those of ``find_state_dict``.

    Raises:
        WeightsError: the file does not exist (also a FileNotFoundError), is damaged, contains code or does not fit;
            the model has its weights of before.
    """
    content = read_content(checkpoint)
    state, kind = fit_names(find_state_dict(content, checkpoint, key), model, checkpoint)
    if kind == 'weights' and key is None and 'ema_state_dict' in content:
        kind = 'averaged weights (EMA)'
    report = compare_keys(state, model.state_dict(), allow_missing=('num_batches_tracked', ))
    if report:
        raise WeightsError(f'{checkpoint} does not fit the model of {config_name}: '
                           f'{report.summary("give the config it was trained with")}')
    model.load_state_dict(state, strict=False)
    check_loaded(model, state, checkpoint)
    return kind


def fit_names(state: Mapping[str, torch.Tensor], model: nn.Module,
              source: object) -> tuple[dict[str, torch.Tensor], str]:
    """Return weights under the names of a model, and a description of their kind; see ``load_weights``.

    Raises:
        WeightsError: a published CRIS checkpoint has a name that is not of CRIS.
    """
    plain = {plain_name(name) for name in state}
    if any(name.startswith(PUBLISHED) for name in plain):
        with errors_with_path(str(source)):
            return from_published(rename_entries(state, source)), "the published CRIS's weights, renamed"
    wanted, kind = model.state_dict().keys(), 'weights'
    if isinstance(model, ReferringDetector) and not any(name.startswith(DETECTOR) for name in plain):
        state, kind = {DETECTOR + name: value for name, value in state.items()}, "the mmdet detector's weights"
    return rename_entries(state, source, wanted), kind


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
        read_content(checkpoint)
        return {}
    if not isinstance(content, Mapping):
        raise WeightsError(f'{checkpoint} holds a {type(content).__name__} instead of a state dict; give a checkpoint')
    return content

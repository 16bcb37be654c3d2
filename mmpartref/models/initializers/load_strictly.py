"""Load a state dict into a module, with an error for every key that does not fit."""
from collections.abc import Mapping, Sequence

import torch
from mmengine.logging import print_log
from mmengine.model import update_init_info
from torch import nn

from mmpartref.errors import WeightsError
from mmpartref.models.weights.key_report import check_loaded, compare_keys


def load_strictly(module: nn.Module, state: Mapping[str, torch.Tensor], source: str, *, initializer: str,
                  allow_missing: Sequence[str], allow_unexpected: bool = False, hint: str = '') -> None:
    """Load ``state`` into ``module`` in place, and log what was loaded and what was not.

    Args:
        module: gets the weights.
        state: weights with the module's parameter names.
        source: of the weights, for messages.
        initializer: name for mmengine's record of initialisations.
        allow_missing: substrings of names that may be missing. BatchNorm's ``num_batches_tracked`` always may: it does
            not exist in checkpoints before torch 0.4.1, and is not used here.
        allow_unexpected: log entries that the module does not have, instead of raising.
        hint: how to fix keys that do not fit, for the message.

    Raises:
        WeightsError: a key is missing, unexpected, of another shape or with unusable values; all are listed.
    """
    name, own = type(module).__name__, module.state_dict()
    report = compare_keys(state, own, allow_missing=('num_batches_tracked', *allow_missing))
    if report.missing or report.reshaped or report.unusable or (report.unexpected and not allow_unexpected):
        raise WeightsError(f'{source} does not fit this {name}{hint}:\n{report}')
    module.load_state_dict(state, strict=False)
    check_loaded(module, state, source)
    message = f'{name}: {len(state) - len(report.unexpected)} entries from {source}'
    if initialised := sorted({key.partition('.')[0] for key in own if key not in state}):
        message += f'; {", ".join(initialised)} partly or wholly as initialised'
    if report.unexpected:
        message += f'; {len(report.unexpected)} entries are not used: {", ".join(report.unexpected)}'
    print_log(message, 'current')
    if hasattr(module, '_params_init_info'):
        update_init_info(module, f'{initializer}: {source}')

"""Initialise a module with a checkpoint, strictly."""
from collections.abc import Sequence

from mmengine.logging import print_log
from mmengine.model import PretrainedInit as MMEnginePretrainedInit
from torch import nn

from mmpartref.errors import WeightsError
from mmpartref.models.initializers.load_strictly import load_strictly
from mmpartref.models.weights.state_dicts import find_state_dict, rename_entries
from mmpartref.models.weights.state_files import load_checkpoint
from mmpartref.registry import WEIGHT_INITIALIZERS


@WEIGHT_INITIALIZERS.register_module(name='Pretrained')
class PretrainedInit(MMEnginePretrainedInit):
    """Load a checkpoint into a module, with an error for keys that are missing or of another shape.

    mmengine's initializer of this name logs such keys and continues with random weights. Entries that the module does
    not have (a classifier's last layer) are ignored and logged. Replaces mmengine's under
    ``default_scope = 'mmpartref'``.

    Args:
        checkpoint: a URL (see ``locate_url``), or any other source of mmengine's ``CheckpointLoader``: a path,
            ``torchvision://resnet50``, ...
        prefix: load the entries with this prefix, and remove it.
        map_location: as in ``torch.load``.
        allow_missing: substrings of names that may be missing or of another shape, and stay as initialised.
    """

    def __init__(self,
                 checkpoint: str,
                 prefix: str | None = None,
                 map_location: str = 'cpu',
                 allow_missing: Sequence[str] = ()) -> None:
        super().__init__(checkpoint, prefix, map_location)
        self.allow_missing = tuple(allow_missing)

    def __call__(self, module: nn.Module) -> None:
        """Load the weights in place.

        Raises:
            WeightsError: a key is missing or of another shape; all are listed.
        """
        state = find_state_dict(load_checkpoint(self.checkpoint, self.map_location), self.checkpoint)
        if self.prefix is not None:
            prefix = f"{self.prefix.removesuffix('.')}."
            if not any(name.startswith(prefix) for name in state):
                state = rename_entries(state, self.checkpoint)
            state = {name[len(prefix):]: value for name, value in state.items() if name.startswith(prefix)}
            if not state:
                raise WeightsError(f'{self.checkpoint} has no entry that starts with {prefix!r}; correct the prefix')
        own = module.state_dict()
        state = rename_entries(state, self.checkpoint, own)
        reshaped = [name for name in own if name in state and state[name].shape != own[name].shape
                    and any(part in name for part in self.allow_missing)]
        for name in reshaped:
            del state[name]
        if reshaped:
            print_log(f'{self.checkpoint}: {len(reshaped)} entries of another shape stay as initialised: '
                      f'{", ".join(reshaped)}', 'current')
        load_strictly(module, state, self.checkpoint, initializer='Pretrained', allow_missing=self.allow_missing,
                      allow_unexpected=True,
                      hint='; name parts that may stay as initialised in init_cfg.allow_missing')

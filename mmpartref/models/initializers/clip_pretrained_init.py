"""Initialise an encoder with CLIP's weights."""
import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import nn

from mmpartref.errors import InputTypeError, MissingWeightsError
from mmpartref.models.initializers.load_strictly import load_strictly
from mmpartref.models.layers.position_encodings import resize_positions
from mmpartref.models.layers.tuning.tunable_encoder import ADDED_PARTS
from mmpartref.models.weights.archives import locate_clip
from mmpartref.models.weights.clip_weights import read_clip
from mmpartref.registry import WEIGHT_INITIALIZERS


@WEIGHT_INITIALIZERS.register_module(name='CLIPPretrained')
class CLIPPretrainedInit:
    """Load the weights of CLIP's image or text encoder.

    In a config: ``backbone=dict(type='CLIPResNet', init_cfg=dict(type='CLIPPretrained', checkpoint='RN50'))``.

    Every key has to fit, except those of CRIS's ``connect`` residual, the pyramid, LoRA and adapters, which CLIP does
    not have. Position tables are fitted, which is logged: image positions are resized to the module's grid, text
    positions truncated to its context length, or resized to a longer one by linear interpolation.

    Args:
        checkpoint: name of one of OpenAI's archives (``'RN50'``, ``'RN101'``, ``'ViT-B/16'``, ...) or path of any CLIP
            checkpoint; see ``locate_clip``.
    """

    def __init__(self, checkpoint: str) -> None:
        self.checkpoint = checkpoint

    def __call__(self, module: nn.Module) -> None:
        """Load the weights in place.

        Raises:
            MissingWeightsError: the checkpoint does not exist; the message names the folders that are searched.
            WeightsError: keys do not fit; all are listed.
            TypeError: the module is not an encoder of CLIP.
        """
        tower = getattr(module, 'clip_tower', None)
        if tower is None:
            raise InputTypeError(f"init_cfg type='CLIPPretrained' is for CLIP's image and text encoders, not a "
                                 f'{type(module).__name__}')
        try:
            path = locate_clip(self.checkpoint)
        except MissingWeightsError as error:
            raise MissingWeightsError(f'{error} (for random weights: --cfg-options model.backbone.init_cfg=None '
                                      'model.text_encoder.init_cfg=None)') from None
        state, architecture = read_clip(path)
        wanted = module.state_dict()
        given = {name.removeprefix(f'{tower}.'): value for name, value in state.items() if name.startswith(tower)}
        given = {name: self._fit_positions(name, value, wanted.get(name)) for name, value in given.items()}
        load_strictly(module, given, f'CLIP {architecture.name} of {path}', initializer='CLIPPretrained',
                      allow_missing=('attnpool.connect.', 'pyramid.', *ADDED_PARTS))

    @staticmethod
    def _fit_positions(name: str, given: torch.Tensor, wanted: torch.Tensor | None) -> torch.Tensor:
        """Return a position table of the module's size where that is possible, and other weights unchanged."""
        if wanted is None or not name.endswith('positional_embedding') or given.shape == wanted.shape:
            return given
        if given.shape[1] != wanted.shape[1]:
            return given
        is_grid = all(_side(table)**2 + 1 == len(table) for table in (given, wanted))
        if not is_grid and name != 'positional_embedding':
            return given
        if not is_grid and len(given) > len(wanted):
            print_log(f'{name}: {len(wanted)} of {len(given)} positions are used', 'current')
            return given[:len(wanted)]
        if not is_grid:
            print_log(f'{name}: resized from {len(given)} to {len(wanted)} positions', 'current')
            return F.interpolate(given.T[None], size=len(wanted), mode='linear', align_corners=True)[0].T
        old, new = _side(given), _side(wanted)
        print_log(f'{name}: resized from {old} x {old} to {new} x {new} positions', 'current')
        return torch.cat([given[:1], resize_positions(given[1:], (old, old), (new, new))])


def _side(table: torch.Tensor) -> int:
    """Return the side of the square grid of a position table (1 + side * side, C)."""
    return round((len(table) - 1)**0.5)

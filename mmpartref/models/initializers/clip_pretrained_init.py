"""Start a tower from CLIP's weights."""
import torch
from mmengine.logging import print_log
from mmengine.model import update_init_info
from torch import nn

from mmpartref.errors import InputTypeError, MissingWeightsError, WeightsError
from mmpartref.models.layers.position_tables import resize_positions
from mmpartref.models.layers.tuning.tunable_encoder import ADDED_PARTS
from mmpartref.models.weights.archives import locate_clip
from mmpartref.models.weights.clip_weights import read_clip
from mmpartref.models.weights.key_report import compare_keys
from mmpartref.registry import WEIGHT_INITIALIZERS

# In no CLIP: stay as they were initialised.
MAY_LACK = ('attnpool.connect.', 'pyramid.', *ADDED_PARTS)


@WEIGHT_INITIALIZERS.register_module(name='CLIPPretrained')
class CLIPPretrainedInit:
    """Load the image or the text half of a CLIP, whichever the module is.

    In a config: ``backbone=dict(type='CLIPResNet', init_cfg=dict(type='CLIPPretrained', checkpoint='RN50'))``.

    Every key has to fit, apart from CRIS's ``connect`` residual, which CLIP does not have, and position tables: image
    positions of another grid are resized, text positions beyond the module's context are left out. Both are printed.

    Args:
        checkpoint: an archive's name (``'RN50'``, ``'RN101'``, ``'ViT-B/16'``, ...) or the path of any CLIP
            checkpoint; see ``locate_clip``.
    """

    def __init__(self, checkpoint: str) -> None:
        self.checkpoint = checkpoint
        # Set by mmengine on every initialiser.
        self.wholemodule = False

    def __call__(self, module: nn.Module) -> None:
        """Load the weights in place.

        Raises:
            MissingWeightsError: the checkpoint is nowhere; the message says where to put it.
            WeightsError: a key does not fit; all are listed.
            TypeError: the module is no half of a CLIP.
        """
        tower = getattr(module, 'clip_tower', None)
        if tower is None:
            raise InputTypeError(f"init_cfg type='CLIPPretrained' fits CLIP's image and text encoders, not a "
                                 f'{type(module).__name__}')
        try:
            path = locate_clip(self.checkpoint)
        except MissingWeightsError as error:
            raise MissingWeightsError(f'{error} (init_cfg=None instead starts the {type(module).__name__} from random '
                                      'weights)') from None
        state, architecture = read_clip(path)
        given = {name.removeprefix(f'{tower}.'): value for name, value in state.items() if name.startswith(tower)}
        wanted = module.state_dict()
        given = {name: self._fit_positions(name, value, wanted.get(name)) for name, value in given.items()}
        report = compare_keys(given, wanted, may_lack=MAY_LACK)
        if report:
            raise WeightsError(f'CLIP {architecture.name} of {path} does not fit this {type(module).__name__}:\n'
                               f'{report}')
        kept = [name for name in wanted if name not in given]
        module.load_state_dict(given, strict=False)
        print_log(
            f'{type(module).__name__}: {len(given)} entries from CLIP {architecture.name} ({path})' +
            (f'; {len(kept)} that CLIP lacks stay as initialised: {", ".join(kept)}' if kept else ''), 'current')
        if hasattr(module, '_params_init_info'):
            update_init_info(module, f'CLIPPretrained: {path}')

    @staticmethod
    def _fit_positions(name: str, given: torch.Tensor, wanted: torch.Tensor | None) -> torch.Tensor:
        if wanted is None or not name.endswith('positional_embedding') or given.shape == wanted.shape:
            return given
        if given.shape[1] != wanted.shape[1]:
            return given
        if name == 'positional_embedding' and given.shape[0] > wanted.shape[0] and not _is_grid(given, wanted):
            print_log(f'{name}: {len(wanted)} of {len(given)} positions are used', 'current')
            return given[:len(wanted)]
        if not _is_grid(given, wanted):
            return given
        old, new = _side(given), _side(wanted)
        print_log(f'{name}: resized from {old} x {old} to {new} x {new} positions', 'current')
        return torch.cat([given[:1], resize_positions(given[1:], (old, old), (new, new))])


def _side(table: torch.Tensor) -> int:
    return round((len(table) - 1)**0.5)


def _is_grid(*tables: torch.Tensor) -> bool:
    return all(_side(table)**2 + 1 == len(table) for table in tables)

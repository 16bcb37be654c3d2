"""Start an encoder of another package from that package's weights."""
from typing import Any

from mmengine.logging import print_log
from mmengine.model import update_init_info
from torch import nn

from mmpartref.errors import InputTypeError, WeightsError
from mmpartref.models.layers.tuning.tunable_encoder import ADDED_PARTS
from mmpartref.models.weights.key_report import compare_keys
from mmpartref.registry import WEIGHT_INITIALIZERS


@WEIGHT_INITIALIZERS.register_module(name='PackagePretrained')
class PackagePretrainedInit:
    """Load weights the way timm, open_clip or transformers publish them, and refuse those that do not fit.

    In a config: ``backbone=dict(type='TimmBackbone', model_name='convnext_tiny',
    init_cfg=dict(type='PackagePretrained', checkpoint='timm'))``.

    Every key has to fit, apart from what no checkpoint holds: the pyramid, LoRA and adapters.

    Args:
        checkpoint: the path of a file, or a name under which the package fetches it; the encoder's
            ``read_pretrained`` says which.
    """

    def __init__(self, checkpoint: str) -> None:
        self.checkpoint = checkpoint
        # Set by mmengine on every initialiser.
        self.wholemodule = False

    def __call__(self, module: nn.Module) -> None:
        """Load the weights in place.

        Raises:
            MissingWeightsError: they are nowhere; the message says where to put them.
            WeightsError: a key does not fit; all are listed.
            TypeError: the module does not take weights this way.
        """
        if not hasattr(module, 'read_pretrained'):
            raise InputTypeError(f"init_cfg type='PackagePretrained' fits encoders of other packages, not a "
                                 f'{type(module).__name__}')
        reader: Any = module
        given = reader.read_pretrained(self.checkpoint)
        wanted = module.state_dict()
        # As in PretrainedInit: older checkpoints have no such counter, and nothing here reads it.
        report = compare_keys(given, wanted, may_lack=('num_batches_tracked', 'pyramid.', *ADDED_PARTS))
        if report:
            raise WeightsError(f'{self.checkpoint} does not fit this {type(module).__name__}:\n{report}')
        module.load_state_dict(given, strict=False)
        kept = sorted({name.partition('.')[0] for name in wanted if name not in given})
        print_log(f'{type(module).__name__}: {len(given)} entries from {self.checkpoint}'
                  + (f'; {", ".join(kept)} partly or wholly as initialised' if kept else ''), 'current')
        mean: Any = getattr(module, 'mean', None)
        std: Any = getattr(module, 'std', None)
        if mean is not None:
            print_log(f'trained on photos normalised with mean={rounded(mean)}, std={rounded(std)}: '
                      'data_preprocessor should have the same', 'current')
        if hasattr(module, '_params_init_info'):
            update_init_info(module, f'PackagePretrained: {self.checkpoint}')


def rounded(values: tuple[float, ...]) -> tuple[float, ...]:
    """Return values with three digits after the point."""
    return tuple(round(value, 3) for value in values)

"""Initialise an encoder of timm, open_clip or transformers with weights in that package's format."""
from typing import Any

from mmengine.logging import print_log
from torch import nn

from mmpartref.errors import InputTypeError
from mmpartref.models.initializers.load_strictly import load_strictly
from mmpartref.models.layers.tuning.tunable_encoder import ADDED_PARTS
from mmpartref.registry import WEIGHT_INITIALIZERS


@WEIGHT_INITIALIZERS.register_module(name='PackagePretrained')
class PackagePretrainedInit:
    """Load weights as published by timm, open_clip or transformers.

    In a config: ``backbone=dict(type='TimmBackbone', model_name='convnext_tiny',
    init_cfg=dict(type='PackagePretrained', checkpoint='timm'))``.

    Every key has to fit, except those of the pyramid, LoRA and adapters, which no published checkpoint has.

    Args:
        checkpoint: path of a file, or a name that the package downloads; see ``read_pretrained`` of the encoder.
    """

    def __init__(self, checkpoint: str) -> None:
        self.checkpoint = checkpoint

    def __call__(self, module: nn.Module) -> None:
        """Load the weights in place.

        Raises:
            MissingWeightsError: the weights do not exist or cannot be downloaded.
            WeightsError: keys do not fit; all are listed.
            TypeError: the module has no ``read_pretrained``.
        """
        if not hasattr(module, 'read_pretrained'):
            raise InputTypeError(f"init_cfg type='PackagePretrained' is for encoders of other packages, not a "
                                 f'{type(module).__name__}')
        encoder: Any = module
        load_strictly(module, encoder.read_pretrained(self.checkpoint), self.checkpoint,
                      initializer='PackagePretrained', allow_missing=('pyramid.', *ADDED_PARTS))
        if hasattr(module, 'mean'):
            mean, std = (tuple(round(value, 3) for value in each) for each in (encoder.mean, encoder.std))
            print_log(f'pretrained with mean={mean}, std={std}: set these in data_preprocessor', 'current')

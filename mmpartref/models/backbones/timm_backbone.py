"""Backbones of the package timm as image encoders."""
import inspect
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import nn

from mmpartref.errors import InputError, MissingWeightsError, WeightsError
from mmpartref.models.layers.optional_package import import_package
from mmpartref.models.layers.simple_feature_pyramid import STRIDES, SimpleFeaturePyramid, whole_patches
from mmpartref.models.layers.tuning.tunable_encoder import TunableEncoder, check_maps
from mmpartref.models.weights.allowed_types import mmengine_checkpoints_allowed
from mmpartref.models.weights.archives import check_hub_access, expand_path
from mmpartref.models.weights.key_report import value_fault
from mmpartref.models.weights.state_files import read_tensors
from mmpartref.registry import MODELS

# Value of ``checkpoint`` in PackagePretrained for the weights that timm publishes under the model's name.
PUBLISHED = 'timm'
# Names of the weights in timm's repositories on Hugging Face's hub.
HUB_FILES = ('model.safetensors', 'pytorch_model.bin', 'open_clip_model.safetensors', 'open_clip_pytorch_model.bin')
# Keys of the weights inside a checkpoint, averaged weights first, in the order of timm.
WRAPPERS = ('state_dict_ema', 'model_ema', 'state_dict', 'model', 'module')
# Arguments of timm's models for images of any size; each model gets those of its constructor.
ANY_SIZE = {'dynamic_img_size': True, 'strict_img_size': False}


@cache
def any_size_settings(model_name: str) -> dict[str, bool]:
    """Return those of ``ANY_SIZE`` that are arguments of a timm model."""
    timm = import_package('timm', 'TimmBackbone')
    with torch.device('meta'):
        taken = inspect.signature(type(timm.create_model(model_name, num_classes=0)).__init__).parameters
    return {key: value for key, value in ANY_SIZE.items() if key in taken}


@MODELS.register_module()
class TimmBackbone(TunableEncoder):
    """Any timm model with intermediate maps: EVA-02 CLIP, SigLIP 2, DINOv2, DINOv3, ConvNeXt, Swin, MobileNet, ...

    ::

        images, resized to whole patches
        hierarchical   -> maps of strides 8, 16 and 32 = C3, C4, C5, as declared by timm
        plain ViT      -> maps after a third, two thirds and all of the blocks, normalised
                       -> SimpleFeaturePyramid = C3, C4, C5

    Layers that the maps do not need (classifier, pooling, later blocks) are removed. Position tables are resized to the
    input. Weights: ``init_cfg=dict(type='PackagePretrained', checkpoint='timm')``, or the path of a file; see
    docs/backbones.md. Most models need another normalisation than CLIP's: set ``mean`` and ``std`` of
    ``data_preprocessor`` to the attributes of the same name.

    Args:
        model_name: of timm, with or without the tag of its weights: ``'convnext_tiny.in12k_ft_in1k'``.
        out_indices: which of timm's intermediate maps (blocks of a plain ViT) are C3, C4 and C5; four of a hierarchical
            model begin with C2.
        pyramid_channels: channels of each map of a plain ViT's pyramid; ignored for hierarchical models.
        model_args: further arguments of the model, e.g. ``dict(drop_path_rate=0.1)``.
        freeze, frozen_stages, lora, adapter: see ``TunableEncoder``. Depths are those of timm's ``group_matcher``: the
            stem, the stages (blocks of a plain ViT), the pyramid.
        init_cfg: mmengine's initialisation config.

    Attributes:
        out_channels: channels of (C3, C4, C5), or of all four maps.
        mean, std: normalisation of the pretrained weights per RGB channel, in grey levels.

    Raises:
        ImportError: timm, or torchvision, which timm imports, is missing.
        ValueError: timm has no such model, or the model has fewer than three maps.
    """
    new_parts = ('pyramid.', )

    def __init__(self,
                 *,
                 model_name: str,
                 out_indices: Sequence[int] | None = None,
                 pyramid_channels: int = 256,
                 model_args: Mapping[str, Any] | None = None,
                 freeze: bool = False,
                 frozen_stages: int = -1,
                 lora: dict | None = None,
                 adapter: dict | None = None,
                 init_cfg: dict | list | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.model_name = model_name
        self._model_args = dict(model_args or {})
        model = self._build()
        channels, strides = self._read_maps(model)
        self.plain = len(set(strides)) == 1
        # 1 for convolutional models, which take any size.
        self.patch_size = max(getattr(getattr(model, 'patch_embed', None), 'patch_size', (1, )))
        self.out_indices = self._choose(strides, out_indices)
        self.model = self._prune(model)
        # Prevents mmengine from calling timm's init_weights, which would replace the loaded weights.
        self.model.is_init = True
        self.out_channels = tuple(channels[index] for index in self.out_indices)
        self.pyramid = None
        if self.plain:
            self.pyramid = SimpleFeaturePyramid(self.out_channels, pyramid_channels, strides[0])
            self.out_channels = (pyramid_channels, ) * 3
        published: Any = model.pretrained_cfg
        self.mean, self.std = (tuple(255 * value for value in published[key]) for key in ('mean', 'std'))
        self._depths = self._read_depths()
        self.num_layers = max(self._depths.values())
        self.set_trainable(freeze=freeze, frozen_stages=frozen_stages, lora=lora, adapter=adapter)

    def _build(self, **pretrained: Any) -> nn.Module:
        """Build the complete timm model, for images of any size."""
        timm = import_package('timm', 'TimmBackbone')
        try:
            settings = {'num_classes': 0, **any_size_settings(self.model_name), **self._model_args}
            return timm.create_model(self.model_name, **settings, **pretrained)
        except RuntimeError as error:
            if 'Unknown model' not in str(error):
                raise
            near = timm.list_models(f'*{self.model_name.partition(".")[0].partition("_")[0]}*')
            raise InputError(f"timm {timm.__version__} has no model '{self.model_name}'"
                             + (f'; it has {", ".join(near[:8])}, ...' if near else '')) from None

    def _read_maps(self, model: nn.Module) -> tuple[list[int], list[int]]:
        """Return the channels and strides of the maps that timm declares."""
        declared: Any = model.feature_info
        declared = declared if isinstance(declared, list) else declared.info
        if len(declared) < len(STRIDES) or not hasattr(model, 'forward_intermediates'):
            raise InputError(f"timm's {self.model_name} returns {len(declared)} maps and "
                             f'{"has" if hasattr(model, "forward_intermediates") else "lacks"} forward_intermediates: '
                             'choose a model with three maps and this method')
        return [each['num_chs'] for each in declared], [each['reduction'] for each in declared]

    def _choose(self, strides: list[int], wanted: Sequence[int] | None) -> tuple[int, ...]:
        """Return the indices of C3, C4 and C5, or of C2 to C5, among the maps."""
        count = len(strides)
        if wanted is not None:
            chosen = tuple(wanted)
            numbers = (3, ) if self.plain else (3, 4)
            inside = all(0 <= index < count for index in chosen)
            if len(chosen) not in numbers or not inside or sorted(chosen) != list(chosen):
                raise InputError(f"out_indices={wanted!r} of timm's {self.model_name} should be "
                                 f'{" or ".join(map(str, numbers))} ascending numbers from 0 to {count - 1}')
            return chosen
        if self.plain:
            return max(0, round(count / 3) - 1), max(0, round(count * 2 / 3) - 1), count - 1
        if set(STRIDES) <= set(strides):
            return tuple(max(index for index, each in enumerate(strides) if each == stride) for stride in STRIDES)
        return tuple(range(count - 3, count))

    def _prune(self, model: nn.Module) -> Any:
        """Remove layers that the maps do not need, because DDP raises for parameters without gradient."""
        model.prune_intermediate_layers(  # type: ignore[operator]
            list(self.out_indices), prune_norm=not self.plain, prune_head=True)
        return model

    def _read_depths(self) -> dict[str, int]:
        """Return the depth of every parameter and module by name; a module has the maximum of its parameters."""
        timm = import_package('timm', 'TimmBackbone')
        grouped = timm.models.group_parameters(self.model, self.model.group_matcher(coarse=True), reverse=True)
        depths: dict[str, int] = {}
        for name, depth in grouped.items():
            parts = ['model', *name.split('.')]
            for length in range(1, len(parts) + 1):
                part = '.'.join(parts[:length])
                depths[part] = max(depths.get(part, 0), depth)
        return depths

    def layer_id(self, name: str) -> int:
        """Return 0 for the stem, then the number of the stage or block, ``num_layers + 1`` for the pyramid."""
        if name.startswith('pyramid.'):
            return self.num_layers + 1
        # Parameters of LoRA and adapters have the depth of the module that they belong to.
        while name not in self._depths:
            name = name.rpartition('.')[0]
        return self._depths[name]

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Encode normalised images (N, 3, H, W) to C3, C4, C5 (N, C, ..)."""
        maps = self.model.forward_intermediates(
            whole_patches(images, self.patch_size), indices=list(self.out_indices), norm=self.plain,
            intermediates_only=True)
        if self.pyramid is not None:
            return self.pyramid(maps)
        check_maps(maps, self.out_channels, f"timm's {self.model_name}")
        return tuple(maps)

    def read_pretrained(self, checkpoint: str) -> dict[str, torch.Tensor]:
        """Return weights with this module's parameter names, converted by timm.

        Args:
            checkpoint: ``'timm'`` for the weights that timm publishes under the model's name, or the path of a file in
                a format that timm reads (its own or the original authors').

        Raises:
            MissingWeightsError: the weights do not exist or cannot be downloaded.
            WeightsError: the weights do not fit the model.
        """
        overlay: dict[str, Any] | None = None
        if checkpoint != PUBLISHED:
            path = expand_path(checkpoint)
            if not path.is_file():
                raise MissingWeightsError(f'there is no weights file {path}; give the path of one for '
                                          f"{self.model_name}, or '{PUBLISHED}' for the weights of timm")
            # timm reads only arrays from .npz. Other files are read safely here and converted by timm.
            overlay = {'file': str(path)} if path.suffix == '.npz' else {
                'state_dict': read_tensors(path, wrappers=WRAPPERS), 'custom_load': False}
        config = self.model.pretrained_cfg
        try:
            if checkpoint == PUBLISHED and config.get('hf_hub_id'):
                check_hub_access(config['hf_hub_id'], [config.get('hf_hub_filename') or name for name in HUB_FILES])
            # Downloads may be pickles, which timm loads without torch's check for some models.
            with mmengine_checkpoints_allowed():
                model = self._prune(self._build(pretrained=True, pretrained_cfg_overlay=overlay))
        except (OSError, RuntimeError, KeyError) as error:
            reason = str(error).strip()
            if checkpoint != PUBLISHED:
                raise WeightsError(f"{checkpoint} does not fit timm's {self.model_name}: {reason}") from error
            where = config.get('hf_hub_id') or config.get('url')
            raise MissingWeightsError(
                f'the weights of {self.model_name} could not be fetched ({type(error).__name__}: {reason[:200]}): '
                f'download {where} elsewhere and give the path of its file as checkpoint') from error
        state = model.state_dict()
        # timm casts whole and complex numbers without a check.
        for name, value in (overlay or {}).get('state_dict', {}).items():
            if name in state and (fault := value_fault(value, state[name].to('meta'))):
                raise WeightsError(f'{checkpoint} cannot be used: {name} {fault}; use an undamaged checkpoint')
        return {f'model.{name}': value for name, value in state.items()}


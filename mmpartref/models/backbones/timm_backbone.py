"""Any image encoder of the package timm."""
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
from mmpartref.models.weights.state_files import expand_path, read_tensors
from mmpartref.registry import MODELS

# The checkpoint of PackagePretrained that stands for what timm itself publishes under the model's name.
PUBLISHED = 'timm'
# Where training codes keep weights inside a checkpoint, averaged ones first, as timm looks for them.
WRAPPERS = ('state_dict_ema', 'model_ema', 'state_dict', 'model', 'module')
# Arguments by which timm's models take photos of any size; each model is given those it knows.
ANY_SIZE = {'dynamic_img_size': True, 'strict_img_size': False}


@cache
def any_size_settings(model_name: str) -> dict[str, bool]:
    """Return those of ``ANY_SIZE`` that timm's model takes."""
    timm = import_package('timm', 'TimmBackbone')
    with torch.device('meta'):
        taken = inspect.signature(type(timm.create_model(model_name, num_classes=0)).__init__).parameters
    return {key: value for key, value in ANY_SIZE.items() if key in taken}


@MODELS.register_module()
class TimmBackbone(TunableEncoder):
    """EVA-02 CLIP, SigLIP 2, DINOv2, DINOv3, ConvNeXt, Swin, MobileNet and the rest of timm.

    ::

        photos, stretched to whole patches
        hierarchical   -> maps of strides 8, 16 and 32 = C3, C4, C5, as timm declares them
        plain ViT      -> maps after a third, two thirds and all of the blocks, normed
                       -> SimpleFeaturePyramid = C3, C4, C5

    What the maps do not need (classifier, pooling, later layers) is taken out. Position tables are resized to any
    input. Weights: ``init_cfg=dict(type='PackagePretrained', checkpoint='timm')``, or the path of a file;
    docs/backbones.md lists them. Most were not trained on photos normalised as CLIP's: give ``data_preprocessor`` what
    ``mean`` and ``std`` say.

    Args:
        model_name: timm's, with or without the tag of its weights: ``'convnext_tiny.in12k_ft_in1k'``.
        out_indices: which of timm's intermediate maps (of the blocks, in a plain ViT) are C3, C4 and C5.
        pyramid_channels: channels of each map of a plain ViT's pyramid; of no meaning for the others.
        model_args: further arguments of the model, e.g. ``dict(drop_path_rate=0.1)``.
        freeze, frozen_stages, lora, adapter: what of it learns, see ``TunableEncoder``. Depths are those of timm's
            ``group_matcher``: the stem, the stages (blocks of a plain ViT), the pyramid.
        init_cfg: mmengine's initialisation config.

    Attributes:
        out_channels: channels of (C3, C4, C5).
        mean, std: per RGB channel, in grey levels, that timm gives with the weights.

    Raises:
        ImportError: timm, or torchvision, which timm imports, is missing.
        ValueError: timm has no such model, or it has fewer than three maps.
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
        # Of timm's own patch layer, which refuses other sizes; convolutions take any.
        self.patch_size = max(getattr(getattr(model, 'patch_embed', None), 'patch_size', (1, )))
        self.out_indices = self._choose(strides, out_indices)
        self.model = self._prune(model)
        # mmengine calls init_weights of every child that has one, and timm's would replace the loaded weights.
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
        self.tune(freeze=freeze, frozen_stages=frozen_stages, lora=lora, adapter=adapter)

    def _build(self, **pretrained: Any) -> nn.Module:
        """Build the whole model, able to take photos of any size."""
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
        """Return channels and strides of the maps that timm declares."""
        declared: Any = model.feature_info
        declared = declared if isinstance(declared, list) else declared.info
        if len(declared) < len(STRIDES) or not hasattr(model, 'forward_intermediates'):
            raise InputError(f"timm's {self.model_name} gives {len(declared)} maps and "
                             f'{"has" if hasattr(model, "forward_intermediates") else "lacks"} forward_intermediates: '
                             'three maps are needed')
        return [each['num_chs'] for each in declared], [each['reduction'] for each in declared]

    def _choose(self, strides: list[int], wanted: Sequence[int] | None) -> tuple[int, ...]:
        """Return which of the maps to take."""
        count = len(strides)
        if wanted is not None:
            chosen = tuple(wanted)
            if len(chosen) != 3 or not all(0 <= index < count for index in chosen) or sorted(chosen) != list(chosen):
                raise InputError(f"out_indices={wanted!r} of timm's {self.model_name} should be three rising numbers "
                                 f'from 0 to {count - 1}')
            return chosen
        if self.plain:
            return max(0, round(count / 3) - 1), max(0, round(count * 2 / 3) - 1), count - 1
        if set(STRIDES) <= set(strides):
            return tuple(max(index for index, each in enumerate(strides) if each == stride) for stride in STRIDES)
        return tuple(range(count - 3, count))

    def _prune(self, model: nn.Module) -> Any:
        """Take out what the chosen maps do not need, since a parameter without gradient stops distributed training."""
        model.prune_intermediate_layers(  # type: ignore[operator]
            list(self.out_indices), prune_norm=not self.plain, prune_head=True)
        return model

    def _read_depths(self) -> dict[str, int]:
        """Return the depth of every part that has parameters, by its name; a part of several has the deepest."""
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
        """Return 0 for the stem, then the number of the stage or block, ``num_layers + 1`` for what follows."""
        if name.startswith('pyramid.'):
            return self.num_layers + 1
        # LoRA's and adapters' own names go on where those of the part that they stand at end.
        while name not in self._depths:
            name = name.rpartition('.')[0]
        return self._depths[name]

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Encode normalised photos (N, 3, H, W) to C3, C4, C5 (N, C, ..)."""
        maps = self.model.forward_intermediates(
            whole_patches(images, self.patch_size), indices=list(self.out_indices), norm=self.plain,
            intermediates_only=True)
        if self.pyramid is not None:
            return self.pyramid(maps)
        check_maps(maps, self.out_channels, f"timm's {self.model_name}")
        return tuple(maps)

    def read_pretrained(self, checkpoint: str) -> dict[str, torch.Tensor]:
        """Return weights under this module's names, read and fitted by timm.

        Args:
            checkpoint: ``'timm'`` for what timm publishes under the model's name, or the path of a file that timm
                reads: its own or the original author's.

        Raises:
            MissingWeightsError: they are nowhere, or cannot be fetched.
            WeightsError: they do not fit the model.
        """
        overlay = None
        if checkpoint != PUBLISHED:
            path = expand_path(checkpoint)
            if not path.is_file():
                raise MissingWeightsError(f'there is no weights file {path}; give the path of one for '
                                          f"{self.model_name}, or '{PUBLISHED}' for what timm publishes")
            # Of numpy's archives timm reads arrays only. All else goes through our reader; timm fits what it returns.
            overlay = {'file': str(path)} if path.suffix == '.npz' else {
                'state_dict': read_tensors(path, wrappers=WRAPPERS), 'custom_load': False}
        try:
            # What timm fetches may be a pickle, for some models loaded without torch's check.
            with mmengine_checkpoints_allowed():
                model = self._prune(self._build(pretrained=True, pretrained_cfg_overlay=overlay))
        except (OSError, RuntimeError, KeyError) as error:
            reason = str(error).strip()
            if checkpoint != PUBLISHED:
                raise WeightsError(f"{checkpoint} does not fit timm's {self.model_name}: {reason}") from error
            where = self.model.pretrained_cfg.get('hf_hub_id') or self.model.pretrained_cfg.get('url')
            raise MissingWeightsError(
                f'the weights of {self.model_name} could not be fetched ({type(error).__name__}: {reason[:200]}): '
                f'download {where} elsewhere and give the path of its file as checkpoint') from error
        return {f'model.{name}': value for name, value in model.state_dict().items()}


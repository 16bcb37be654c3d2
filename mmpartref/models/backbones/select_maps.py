"""Backbones of mmseg, mmdet and others as image encoders."""
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from mmpartref.errors import InputError, MissingPackageError
from mmpartref.models.layers.simple_feature_pyramid import STRIDES
from mmpartref.models.layers.tuning.tunable_encoder import TunableEncoder, check_maps
from mmpartref.registry import MODELS

# Side in pixels of the image on which the channels are found; four strides of 32.
DRY_RUN = 128


@MODELS.register_module()
class SelectMaps(TunableEncoder):
    """Select maps of any registered backbone, e.g. ``mmseg.MixVisionTransformer`` or ``mmdet.ResNet``.

    Most backbones return four maps, or those of their ``out_indices``. Their packages are imported when a config names
    them, and need mmcv with its compiled operations. Stages are frozen by the backbone's own ``frozen_stages``.
    Layer-wise learning rates are not supported, because the depth of parameters is unknown.

    Args:
        backbone: config of the backbone, including its ``init_cfg``, or the backbone.
        out_channels: channels of the selected maps, checked in ``forward``; None for those of a dry run.
        indices: which of the backbone's maps are C3, C4 and C5, or C2 to C5; None for those of strides 8, 16 and 32 in
            a dry run, or the last three where there are no such maps.
        freeze, lora, adapter: see ``TunableEncoder``.
        init_cfg: mmengine's initialisation config.

    Raises:
        ImportError: the package or mmcv's compiled operations are missing.
        ValueError: ``indices`` or ``out_channels`` do not have three or four values, or the dry run fails.
    """
    num_layers = 0

    def __init__(self,
                 *,
                 backbone: dict | nn.Module,
                 out_channels: Sequence[int] | None = None,
                 indices: Sequence[int] | None = None,
                 freeze: bool = False,
                 lora: dict | None = None,
                 adapter: dict | None = None,
                 init_cfg: dict | list | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        for name, given in (('out_channels', out_channels), ('indices', indices)):
            if given is not None and len(given) not in (3, 4):
                raise InputError(f'SelectMaps takes three or four {name}, got {given!r}')
        self.kind = type(backbone).__name__ if isinstance(backbone, nn.Module) else str(backbone['type'])
        self.model = backbone if isinstance(backbone, nn.Module) else build_backbone(backbone)
        self.out_channels = tuple(out_channels or ())
        self.indices: tuple[int, ...] = tuple(range(-len(self.out_channels or STRIDES), 0))
        if indices is not None:
            self.indices = tuple(indices)
        if out_channels is not None and len(self.indices) != len(self.out_channels):
            raise InputError(f'SelectMaps has {len(self.indices)} indices but {len(self.out_channels)} out_channels')
        if out_channels is None:
            maps = self._dry_run()
            if indices is None:
                self.indices = choose_maps(maps)
            self._check_number(maps)
            self.out_channels = tuple(maps[index].shape[1] for index in self.indices)
        self.set_trainable(freeze=freeze, frozen_stages=-1, lora=lora, adapter=adapter)

    def _dry_run(self) -> Sequence[torch.Tensor]:
        """Return the backbone's maps of one image of zeros."""
        training = self.model.training
        self.model.eval()  # in mmdet it does not return the module
        try:
            with torch.no_grad():
                maps = self.model(torch.zeros(1, 3, DRY_RUN, DRY_RUN))
        except Exception as error:  # any library's, on its own check of the input
            raise InputError(f'the channels of {self.kind} cannot be found on an image of {DRY_RUN} x {DRY_RUN} pixels '
                             f'({type(error).__name__}: {error}): set them, with backbone=dict(type=\'SelectMaps\', '
                             'out_channels=(...), backbone=dict(...))') from error
        finally:
            self.model.train(training)
        maps = [maps] if isinstance(maps, torch.Tensor) else list(maps)
        if not all(isinstance(each, torch.Tensor) and each.ndim == 4 for each in maps):
            raise InputError(f'{self.kind} does not return maps (N, C, H, W); use a backbone that does')
        return maps

    def _check_number(self, maps: Sequence[torch.Tensor]) -> None:
        needed = max(index + 1 if index >= 0 else -index for index in self.indices)
        if len(maps) < needed:
            raise InputError(f'{self.kind} gives {len(maps)} maps but indices={self.indices} need {needed}: set '
                             'its out_indices')

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Encode normalised images (N, 3, H, W) to the maps of ``indices``.

        Raises:
            ValueError: there are fewer maps than ``indices`` need, or their channels differ from ``out_channels``.
        """
        given = self.model(images)
        self._check_number(given)
        maps = tuple(given[index] for index in self.indices)
        check_maps(maps, self.out_channels, self.kind)
        return maps


def choose_maps(maps: Sequence[torch.Tensor]) -> tuple[int, ...]:
    """Return the indices of the last maps of strides 8, 16 and 32 of the dry run, or of the last three maps."""
    strides = [DRY_RUN // each.shape[-1] for each in maps]
    if set(STRIDES) <= set(strides):
        return tuple(max(index for index, each in enumerate(strides) if each == stride) for stride in STRIDES)
    return -3, -2, -1


def build_backbone(backbone: Mapping[str, Any]) -> nn.Module:
    """Build a backbone of any package.

    Raises:
        MissingPackageError: the package or mmcv's compiled operations are missing; also an ImportError.
    """
    kind = str(backbone['type'])
    try:
        return MODELS.build(backbone)
    except ImportError as error:
        if isinstance(error, MissingPackageError):
            raise
        raise MissingPackageError(
            f"{kind} needs {kind.partition('.')[0]} and mmcv with its compiled operations ({error}): uninstall "
            "mmcv-lite and follow the README's lines for pip install 'mmpartref[all]'", name=error.name) from error


def build_image_encoder(backbone: Mapping[str, Any]) -> nn.Module:
    """Build an image encoder; a backbone without three or four ``out_channels`` is wrapped by ``SelectMaps``.

    Raises:
        MissingPackageError, InputError: as ``SelectMaps``.
    """
    built = build_backbone(backbone)
    channels = getattr(built, 'out_channels', None)
    if isinstance(channels, (tuple, list)) and len(channels) in (len(STRIDES), len(STRIDES) + 1):
        return built
    return SelectMaps(backbone=built)

"""Backbones of mmseg and mmdet as image encoders."""
from collections.abc import Sequence

import torch

from mmpartref.errors import InputError, MissingPackageError
from mmpartref.models.layers.tuning.tunable_encoder import TunableEncoder, check_maps
from mmpartref.registry import MODELS


@MODELS.register_module()
class SelectMaps(TunableEncoder):
    """Select three maps of any registered backbone, e.g. ``mmseg.MixVisionTransformer`` or ``mmdet.ResNet``.

    Most backbones return four maps, or those of their ``out_indices``. Their packages are imported when a config names
    them, and need mmcv with its compiled operations. Stages are frozen by the backbone's own ``frozen_stages``.
    Layer-wise learning rates are not supported, because the depth of parameters is unknown.

    Args:
        backbone: config of the backbone, including its ``init_cfg``.
        out_channels: channels of the three maps, checked in ``forward``.
        indices: which of the backbone's maps are C3, C4 and C5.
        freeze, lora, adapter: see ``TunableEncoder``.
        init_cfg: mmengine's initialisation config.

    Raises:
        ImportError: the package or mmcv's compiled operations are missing.
        ValueError: ``indices`` or ``out_channels`` do not have three values.
    """
    num_layers = 0

    def __init__(self,
                 *,
                 backbone: dict,
                 out_channels: Sequence[int],
                 indices: Sequence[int] = (-3, -2, -1),
                 freeze: bool = False,
                 lora: dict | None = None,
                 adapter: dict | None = None,
                 init_cfg: dict | list | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        if len(out_channels) != 3 or len(indices) != 3:
            raise InputError(f'SelectMaps takes three out_channels and three indices, got {out_channels!r} and '
                             f'{indices!r}')
        self.kind = str(backbone['type'])
        package = self.kind.partition('.')[0]
        try:
            self.model = MODELS.build(backbone)
        except ImportError as error:
            raise MissingPackageError(
                f"{self.kind} needs {package} and mmcv with its compiled operations ({error}): uninstall mmcv-lite and "
                "follow the README's lines for pip install 'mmpartref[all]'", name=error.name) from error
        self.out_channels = tuple(out_channels)
        self.indices = tuple(indices)
        self.set_trainable(freeze=freeze, frozen_stages=-1, lora=lora, adapter=adapter)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Encode normalised images (N, 3, H, W) to C3, C4, C5.

        Raises:
            ValueError: there are fewer maps than ``indices`` need, or their channels differ from ``out_channels``.
        """
        given = self.model(images)
        needed = max(index + 1 if index >= 0 else -index for index in self.indices)
        if len(given) < needed:
            raise InputError(f'{self.kind} gives {len(given)} maps but indices={self.indices} need {needed}: set '
                             'its out_indices')
        maps = tuple(given[index] for index in self.indices)
        check_maps(maps, self.out_channels, self.kind)
        return maps

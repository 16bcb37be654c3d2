"""Image encoders of the sibling packages mmseg and mmdet."""
from collections.abc import Sequence

import torch

from mmpartref.errors import InputError, MissingPackageError
from mmpartref.models.layers.tuning.tunable_encoder import TunableEncoder, check_maps
from mmpartref.registry import MODELS


@MODELS.register_module()
class SelectMaps(TunableEncoder):
    """Three maps of any registered backbone, e.g. ``mmseg.MixVisionTransformer`` or ``mmdet.ResNet``.

    Those give four maps, or as many as their ``out_indices`` ask for. Their packages are imported only by a config that
    names one, and need mmcv with its compiled operations. Which stages are frozen is a switch of their own
    (``frozen_stages``); how deep their parameters lie is not told, so there is no layer-wise rate.

    Args:
        backbone: config of the backbone, its ``init_cfg`` included.
        out_channels: channels of the three maps, compared with what it gives.
        indices: which of its maps are C3, C4 and C5.
        freeze, lora, adapter: what of it learns, see ``TunableEncoder``.
        init_cfg: mmengine's initialisation config.

    Raises:
        ImportError: the package, or mmcv's compiled operations, are missing.
        ValueError: not three indices or channels are given.
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
        self.tune(freeze=freeze, frozen_stages=-1, lora=lora, adapter=adapter)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Encode normalised photos (N, 3, H, W) to C3, C4, C5.

        Raises:
            ValueError: there are fewer maps than ``indices`` ask for, or they have other channels than declared.
        """
        given = self.model(images)
        # The longest index from either end.
        needed = max(index + 1 if index >= 0 else -index for index in self.indices)
        if len(given) < needed:
            raise InputError(f'{self.kind} gives {len(given)} maps but indices={self.indices} ask for {needed}: set '
                             'its out_indices')
        maps = tuple(given[index] for index in self.indices)
        check_maps(maps, self.out_channels, self.kind)
        return maps

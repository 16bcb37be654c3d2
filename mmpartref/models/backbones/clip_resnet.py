"""CLIP's ResNet for dense prediction."""
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn

from mmpartref.errors import InputError
from mmpartref.models.layers.cpu.conv3x3 import Conv3x3
from mmpartref.models.layers.dense_attention_pool import DenseAttentionPool
from mmpartref.models.layers.tuning.tunable_encoder import TunableEncoder
from mmpartref.registry import MODELS


class CLIPBottleneck(nn.Module):
    """ResNet bottleneck with average pooling as stride, before the last convolution and on the residual path."""
    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        out_channels = channels * self.expansion
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = Conv3x3(channels, channels)
        self.bn2 = nn.BatchNorm2d(channels)
        self.avgpool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        # The block is initialised as the identity, as in CLIP.
        nn.init.zeros_(self.bn3.weight)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride > 1 or in_channels != out_channels:
            # '0' and '1' are the names in CLIP's checkpoints.
            self.downsample = nn.Sequential(
                OrderedDict([('pool', nn.AvgPool2d(stride)), ('0', nn.Conv2d(in_channels, out_channels, 1, bias=False)),
                             ('1', nn.BatchNorm2d(out_channels))]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(self.avgpool(x)))
        return self.relu(x + shortcut)


@MODELS.register_module()
class CLIPResNet(TunableEncoder):
    """CLIP's modified ResNet: three-convolution stem, anti-aliased strides, dense attention pool on C5.

    ::

        images (N, 3, H, W) -> stem /4 -> layer1 /4 -> layer2 /8 = C3 -> layer3 /16 = C4 -> layer4 /32 -> pool = C5

    Sources: Radford et al. 2021, section 2.4; the dense pool and its residual from CRIS (CVPR 2022, published code).

    Args:
        layers: bottlenecks in each of the four stages; (3, 4, 6, 3) is RN50, (3, 4, 23, 3) RN101.
        width: channels after the stem; 64 for RN50 and RN101.
        embed_channels: width of CLIP's embedding, the channels of C5; 1024 for RN50, 512 for RN101.
        num_heads: heads of the attention pool; CLIP uses width / 2.
        pretrain_grid: side of the pretrained position grid; CLIP's training resolution / 32.
        out_indices: which of the maps of strides 4, 8, 16 and 32 are returned: (1, 2, 3) are C3, C4 and C5,
            (0, 1, 2, 3) have C2 in front.
        freeze, frozen_stages, lora, adapter: see ``TunableEncoder``. Depths are the stem, the four
            stages and the attention pool.
        init_cfg: mmengine's initialisation config.

    Attributes:
        out_channels: channels of the returned maps.
        embed_channels: width of the embedding that ``embed`` returns.

    Raises:
        InputError: ``out_indices`` are neither of the two.
    """
    # Part of a CLIP checkpoint for CLIPPretrainedInit.
    # As published, position embeddings learn at the head's rate.
    lr_mults = {'attnpool.positional_embedding': 1.0}
    clip_tower = 'backbone'
    new_parts = ('attnpool.connect.', )
    num_layers = 4

    def __init__(self,
                 *,
                 layers: tuple[int, int, int, int] = (3, 4, 6, 3),
                 width: int = 64,
                 embed_channels: int = 1024,
                 num_heads: int = 32,
                 pretrain_grid: int = 7,
                 out_indices: Sequence[int] = (1, 2, 3),
                 freeze: bool = False,
                 frozen_stages: int = -1,
                 lora: dict | None = None,
                 adapter: dict | None = None,
                 init_cfg: dict | list | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        if tuple(out_indices) not in ((1, 2, 3), (0, 1, 2, 3)):
            raise InputError(f'out_indices={out_indices!r} of CLIPResNet should be (1, 2, 3), or (0, 1, 2, 3) with C2')
        half = width // 2
        self.conv1 = nn.Conv2d(3, half, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(half)
        self.conv2 = Conv3x3(half, half)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = Conv3x3(half, width)
        self.bn3 = nn.BatchNorm2d(width)
        self.avgpool = nn.AvgPool2d(2)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = self._make_stage(width, width, layers[0], stride=1)
        self.layer2 = self._make_stage(width * 4, width * 2, layers[1], stride=2)
        self.layer3 = self._make_stage(width * 8, width * 4, layers[2], stride=2)
        self.layer4 = self._make_stage(width * 16, width * 8, layers[3], stride=2)
        self.attnpool = DenseAttentionPool(width * 32, embed_channels, num_heads, pretrain_grid)
        self.out_channels = (width * 4, width * 8, width * 16, embed_channels)[-len(out_indices):]
        self.embed_channels = embed_channels
        self.set_trainable(freeze=freeze, frozen_stages=frozen_stages, lora=lora, adapter=adapter)

    def layer_id(self, name: str) -> int:
        """Return 0 for the stem, 1 to 4 for the stages, 5 for the attention pool."""
        if name.startswith('attnpool.'):
            return self.num_layers + 1
        return int(name[len('layer')]) if name.startswith('layer') else 0

    @staticmethod
    def _make_stage(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
        first = CLIPBottleneck(in_channels, channels, stride)
        rest = (CLIPBottleneck(channels * CLIPBottleneck.expansion, channels, 1) for _ in range(blocks - 1))
        return nn.Sequential(first, *rest)

    def stages(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the outputs of the four stages, before the attention pool."""
        x = self.relu(self.bn1(self.conv1(images)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.relu(self.bn3(self.conv3(x)))
        c2 = self.layer1(self.avgpool(x))  # (N, C, H/4, W/4)
        c3 = self.layer2(c2)  # (N, C, H/8, W/8)
        c4 = self.layer3(c3)  # (N, C, H/16, W/16)
        return c2, c3, c4, self.layer4(c4)  # (N, C, H/32, W/32)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Encode normalised images (N, 3, H, W) to C3 (N, C, H/8, W/8), C4 (.., H/16, W/16), C5 (.., H/32, W/32).

        With ``out_indices=(0, 1, 2, 3)`` C2 (N, C, H/4, W/4) comes first.
        """
        *maps, last = self.stages(images)
        return (*maps, self.attnpool(last))[-len(self.out_channels):]

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return CLIP's embedding (N, embed_channels) of normalised images, without scaling to length 1."""
        return self.attnpool.pool(self.stages(images)[-1])

    def dense(self, images: torch.Tensor) -> torch.Tensor:
        """Return MaskCLIP's dense features (N, embed_channels, H/32, W/32), in the space of CLIP's embedding."""
        return self.attnpool.values(self.stages(images)[-1])

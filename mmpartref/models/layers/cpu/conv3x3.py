"""3x3 convolution by Winograd's minimal filtering, for inference on a CPU.

A tile of 2 x 2 outputs of a 3x3 convolution takes 36 multiplications per pair of channels; F(2x2, 3x3) takes 16. The
4 x 4 inputs of a tile are transformed by additions, multiplied elementwise with the transformed kernel, and transformed
back. Over all T tiles these are 16 matrix products::

    tiles (16, T, C) --B--> (16, T, C) @ kernel (16, C, C') --A--> (4, T, C')

Sources: Winograd, "Arithmetic Complexity of Computations", 1980; Lavin and Gray, "Fast Algorithms for Convolutional
Neural Networks", CVPR 2016, section 4. The transforms' factors are 0, 1/2 and 1, so the rounding error is below that of
the direct sum of 9 C products. Larger tiles would save more multiplications and round more.
"""
import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from mmpartref.models.layers.cpu.cpu_fast_paths import is_cpu_inference

# With fewer channels the transforms cost what they save (measured on one core of an x86-64 CPU, tools/benchmark.py).
MIN_CHANNELS = 64
# Tiles transformed together, so that the intermediate results fit into the cache.
TILES_AT_ONCE = 256
TILE = 2
PATCH = TILE + 2

# Transforms of patch, kernel and result along one axis (Lavin and Gray, equation 7).
PATCH_TRANSFORM = torch.tensor([[1., 0., -1., 0.], [0., 1., 1., 0.], [0., -1., 1., 0.], [0., 1., 0., -1.]],
                               device='cpu')
KERNEL_TRANSFORM = torch.tensor([[1., 0., 0.], [.5, .5, .5], [.5, -.5, .5], [0., 0., 1.]], dtype=torch.float64,
                                device='cpu')
RESULT_TRANSFORM = torch.tensor([[1., 1., 1., 0.], [0., 1., -1., -1.]], device='cpu')
# Both axes at once.
PATCH_TRANSFORM_2D = torch.kron(PATCH_TRANSFORM, PATCH_TRANSFORM)  # (16, 16)
RESULT_TRANSFORM_2D = torch.kron(RESULT_TRANSFORM, RESULT_TRANSFORM)  # (4, 16)


def transform_kernel(weight: torch.Tensor) -> torch.Tensor:
    """Return the Winograd transform (16, C, C') of a kernel (C', C, 3, 3), in its dtype; computed in float64."""
    transformed = torch.einsum('ij,ocjk,lk->ilco', KERNEL_TRANSFORM, weight.double(), KERNEL_TRANSFORM)
    return transformed.flatten(0, 1).to(weight.dtype).contiguous()


def winograd(x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Return ``conv2d(x, weight, padding=1)``, computed image by image and band by band.

    Args:
        x: (N, C, H, W) float32, fastest in channels-last memory.
        kernel: (16, C, C'), see ``transform_kernel``.

    Returns:
        (N, C', H, W), in channels-last memory. A row does not depend on the number of rows.
    """
    rows, channels, height, width = x.shape
    down, across = -(-height // TILE), -(-width // TILE)
    out_channels = kernel.size(2)
    # Zero padding of the convolution, and of incomplete tiles.
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, TILE * across - width + 1, 1, TILE * down - height + 1))
    padded = padded.contiguous()  # (N, 2 down + 2, 2 across + 2, C)
    result = x.new_empty(rows, down, TILE, across, TILE, out_channels)
    band = max(1, TILES_AT_ONCE // across)
    for row, top in itertools.product(range(rows), range(0, down, band)):
        lines = min(band, down - top)
        strip = padded[row, TILE * top:]
        step_y, step_x, step_c = strip.stride()
        patches = strip.as_strided((PATCH, PATCH, lines, across, channels),
                                   (step_y, step_x, TILE * step_y, TILE * step_x, step_c))
        transformed = PATCH_TRANSFORM_2D @ patches.reshape(PATCH**2, lines * across * channels)
        products = torch.bmm(transformed.view(PATCH**2, lines * across, channels), kernel)
        tiles = (RESULT_TRANSFORM_2D @ products.view(PATCH**2, -1)).view(TILE, TILE, lines, across, out_channels)
        result[row, top:top + lines] = tiles.permute(2, 0, 3, 1, 4)
    whole = result.view(rows, TILE * down, TILE * across, out_channels)
    return whole[:, :height, :width].permute(0, 3, 1, 2)


class Conv3x3(nn.Conv2d):
    """3x3 convolution with stride 1 and padding 1; its parameters have the names and shapes of ``nn.Conv2d``'s.

    In float32 inference on a CPU it computes by ``winograd`` and caches the transformed kernel until the weight
    changes, which takes 16/9 of the weight's memory. Otherwise it is ``nn.Conv2d``.

    Args:
        in_channels, out_channels, bias: as in ``nn.Conv2d``.

    Attributes:
        fast: False always computes as ``nn.Conv2d``; the results differ by rounding.
    """

    def __init__(self, in_channels: int, out_channels: int, bias: bool = False) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1, bias=bias)
        self.fast = True
        self._kernel: torch.Tensor | None = None
        # Identity, version and address of the weight that the cached kernel was computed from.
        self._stamp: tuple[Any, ...] = ()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to (N, C', H, W)."""
        if not (self.fast and min(self.in_channels, self.out_channels) >= MIN_CHANNELS
                and is_cpu_inference(x, self.weight) and not self.weight.is_inference()):
            return super().forward(x)
        result = winograd(x, self._transformed())
        return result if self.bias is None else result.add_(self.bias.view(-1, 1, 1))

    def _transformed(self) -> torch.Tensor:
        # In-place changes raise a weight's version, except those of ``weight.data`` (EMA), which ``train`` follows.
        stamp = (self.weight, self.weight._version, self.weight.data_ptr())
        cached = self._kernel
        if cached is None or self._stamp[0] is not stamp[0] or self._stamp[1:] != stamp[1:]:
            with torch.inference_mode(False), torch.no_grad():
                cached = transform_kernel(self.weight)
            self._kernel, self._stamp = cached, stamp
        return cached

    def _clear(self) -> None:
        self._kernel, self._stamp = None, ()

    def train(self, mode: bool = True) -> 'Conv3x3':
        """Switch between training and evaluation, and clear the cached kernel."""
        self._clear()
        return super().train(mode)

    def _apply(self, fn: Any, recurse: bool = True) -> 'Conv3x3':
        """Move or convert, and clear the cached kernel."""
        self._clear()
        return super()._apply(fn, recurse)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for copies and pickles, without the cached kernel."""
        return {**self.__dict__, '_kernel': None, '_stamp': ()}

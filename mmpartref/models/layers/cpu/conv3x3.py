"""3x3 convolution with fewer multiplications, for inference on a CPU.

A tile of 2 x 2 outputs of a 3x3 convolution takes 36 multiplications per pair of channels. Winograd's minimal filtering
F(2x2, 3x3) takes 16: the 4 x 4 inputs under the tile are transformed by additions, multiplied place by place with the
transformed kernel, and transformed back. All tiles together make 16 matrix products::

    tiles (16, T, C) --B--> (16, T, C) @ kernel (16, C, C') --A--> (4, T, C')

Sources: Winograd, "Arithmetic Complexity of Computations", 1980; Lavin and Gray, "Fast Algorithms for Convolutional
Neural Networks", CVPR 2016, section 4. Its factors are 0, 1/2 and 1, so that it rounds less than the direct sum of
9 C products; larger tiles save more and round more, and are not used.
"""
import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from mmpartref.models.layers.cpu.cached_constants import cached_constant
from mmpartref.models.layers.cpu.cpu_inference import is_cpu_inference

# Measured on one core of an x86-64 CPU (tools/benchmark.py): with fewer channels the transforms cost what they save.
LEAST_CHANNELS = 64
# Tiles transformed together: what they need stays in the cache.
TILES_AT_ONCE = 256
TILE = 2
PATCH = TILE + 2

# One axis of the transforms of patch, kernel and result (Lavin and Gray, equation 7).
PATCH_TRANSFORM = ((1., 0., -1., 0.), (0., 1., 1., 0.), (0., -1., 1., 0.), (0., 1., 0., -1.))
KERNEL_TRANSFORM = ((1., 0., 0.), (.5, .5, .5), (.5, -.5, .5), (0., 0., 1.))
RESULT_TRANSFORM = ((1., 1., 1., 0.), (0., 1., -1., -1.))

@cached_constant
def both_axes(transform: tuple[tuple[float, ...], ...]) -> torch.Tensor:
    """Return what transforms rows and columns at once: the Kronecker product of a one-axis transform with itself."""
    one = torch.tensor(transform)
    return torch.kron(one, one)


def transform_kernel(weight: torch.Tensor) -> torch.Tensor:
    """Turn a kernel (C', C, 3, 3) into (16, C, C')."""
    one = torch.tensor(KERNEL_TRANSFORM, dtype=torch.float64)
    # In double precision: it is done once and would otherwise round every product.
    transformed = torch.einsum('ij,ocjk,lk->ilco', one, weight.double(), one)
    return transformed.flatten(0, 1).to(weight.dtype).contiguous()


def winograd(x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Return ``conv2d(x, weight, padding=1)``.

    Row by row, so that a row's result does not depend on how many there are, and strip by strip.

    Args:
        x: (N, C, H, W) float32, fastest in channels-last memory.
        kernel: (16, C, C'), see ``transform_kernel``.

    Returns:
        (N, C', H, W), in channels-last memory.
    """
    rows, channels, height, width = x.shape
    down, across = -(-height // TILE), -(-width // TILE)
    out_channels = kernel.size(2)
    # The convolution's own border of zeros, and what fills the last tiles.
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, TILE * across - width + 1, 1, TILE * down - height + 1))
    padded = padded.contiguous()  # (N, 2 down + 2, 2 across + 2, C)
    into, out = both_axes(PATCH_TRANSFORM), both_axes(RESULT_TRANSFORM)
    result = x.new_empty(rows, down, TILE, across, TILE, out_channels)
    band = max(1, TILES_AT_ONCE // across)
    for row, top in itertools.product(range(rows), range(0, down, band)):
        lines = min(band, down - top)
        strip = padded[row, TILE * top:]
        step_y, step_x, step_c = strip.stride()
        patches = strip.as_strided((PATCH, PATCH, lines, across, channels),
                                   (step_y, step_x, TILE * step_y, TILE * step_x, step_c))
        transformed = into @ patches.reshape(PATCH**2, lines * across * channels)
        products = torch.bmm(transformed.view(PATCH**2, lines * across, channels), kernel)
        tiles = (out @ products.view(PATCH**2, -1)).view(TILE, TILE, lines, across, out_channels)
        result[row, top:top + lines] = tiles.permute(2, 0, 3, 1, 4)
    whole = result.view(rows, TILE * down, TILE * across, out_channels)
    return whole[:, :height, :width].permute(0, 3, 1, 2)


class Conv3x3(nn.Conv2d):
    """A 3x3 convolution of stride 1 that keeps the map's size; names and shapes of its weights are ``nn.Conv2d``'s.

    On a CPU in float32, where no gradient is wanted, it computes by ``winograd`` and keeps the transformed kernel for
    as long as the weight stays what it is: 16/9 of the weight's memory on top of it. Everywhere else it is
    ``nn.Conv2d``.

    Args:
        in_channels, out_channels, bias: as in ``nn.Conv2d``.

    Attributes:
        fast: False computes everywhere as ``nn.Conv2d`` does; the results differ by rounding.
    """

    def __init__(self, in_channels: int, out_channels: int, bias: bool = False) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1, bias=bias)
        self.fast = True
        self._kernel: torch.Tensor | None = None
        self._stamp: tuple[Any, ...] = ()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to (N, C', H, W)."""
        if not self._pays(x):
            return super().forward(x)
        result = winograd(x, self._transformed())
        # The result is nobody else's yet.
        return result if self.bias is None else result.add_(self.bias.view(-1, 1, 1))

    def _pays(self, x: torch.Tensor) -> bool:
        return (self.fast and min(self.in_channels, self.out_channels) >= LEAST_CHANNELS
                and is_cpu_inference(x, self.weight) and not self.weight.is_inference())

    def _transformed(self) -> torch.Tensor:
        # Writing into a weight raises its version; an EMA's swap, which writes past it, is told by ``train``.
        stamp = (self.weight, self.weight._version, self.weight.data_ptr())
        kept = self._kernel
        if kept is None or self._stamp[0] is not stamp[0] or self._stamp[1:] != stamp[1:]:
            with torch.inference_mode(False), torch.no_grad():
                kept = transform_kernel(self.weight)
            self._kernel, self._stamp = kept, stamp
        return kept

    def train(self, mode: bool = True) -> 'Conv3x3':
        """Switch between training and evaluation; forgets the transformed kernel."""
        self._kernel, self._stamp = None, ()
        return super().train(mode)

    def _apply(self, fn: Any, recurse: bool = True) -> 'Conv3x3':
        """Move or convert; forgets the transformed kernel."""
        self._kernel, self._stamp = None, ()
        return super()._apply(fn, recurse)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the transformed kernel out of copies and files."""
        return {**self.__dict__, '_kernel': None, '_stamp': ()}

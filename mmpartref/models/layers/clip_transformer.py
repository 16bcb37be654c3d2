"""CLIP's pre-norm transformer, the text tower's and the vision transformer's."""
from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import nn

from mmpartref.errors import InputError


class QuickGELU(nn.Module):
    """``x * sigmoid(1.702 x)``, the approximation OpenAI's CLIPs were trained with."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(1.702 * x)


ACTIVATIONS: dict[str, type[nn.Module]] = {'quick_gelu': QuickGELU, 'gelu': nn.GELU}


class CLIPResidualBlock(nn.Module):
    """Pre-norm transformer block; the names of its parts are those of CLIP's checkpoints.

    Args:
        width: channels. heads: attention heads.
        depth: blocks of the whole stack; CLIP initialises the residual branches the smaller, the more there are.
        activation: ``'quick_gelu'`` or ``'gelu'``.
    """

    def __init__(self, width: int, heads: int, depth: int, activation: str) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_1 = nn.LayerNorm(width)
        widen, narrow = nn.Linear(width, width * 4), nn.Linear(width * 4, width)
        self.mlp = nn.Sequential(
            OrderedDict([('c_fc', widen), ('gelu', ACTIVATIONS[activation]()), ('c_proj', narrow)]))
        self.ln_2 = nn.LayerNorm(width)
        branch_std = width**-0.5 * (2 * depth)**-0.5
        nn.init.normal_(self.attn.in_proj_weight, std=width**-0.5)
        nn.init.normal_(self.attn.out_proj.weight, std=branch_std)
        nn.init.normal_(widen.weight, std=(2 * width)**-0.5)
        nn.init.normal_(narrow.weight, std=branch_std)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None, alone: bool = False) -> torch.Tensor:
        """Run tokens (B, L, width); with ``alone`` each attends to itself and to nothing else."""
        normed = self.ln_1(x)
        if alone:
            # What attention gives with all weight on oneself: the projection of one's own value.
            weight, bias = self.attn.in_proj_weight.chunk(3)[2], self.attn.in_proj_bias.chunk(3)[2]
            x = x + self.attn.out_proj(F.linear(normed, weight, bias))
        else:
            x = x + self.attn(normed, normed, normed, need_weights=False, attn_mask=mask)[0]
        return x + self.mlp(self.ln_2(x))


class CLIPTransformer(nn.Module):
    """The stack of blocks, a module of its own because CLIP's checkpoints call it ``transformer.resblocks``.

    Raises:
        ValueError: the activation is unknown, or the width does not divide into heads.
    """

    def __init__(self, width: int, layers: int, heads: int, activation: str = 'quick_gelu') -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise InputError(f"activation={activation!r} is unknown; choose one of {sorted(ACTIVATIONS)}")
        if width % heads:
            raise InputError(f'a transformer {width} wide does not divide into {heads} heads')
        self.resblocks = nn.ModuleList(CLIPResidualBlock(width, heads, layers, activation) for _ in range(layers))

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None, last_alone: bool = False) -> torch.Tensor:
        """Run tokens (B, L, width).

        Args:
            x: the tokens.
            mask: (L, L) bool, true where a token must not look.
            last_alone: in the last block each token looks at itself and nothing else.
        """
        for depth, block in enumerate(self.resblocks, start=1):
            x = block(x, mask, last_alone and depth == len(self.resblocks))
        return x

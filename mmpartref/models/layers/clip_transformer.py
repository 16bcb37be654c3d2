"""CLIP's pre-norm transformer, of the text encoder and the vision transformer."""
from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import nn

from mmpartref.errors import InputError
from mmpartref.models.layers.batch_first_attention import BatchFirstAttention


class QuickGELU(nn.Module):
    """``x * sigmoid(1.702 x)``, the approximation of GELU that OpenAI's CLIPs were trained with."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(1.702 * x)


ACTIVATIONS: dict[str, type[nn.Module]] = {'quick_gelu': QuickGELU, 'gelu': nn.GELU}


class CLIPResidualBlock(nn.Module):
    """Pre-norm transformer block with the parameter names of CLIP's checkpoints.

    Args:
        width: channels C.
        heads: attention heads.
        depth: blocks of the whole transformer; CLIP scales the initialisation of residual branches by it.
        activation: ``'quick_gelu'`` or ``'gelu'``.
    """

    def __init__(self, width: int, heads: int, depth: int, activation: str) -> None:
        super().__init__()
        self.attn = BatchFirstAttention(width, heads)
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

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None, self_only: bool = False) -> torch.Tensor:
        """Run tokens (B, L, C); with ``self_only`` each token attends to itself alone."""
        normed = self.ln_1(x)
        if self_only:
            # Attention with all weight on the query's position: the projection of the value there.
            weight, bias = self.attn.in_proj_weight.chunk(3)[2], self.attn.in_proj_bias.chunk(3)[2]
            x = x + self.attn.out_proj(F.linear(normed, weight, bias))
        else:
            x = x + self.attn(normed, normed, normed, attn_mask=mask)[0]
        return x + self.mlp(self.ln_2(x))


class CLIPTransformer(nn.Module):
    """Stack of ``CLIPResidualBlock``; CLIP's checkpoints name it ``transformer.resblocks``.

    Raises:
        ValueError: the activation is unknown, or ``width`` is not divisible by ``heads``.
    """

    def __init__(self, width: int, layers: int, heads: int, activation: str = 'quick_gelu') -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise InputError(f"activation={activation!r} is unknown; choose one of {sorted(ACTIVATIONS)}")
        if width % heads:
            raise InputError(f'the transformer width {width} is not divisible by {heads} heads')
        self.resblocks = nn.ModuleList(CLIPResidualBlock(width, heads, layers, activation) for _ in range(layers))

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None,
                self_only_last_block: bool = False) -> torch.Tensor:
        """Run tokens (B, L, C).

        Args:
            x: the tokens.
            mask: (L, L) bool, true where attention is masked out.
            self_only_last_block: in the last block each token attends to itself alone.
        """
        for depth, block in enumerate(self.resblocks, start=1):
            x = block(x, mask, self_only_last_block and depth == len(self.resblocks))
        return x

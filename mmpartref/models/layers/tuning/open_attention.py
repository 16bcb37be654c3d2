"""Multi-head attention whose projections are layers of their own."""
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from mmpartref.errors import InputError

OTHERS = 'name other layers than in_proj and out_proj in target_modules'


class OpenAttention(nn.Module):
    """What ``nn.MultiheadAttention`` computes, by ``nn.Linear`` layers that LoRA can be put on.

    ``nn.MultiheadAttention`` reads its weights past any layer: what is put around its ``out_proj`` is never called. The
    package peft gets round that by writing the merged weight into the layer and subtracting it again at each step,
    which rounds the frozen weight every time and makes a new parameter of it. Here ``in_proj`` and ``out_proj`` are
    ordinary layers. In a state dict the names are those of ``nn.MultiheadAttention`` (see ``TunableEncoder``).

    Args:
        attention: whose weights to take over, not copied. Query, key and value of one width, batch first.

    Raises:
        ValueError: ``attention`` is of another kind.
    """

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        if not attention._qkv_same_embed_dim or attention.bias_k is not None or attention.add_zero_attn:
            raise InputError(f'lora: only plain self-attention of one width can be opened; {OTHERS}')
        if not attention.batch_first:
            raise InputError(f'lora: attention has to be batch first to be opened; {OTHERS}')
        self.num_heads = attention.num_heads
        self.dropout = attention.dropout
        channels = attention.embed_dim
        weight = attention.in_proj_weight
        with torch.device('meta'):
            self.in_proj = nn.Linear(channels, 3 * channels, bias=attention.in_proj_bias is not None)
            self.out_proj = nn.Linear(channels, channels, bias=attention.out_proj.bias is not None)
        assert weight is not None
        self.in_proj.weight, self.in_proj.bias = weight, attention.in_proj_bias
        self.out_proj.weight, self.out_proj.bias = attention.out_proj.weight, attention.out_proj.bias

    @property
    def in_proj_weight(self) -> torch.Tensor:
        """(3 C, C), with what LoRA adds to it."""
        layer: Any = self.in_proj
        weight = layer.weight
        if hasattr(layer, 'get_delta_weight') and not layer.merged:
            for name in layer.active_adapters:
                weight = weight + layer.get_delta_weight(name)
        return weight

    @property
    def in_proj_bias(self) -> torch.Tensor | None:
        """(3 C,)."""
        return self.in_proj.bias

    def forward(self,
                query: torch.Tensor,
                key: torch.Tensor,
                value: torch.Tensor,
                need_weights: bool = False,
                attn_mask: torch.Tensor | None = None) -> tuple[torch.Tensor, None]:
        """Let tokens (B, L, C) look at themselves.

        Args:
            query, key, value: the same tensor.
            need_weights: must be false: the fused kernel has no weights to give.
            attn_mask: (L, L) or (B * heads, L, L); boolean, true where not to look, or added to the scores.

        Returns:
            (B, L, C) and None, as ``nn.MultiheadAttention`` returns a pair.
        """
        if need_weights or key is not query or value is not query:
            raise InputError('OpenAttention is self-attention without returned weights')
        parts = self.in_proj(query).chunk(3, dim=-1)
        queries, keys, values = (part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for part in parts)
        if attn_mask is not None:
            # The fused kernel's booleans say where to look, nn.MultiheadAttention's where not to.
            attn_mask = ~attn_mask if attn_mask.dtype == torch.bool else attn_mask.to(queries.dtype)
            if attn_mask.ndim == 3:
                attn_mask = attn_mask.unflatten(0, (-1, self.num_heads))
        dropout = self.dropout if self.training else 0.0
        attended = F.scaled_dot_product_attention(queries, keys, values, attn_mask, dropout)  # (B, heads, L, C / heads)
        return self.out_proj(attended.transpose(1, 2).flatten(2)), None


def open_attentions(module: nn.Module) -> int:
    """Replace every ``nn.MultiheadAttention`` inside ``module`` by an ``OpenAttention``; returns how many."""
    opened = 0
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.MultiheadAttention):
                setattr(parent, name, OpenAttention(child))
                opened += 1
    return opened

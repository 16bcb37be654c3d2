"""Multi-head self-attention with separate projection layers, for LoRA."""
from typing import Any

import torch
from torch import nn

from mmpartref.errors import InputError
from mmpartref.models.layers.batch_first_attention import attend

OTHERS = 'name other layers than in_proj and out_proj in target_modules'


class UnfusedAttention(nn.Module):
    """``nn.MultiheadAttention`` for self-attention, with ``in_proj`` and ``out_proj`` as ``nn.Linear`` layers.

    ``nn.MultiheadAttention`` uses the weights of its projections without calling them as layers, so that a LoRA layer
    around them has no effect. peft's own support merges the LoRA weight and subtracts it again at each step, which
    rounds the frozen weight each time and replaces the parameter. In a state dict of ``TunableEncoder`` the names are
    those of ``nn.MultiheadAttention``.

    Args:
        attention: shares its parameters with the new layer. Query, key and value of one width, batch first.

    Raises:
        ValueError: ``attention`` has keys or values of other widths, added biases, or is not batch first.
    """

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        if not attention._qkv_same_embed_dim or attention.bias_k is not None or attention.add_zero_attn:
            raise InputError(f'lora: only self-attention of one width without added keys is supported; {OTHERS}')
        if not attention.batch_first:
            raise InputError(f'lora: attention has to be batch first; {OTHERS}')
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
        """Weight (3 C, C) including LoRA's update."""
        layer: Any = self.in_proj
        weight = layer.weight
        if hasattr(layer, 'get_delta_weight') and not layer.merged:
            for name in layer.active_adapters:
                weight = weight + layer.get_delta_weight(name)
        return weight

    @property
    def in_proj_bias(self) -> torch.Tensor | None:
        """Bias (3 C,)."""
        return self.in_proj.bias

    def forward(self,
                query: torch.Tensor,
                key: torch.Tensor,
                value: torch.Tensor,
                need_weights: bool = False,
                attn_mask: torch.Tensor | None = None) -> tuple[torch.Tensor, None]:
        """Compute self-attention of tokens (B, L, C).

        Args:
            query, key, value: the same tensor.
            need_weights: must be False, since the fused kernel does not return attention weights.
            attn_mask: (L, L) or (B * heads, L, L); bool, true where attention is masked out, or added to the scores.

        Returns:
            (B, L, C) and None, a pair as from ``nn.MultiheadAttention``.

        Raises:
            ValueError: for cross-attention or ``need_weights=True``.
        """
        if need_weights or key is not query or value is not query:
            raise InputError('UnfusedAttention supports self-attention without returned weights only')
        if attn_mask is not None and attn_mask.ndim == 3:
            attn_mask = attn_mask.unflatten(0, (-1, self.num_heads))
        dropout = self.dropout if self.training else 0.0
        attended = attend(self.in_proj(query).chunk(3, dim=-1), self.num_heads, attn_mask, dropout)
        return self.out_proj(attended), None


def unfuse_attentions(module: nn.Module) -> None:
    """Replace every ``nn.MultiheadAttention`` inside ``module`` by an ``UnfusedAttention``."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.MultiheadAttention):
                setattr(parent, name, UnfusedAttention(child))

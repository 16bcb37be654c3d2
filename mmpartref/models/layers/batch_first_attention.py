"""``nn.MultiheadAttention`` on contiguous rows."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from mmpartref.errors import InputError


def attend(projected: Sequence[torch.Tensor], num_heads: int, mask: torch.Tensor | None = None,
           dropout: float = 0.0) -> torch.Tensor:
    """Attend from queries to keys and values; returns (B, Q, C).

    Args:
        projected: queries (B, Q, C), keys (B, L, C) and values (B, L, C).
        num_heads: attention heads; they split C.
        mask: broadcast to (B, heads, Q, L); bool, true where attention is masked out, or added to the scores.
        dropout: rate of the attention weights.
    """
    queries, keys, values = (each.unflatten(-1, (num_heads, -1)).transpose(1, 2) for each in projected)
    if mask is not None:
        # True means attend for scaled_dot_product_attention, masked out for nn.MultiheadAttention.
        mask = ~mask if mask.dtype == torch.bool else mask.to(queries.dtype)
    attended = F.scaled_dot_product_attention(queries, keys, values, mask, dropout)  # (B, heads, Q, C / heads)
    return attended.transpose(1, 2).flatten(2)


class BatchFirstAttention(nn.MultiheadAttention):
    """``nn.MultiheadAttention`` of (B, L, C) that does not transpose its input to (L, B, C).

    Transposed rows are not contiguous, and torch multiplies such rows by a copy of the weights for each of the L
    positions where the weights need no gradient: if they are frozen, or under autocast in inference. In CRIS's decoder
    at 416 x 416 these are 676 copies of 512 x 512. Parameters and results as ``nn.MultiheadAttention`` with
    ``batch_first=True``, without the options ``bias=False``, ``add_bias_kv``, ``add_zero_attn`` and
    ``is_causal``, inputs without a batch and masks per head.

    Args:
        channels: width C of queries and result.
        num_heads: attention heads.
        dropout: rate of the attention weights in training.
        word_channels: width of keys and values; None: C.
    """

    def __init__(self, channels: int, num_heads: int, dropout: float = 0.0, word_channels: int | None = None) -> None:
        super().__init__(
            channels, num_heads, dropout=dropout, kdim=word_channels, vdim=word_channels, batch_first=True)

    def forward(self,  # type: ignore[override]
                query: torch.Tensor,
                key: torch.Tensor,
                value: torch.Tensor,
                key_padding_mask: torch.Tensor | None = None,
                need_weights: bool = False,
                attn_mask: torch.Tensor | None = None) -> tuple[torch.Tensor, None]:
        """Attend from queries (B, Q, C) to keys and values (B, L, word_channels).

        Args:
            query, key, value: projected in one product where they are one tensor.
            key_padding_mask: (B, L) bool, true at keys that are masked out.
            need_weights: must be False, since the fused kernel does not return attention weights.
            attn_mask: (Q, L) bool, true where attention is masked out, or added to the scores; one of the two masks.

        Returns:
            (B, Q, C) and None, a pair as from ``nn.MultiheadAttention``.

        Raises:
            ValueError: with ``need_weights=True`` or both masks.
        """
        if need_weights or (key_padding_mask is not None and attn_mask is not None):
            raise InputError('BatchFirstAttention takes one mask and returns no weights; use nn.MultiheadAttention')
        mask = attn_mask if key_padding_mask is None else key_padding_mask[:, None, None]
        dropout = self.dropout if self.training else 0.0
        attended = attend(self.project(query, key, value), self.num_heads, mask, dropout)
        return self.out_proj(attended), None

    def project(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> Sequence[torch.Tensor]:
        """Return projected queries (B, Q, C), keys and values (B, L, C)."""
        if self.in_proj_weight is None:
            weights = self.q_proj_weight, self.k_proj_weight, self.v_proj_weight
            return [F.linear(*each) for each in zip((query, key, value), weights, self.in_proj_bias.chunk(3),
                                                    strict=True)]
        if query is key and key is value:
            return F.linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        widths = [2 * self.embed_dim, self.embed_dim]
        if query is key:
            shared, last = self.in_proj_weight.split(widths)
            shared_bias, last_bias = self.in_proj_bias.split(widths)
            return [*F.linear(query, shared, shared_bias).chunk(2, dim=-1), F.linear(value, last, last_bias)]
        return [F.linear(*each) for each in zip((query, key, value), self.in_proj_weight.chunk(3),
                                                self.in_proj_bias.chunk(3), strict=True)]

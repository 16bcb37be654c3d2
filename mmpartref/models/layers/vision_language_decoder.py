"""CRIS's vision-language decoder: transformer layers with pixels as queries and words as keys."""
import torch
from torch import nn

from mmpartref.models.layers.batch_first_attention import BatchFirstAttention
from mmpartref.models.layers.position_encodings import sine_positions_1d, sine_positions_2d


class VisionLanguageDecoderLayer(nn.Module):
    """Self-attention of pixels, cross-attention to words, feed-forward.

    Pre-norm, with a second norm on the output of each attention and one inside the feed-forward, as in CRIS's published
    code (the paper's figure has only the first).

    Args:
        channels: width C of the pixel rows.
        word_channels: width D of the words.
        num_heads: attention heads.
        feedforward_channels: hidden width of the feed-forward part.
        dropout: rate, also on the attention weights.
    """

    def __init__(self, channels: int, word_channels: int, num_heads: int, feedforward_channels: int,
                 dropout: float) -> None:
        super().__init__()
        self.self_attn = BatchFirstAttention(channels, num_heads, dropout)
        self.cross_attn = BatchFirstAttention(channels, num_heads, dropout, word_channels)
        self.ffn = nn.Sequential(
            nn.Linear(channels, feedforward_channels), nn.ReLU(inplace=True), nn.Dropout(dropout),
            nn.LayerNorm(feedforward_channels), nn.Linear(feedforward_channels, channels))
        self.self_attn_pre_norm = nn.LayerNorm(channels)
        self.self_attn_post_norm = nn.LayerNorm(channels)
        self.cross_attn_pre_norm = nn.LayerNorm(channels)
        self.cross_attn_post_norm = nn.LayerNorm(channels)
        self.ffn_norm = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, pixels: torch.Tensor, words: torch.Tensor, pixel_positions: torch.Tensor,
                word_positions: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        """Update pixels (M, H/16 * W/16, C) with words (M, L, D); ``padding`` (M, L) is true at padding tokens."""
        normed = self.self_attn_pre_norm(pixels)
        located = normed + pixel_positions
        attended = self.self_attn(located, located, normed)[0]
        pixels = pixels + self.dropout(self.self_attn_post_norm(attended))

        normed = self.cross_attn_pre_norm(pixels)
        attended = self.cross_attn(
            normed + pixel_positions, words + word_positions, words, padding)[0]
        pixels = pixels + self.dropout(self.cross_attn_post_norm(attended))

        return pixels + self.dropout(self.ffn(self.ffn_norm(pixels)))


class VisionLanguageDecoder(nn.Module):
    """Stack of layers on flattened pixels, with sine positions of pixels and words, and a final norm."""

    def __init__(self, num_layers: int, channels: int, word_channels: int, num_heads: int, feedforward_channels: int,
                 dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            VisionLanguageDecoderLayer(channels, word_channels, num_heads, feedforward_channels, dropout)
            for _ in range(num_layers))
        self.norm = nn.LayerNorm(channels)

    def forward(self, fused: torch.Tensor, words: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        """Decode fused maps (M, C, H/16, W/16) with words (M, L, D) and their padding (M, L); same shape out."""
        channels, height, width = fused.shape[1:]
        pixel_positions = sine_positions_2d(height, width, channels, fused.device, fused.dtype)
        word_positions = sine_positions_1d(words.size(1), words.size(2), words.device, words.dtype)
        pixels = fused.flatten(2).transpose(1, 2)  # (M, H/16 * W/16, C)
        for layer in self.layers:
            pixels = layer(pixels, words, pixel_positions, word_positions, padding)
        return self.norm(pixels).transpose(1, 2).unflatten(2, (height, width))

"""CLIP's attention pool, kept dense."""
import torch
import torch.nn.functional as F
from torch import nn


class DenseAttentionPool(nn.Module):
    """CLIP's attention pool applied at every position, with CRIS's ``connect`` residual.

    CLIP lets the mean token attend to the map and keeps one vector; here each position attends to all positions and the
    map keeps its size. Weights carry CLIP's names, so its checkpoints fit. Source: Radford et al., "Learning
    transferable visual models from natural language supervision", 2021 (the pool); Wang et al., "CRIS", CVPR 2022 and
    its published code (dense form, residual).

    Args:
        in_channels: channels C of the incoming map.
        out_channels: channels of the result, CLIP's embedding width.
        num_heads: attention heads.
        grid: side of the square grid of positions in the pretrained embedding (7 for a 224-pixel CLIP ResNet).
    """

    def __init__(self, in_channels: int, out_channels: int, num_heads: int, grid: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.grid = grid
        self.positional_embedding = nn.Parameter(torch.randn(grid**2 + 1, in_channels) / in_channels**0.5)
        self.k_proj = nn.Linear(in_channels, in_channels)
        self.q_proj = nn.Linear(in_channels, in_channels)
        self.v_proj = nn.Linear(in_channels, in_channels)
        self.c_proj = nn.Linear(in_channels, out_channels)
        self.connect = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels))
        for projection in (self.k_proj, self.q_proj, self.v_proj, self.c_proj):
            nn.init.normal_(projection.weight, std=in_channels**-0.5)

    def positions(self, height: int, width: int) -> torch.Tensor:
        """Return the embedding (height * width, C), resized bicubically; the mean token's own is not used here."""
        grid = self.positional_embedding[1:].reshape(1, self.grid, self.grid, -1).permute(0, 3, 1, 2)
        grid = F.interpolate(grid, size=(height, width), mode='bicubic', align_corners=False)
        return grid.flatten(2).squeeze(0).transpose(0, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H/32, W/32) to (N, out_channels, H/32, W/32)."""
        photos, _, height, width = x.shape
        residual = self.connect(x)

        tokens = x.flatten(2).transpose(1, 2)  # (N, H/32 * W/32, C)
        tokens = tokens + self.positions(height, width).to(tokens.dtype)
        query, key, value = (
            projection(tokens).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj))  # each (N, heads, tokens, C / heads)
        attended = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        pooled = self.c_proj(attended).transpose(1, 2).reshape(photos, -1, height, width)

        return F.relu(pooled + residual)

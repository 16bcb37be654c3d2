"""CLIP's attention pool at every position."""
import torch
import torch.nn.functional as F
from torch import nn

from mmpartref.models.layers.position_encodings import resize_positions


class DenseAttentionPool(nn.Module):
    """CLIP's attention pool applied at every position, with CRIS's ``connect`` residual.

    In CLIP the mean token attends to the map and the result is one vector; here each position attends to all positions
    and the result is a map. Parameters have the names of CLIP's checkpoints. Source: Radford et al., "Learning
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
        """Return the position embedding (height * width, C), without the mean token's, resized bicubically."""
        return resize_positions(self.positional_embedding[1:], (self.grid, self.grid), (height, width))

    def attend(self, queries: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Attend from queries (N, Q, C) to tokens (N, T, C); returns (N, Q, out_channels)."""
        query, key, value = (
            projection(each).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
            for projection, each in ((self.q_proj, queries), (self.k_proj, tokens),
                                     (self.v_proj, tokens)))  # each (N, heads, tokens, C / heads)
        attended = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        return self.c_proj(attended)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H/32, W/32) to (N, out_channels, H/32, W/32)."""
        images, _, height, width = x.shape
        residual = self.connect(x)

        tokens = x.flatten(2).transpose(1, 2)  # (N, H/32 * W/32, C)
        tokens = tokens + self.positions(height, width).to(tokens.dtype)
        pooled = self.attend(tokens, tokens).transpose(1, 2).reshape(images, -1, height, width)

        return F.relu(pooled + residual)

    def pool(self, x: torch.Tensor) -> torch.Tensor:
        """Return CLIP's image embedding (N, out_channels) of maps (N, C, H/32, W/32).

        As in the published CLIP: the mean token attends to the map, without the ``connect`` residual.
        """
        height, width = x.shape[2:]
        tokens = x.flatten(2).transpose(1, 2)  # (N, H/32 * W/32, C)
        tokens = torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1)  # (N, 1 + H/32 * W/32, C)
        positions = torch.cat([self.positional_embedding[:1], self.positions(height, width)])
        tokens = tokens + positions.to(tokens.dtype)
        return self.attend(tokens[:, :1], tokens)[:, 0]

    def values(self, x: torch.Tensor) -> torch.Tensor:
        """Return (N, out_channels, H/32, W/32): the projected value of each position, without attention.

        Source: Zhou et al., "Extract free dense labels from CLIP" (MaskCLIP), ECCV 2022, section 3.2.
        """
        return self.c_proj(self.v_proj(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)

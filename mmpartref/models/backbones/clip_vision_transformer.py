"""CLIP's vision transformer for dense prediction."""
from collections.abc import Sequence

import torch
from torch import nn

from mmpartref.errors import InputError
from mmpartref.models.layers.clip_transformer import CLIPTransformer
from mmpartref.models.layers.position_encodings import resize_positions
from mmpartref.models.layers.simple_feature_pyramid import SimpleFeaturePyramid, whole_patches
from mmpartref.models.layers.tuning.tunable_encoder import TunableEncoder
from mmpartref.registry import MODELS


@MODELS.register_module()
class CLIPVisionTransformer(TunableEncoder):
    """CLIP's ViT: patches, class token, learned positions, pre-norm blocks.

    ::

        images (N, 3, H, W) -> patches (N, H/P * W/P, C) + class token + positions -> blocks
            C3 = patch tokens after block out_layers[0]       (N, C, H/P, W/P)
            C4 = patch tokens after block out_layers[1]       (N, C, H/P, W/P)
            C5 = patch tokens after the last block, normalised and projected like the class token  (N, E, H/P, W/P)

    All three maps have stride P. With ``pyramid_channels`` a ``SimpleFeaturePyramid`` turns them into strides of about
    8, 16 and 32. Images are resized to whole patches, and positions to the number of patches. Source: Radford et al.
    2021, section 2.4; the projection of patch tokens is that of Zhou et al., "Extract free dense labels from CLIP",
    ECCV 2022, without its change of the last block.

    Args:
        patch_size: P, side of a patch in pixels.
        width: C, the transformer's width.
        layers: number of blocks.
        num_heads: attention heads; CLIP uses width / 64.
        embed_channels: E, width of CLIP's embedding, the channels of C5.
        pretrain_grid: side of the pretrained position grid; CLIP's training resolution / P.
        out_layers: after how many blocks C3 and C4 are taken; default a third and two thirds of them.
        activation: ``'quick_gelu'`` (OpenAI's CLIPs) or ``'gelu'`` (most of open_clip's); not stored in the weights.
        pyramid_channels: channels of each map of the pyramid; None means no pyramid.
        freeze, frozen_stages, lora, adapter: see ``TunableEncoder``. Depths are the embeddings, the
            blocks and the projection.
        init_cfg: mmengine's initialisation config.

    Attributes:
        out_channels: channels of (C3, C4, C5).
        embed_channels: width of the embedding that ``embed`` returns.

    Raises:
        ValueError: ``out_layers`` are not two ascending numbers of blocks.
    """
    # Part of a CLIP checkpoint for CLIPPretrainedInit.
    # As published, position embeddings learn at the head's rate.
    lr_mults = {'positional_embedding': 1.0}
    clip_tower = 'backbone'
    new_parts = ('pyramid.', )
    block_prefix = 'transformer.resblocks.'
    embedding_prefixes = ('conv1', 'class_embedding', 'positional_embedding', 'ln_pre')

    def __init__(self,
                 *,
                 patch_size: int = 16,
                 width: int = 768,
                 layers: int = 12,
                 num_heads: int = 12,
                 embed_channels: int = 512,
                 pretrain_grid: int = 14,
                 out_layers: Sequence[int] | None = None,
                 activation: str = 'quick_gelu',
                 pyramid_channels: int | None = None,
                 freeze: bool = False,
                 frozen_stages: int = -1,
                 lora: dict | None = None,
                 adapter: dict | None = None,
                 init_cfg: dict | list | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.out_layers = tuple(out_layers or (max(1, round(layers / 3)), max(1, round(layers * 2 / 3))))
        if len(self.out_layers) != 2 or not 1 <= self.out_layers[0] <= self.out_layers[1] <= layers:
            raise InputError(f'out_layers={out_layers!r} should be two ascending numbers of blocks from 1 to {layers}')
        self.patch_size = patch_size
        self.pretrain_grid = pretrain_grid
        self.conv1 = nn.Conv2d(3, width, patch_size, stride=patch_size, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(width) * width**-0.5)
        self.positional_embedding = nn.Parameter(torch.randn(pretrain_grid**2 + 1, width) * width**-0.5)
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = CLIPTransformer(width, layers, num_heads, activation)
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.randn(width, embed_channels) * width**-0.5)
        self.out_channels = (width, width, embed_channels)
        self.embed_channels = embed_channels
        self.num_layers = layers
        self.pyramid = None
        if pyramid_channels is not None:
            self.pyramid = SimpleFeaturePyramid(self.out_channels, pyramid_channels, patch_size)
            self.out_channels = (pyramid_channels, ) * 3
        self.set_trainable(freeze=freeze, frozen_stages=frozen_stages, lora=lora, adapter=adapter)

    def tokenise(self, images: torch.Tensor) -> tuple[torch.Tensor, tuple[int, int]]:
        """Return tokens (N, 1 + H/P * W/P, C), the class token first, and the number of patches (rows, columns)."""
        maps = self.conv1(whole_patches(images, self.patch_size))  # (N, C, H/P, W/P)
        size = (maps.size(2), maps.size(3))
        patches = maps.flatten(2).transpose(1, 2)  # (N, H/P * W/P, C)
        grid = (self.pretrain_grid, self.pretrain_grid)
        positions = torch.cat([
            self.positional_embedding[:1],
            resize_positions(self.positional_embedding[1:], grid, size),
        ])
        first = self.class_embedding.to(patches.dtype).expand(images.size(0), 1, -1)
        return self.ln_pre(torch.cat([first, patches], dim=1) + positions.to(patches.dtype)), size

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Encode normalised images (N, 3, H, W) to C3, C4 (N, C, H/P, W/P) and C5 (N, E, H/P, W/P), or the pyramid."""
        x, size = self.tokenise(images)
        taken = []
        for depth, block in enumerate(self.transformer.resblocks, start=1):
            x = block(x)
            taken += [x[:, 1:]] * self.out_layers.count(depth)
        taken.append(self.ln_post(x[:, 1:]) @ self.proj)
        c3, c4, c5 = (tokens.transpose(1, 2).unflatten(2, size) for tokens in taken)
        return (c3, c4, c5) if self.pyramid is None else self.pyramid((c3, c4, c5))

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return CLIP's embedding (N, embed_channels) of normalised images, without scaling to length 1."""
        x = self.transformer(self.tokenise(images)[0])
        return self.ln_post(x[:, 0]) @ self.proj

    def dense(self, images: torch.Tensor) -> torch.Tensor:
        """Return MaskCLIP's dense features (N, embed_channels, H/P, W/P), in the space of CLIP's embedding.

        In the last block each token attends to itself alone.
        """
        x, size = self.tokenise(images)
        x = self.transformer(x, self_only_last_block=True)
        return (self.ln_post(x[:, 1:]) @ self.proj).transpose(1, 2).unflatten(2, size)

"""CLIP's text transformer, with word features as well as the sentence's."""
from collections import OrderedDict

import torch
from mmengine.model import BaseModule
from torch import nn

from mmpartref.models.text_encoders.clip_tokenizer import CLIPTokenizer
from mmpartref.registry import MODELS


class QuickGELU(nn.Module):
    """``x * sigmoid(1.702 x)``, the approximation CLIP was trained with."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(1.702 * x)


class CLIPResidualBlock(nn.Module):
    """Pre-norm transformer block; the names of its parts are those of CLIP's checkpoints.

    Args:
        width: channels. heads: attention heads.
        depth: blocks of the whole stack; CLIP initialises the residual branches the smaller, the more there are.
    """

    def __init__(self, width: int, heads: int, depth: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_1 = nn.LayerNorm(width)
        widen, narrow = nn.Linear(width, width * 4), nn.Linear(width * 4, width)
        self.mlp = nn.Sequential(OrderedDict([('c_fc', widen), ('gelu', QuickGELU()), ('c_proj', narrow)]))
        self.ln_2 = nn.LayerNorm(width)
        branch_std = width**-0.5 * (2 * depth)**-0.5
        nn.init.normal_(self.attn.in_proj_weight, std=width**-0.5)
        nn.init.normal_(self.attn.out_proj.weight, std=branch_std)
        nn.init.normal_(widen.weight, std=(2 * width)**-0.5)
        nn.init.normal_(narrow.weight, std=branch_std)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        normed = self.ln_1(x)
        x = x + self.attn(normed, normed, normed, need_weights=False, attn_mask=mask)[0]
        return x + self.mlp(self.ln_2(x))


class CLIPTextTransformer(nn.Module):
    """The stack of blocks, a module of its own because CLIP's checkpoints call it ``transformer.resblocks``."""

    def __init__(self, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(CLIPResidualBlock(width, heads, layers) for _ in range(layers))

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        for block in self.resblocks:
            x = block(x, mask)
        return x


@MODELS.register_module()
class CLIPTextEncoder(BaseModule):
    """CLIP's causal text transformer.

    ::

        tokens (U, L) -> embedding + positions -> causal blocks -> LayerNorm = words (U, L, D), not projected
                                                       state at [EOS] @ text_projection = sentence (U, E)

    Sources: Radford et al. 2021, section 2.4; the two outputs from CRIS (CVPR 2022, section 3.1).

    Args:
        width: D, the transformer's width; 512 in CLIP RN50 and RN101.
        layers: number of blocks.
        heads: attention heads; CLIP uses width / 64.
        embed_channels: E, width of the projected sentence; 1024 for RN50, 512 for RN101.
        word_length: tokens L the tokenizer writes for a string.
        context_length: rows of the position table; 77 in every CLIP.
        vocab_size: rows of the token table.
        init_cfg: mmengine's initialisation config.

    Attributes:
        word_channels: D. sentence_channels: E.
        tokenizer: ``list[str] -> (len, L)`` int64.
    """

    def __init__(self,
                 *,
                 width: int = 512,
                 layers: int = 12,
                 heads: int = 8,
                 embed_channels: int = 1024,
                 word_length: int = 17,
                 context_length: int = 77,
                 vocab_size: int = 49408,
                 init_cfg: dict | list | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        if word_length > context_length:
            raise ValueError(f'word_length {word_length} exceeds context_length {context_length}')
        self.word_channels = width
        self.sentence_channels = embed_channels
        self.tokenizer = CLIPTokenizer(word_length)
        self.token_embedding = nn.Embedding(vocab_size, width)
        self.positional_embedding = nn.Parameter(torch.empty(context_length, width))
        self.transformer = CLIPTextTransformer(width, layers, heads)
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.empty(width, embed_channels))
        # CLIP's own initialisation, for training without its weights.
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.positional_embedding, std=0.01)
        nn.init.normal_(self.text_projection, std=width**-0.5)

    @staticmethod
    def padding_mask(tokens: torch.Tensor) -> torch.Tensor:
        """Return (U, L) bool, true where a token is padding.

        As published, padding is told by token 0. That is also CLIP's '!' inside a run such as '!!', which is masked
        likewise.
        """
        return tokens == 0

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode token rows (U, L) to words (U, L, D) and sentence (U, E)."""
        length = tokens.size(1)
        # Boolean, so that attention turns it into its own precision: a float32 mask beside float64 queries is misread.
        causal = torch.ones(length, length, dtype=torch.bool, device=tokens.device).triu(1)
        x = self.token_embedding(tokens) + self.positional_embedding[:length]  # (U, L, D)
        words = self.ln_final(self.transformer(x, causal))  # (U, L, D)

        # [EOS] has the highest id of a row.
        last = tokens.argmax(dim=1)
        state = words[torch.arange(len(tokens), device=tokens.device), last]  # (U, D)
        return words, state @ self.text_projection

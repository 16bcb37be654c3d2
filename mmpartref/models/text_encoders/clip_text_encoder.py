"""CLIP's text transformer, with word and sentence features."""
import torch
from torch import nn

from mmpartref.errors import InputError
from mmpartref.models.layers.clip_transformer import CLIPTransformer
from mmpartref.models.layers.tuning.tunable_encoder import TunableEncoder
from mmpartref.models.text_encoders.clip_tokenizer import CLIPTokenizer
from mmpartref.registry import MODELS


@MODELS.register_module()
class CLIPTextEncoder(TunableEncoder):
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
        word_length: tokens L of a row of the tokenizer.
        context_length: rows of the position table; 77 in every CLIP.
        vocab_size: rows of the token table.
        activation: ``'quick_gelu'`` (OpenAI's CLIPs) or ``'gelu'`` (most of open_clip's); not stored in the weights.
        freeze, frozen_stages, lora, adapter: see ``TunableEncoder``. Depths are the embeddings, the
            blocks and the projection.
        init_cfg: mmengine's initialisation config.

    Attributes:
        word_channels: D.
        sentence_channels: E.
        tokenizer: ``list[str] -> (len, L)`` int64.
    """
    # Part of a CLIP checkpoint for CLIPPretrainedInit.
    # As published, position embeddings learn at the head's rate.
    lr_mults = {'positional_embedding': 1.0}
    clip_tower = 'text_encoder'
    block_prefix = 'transformer.resblocks.'
    embedding_prefixes = ('token_embedding', 'positional_embedding')

    def __init__(self,
                 *,
                 width: int = 512,
                 layers: int = 12,
                 heads: int = 8,
                 embed_channels: int = 1024,
                 word_length: int = 17,
                 context_length: int = 77,
                 vocab_size: int = 49408,
                 activation: str = 'quick_gelu',
                 freeze: bool = False,
                 frozen_stages: int = -1,
                 lora: dict | None = None,
                 adapter: dict | None = None,
                 init_cfg: dict | list | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        if word_length > context_length:
            raise InputError(f'word_length {word_length} exceeds context_length {context_length}')
        self.word_channels = width
        self.sentence_channels = embed_channels
        self.tokenizer = CLIPTokenizer(word_length)
        self.token_embedding = nn.Embedding(vocab_size, width)
        self.positional_embedding = nn.Parameter(torch.empty(context_length, width))
        self.transformer = CLIPTransformer(width, layers, heads, activation)
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.empty(width, embed_channels))
        # As CLIP initialises them.
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.positional_embedding, std=0.01)
        nn.init.normal_(self.text_projection, std=width**-0.5)
        self.num_layers = layers
        self.set_trainable(freeze=freeze, frozen_stages=frozen_stages, lora=lora, adapter=adapter)

    @staticmethod
    def padding_mask(tokens: torch.Tensor) -> torch.Tensor:
        """Return (U, L) bool, true where a token is padding.

        As published, token 0 is padding. It is also CLIP's '!' in a run such as '!!', which is masked too.
        """
        return tokens == 0

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode token rows (U, L) to words (U, L, D) and sentence (U, E)."""
        length = tokens.size(1)
        # bool, because a float32 mask with float64 queries gives wrong results.
        causal = torch.ones(length, length, dtype=torch.bool, device=tokens.device).triu(1)
        x = self.token_embedding(tokens) + self.positional_embedding[:length]  # (U, L, D)
        words = self.ln_final(self.transformer(x, causal))  # (U, L, D)

        # [EOS] has the highest id of a row.
        last = tokens.argmax(dim=1)
        state = words[torch.arange(tokens.size(0), device=tokens.device), last]  # (U, D)
        return words, state @ self.text_projection

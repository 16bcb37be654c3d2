"""The classic CLIP: how well a photo and a string go together."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import nn

from mmpartref.errors import InputError
from mmpartref.registry import MODELS


@MODELS.register_module()
class CLIPModel(BaseModule):
    """Two towers and a temperature.

    ::

        photos (N, 3, H, W) --backbone.embed--> (N, E) --unit length--+
                                                                      +--> exp(logit_scale) * cosine = logits (N, U)
        tokens (U, L) --text_encoder, [EOS]---> (U, E) --unit length--+

    Source: Radford et al. 2021, figure 3. Zero-shot baselines stand on it; CRIS uses the towers alone.

    Args:
        backbone: config of an image encoder with ``embed(images) -> (N, E)`` and ``embed_channels``.
        text_encoder: config of a text encoder with ``sentence_channels`` and ``tokenizer``. CLIP's own
            ``word_length`` is its ``context_length``.
        init_cfg: mmengine's initialisation config.

    Raises:
        ValueError: the towers' embeddings differ in width.
    """

    def __init__(self, *, backbone: dict, text_encoder: dict, init_cfg: dict | list | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.backbone = MODELS.build(backbone)
        self.text_encoder = MODELS.build(text_encoder)
        # CLIP starts from a temperature of 0.07.
        self.logit_scale = nn.Parameter(torch.tensor(1 / 0.07).log())
        if self.backbone.embed_channels != self.text_encoder.sentence_channels:
            raise InputError(f'backbone.embed_channels is {self.backbone.embed_channels} but '
                             f'text_encoder.sentence_channels is {self.text_encoder.sentence_channels}: they have to '
                             'be equal')

    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        """Return unit vectors (N, E) of normalised photos (N, 3, H, W)."""
        return F.normalize(self.backbone.embed(images), dim=1)

    def encode_text(self, texts: Sequence[str] | torch.Tensor) -> torch.Tensor:
        """Return unit vectors (U, E) of strings, or of token rows (U, L)."""
        if not isinstance(texts, torch.Tensor):
            texts = self.text_encoder.tokenizer(texts).to(self.logit_scale.device)
        return F.normalize(self.text_encoder(texts)[1], dim=1)

    def forward(self, images: torch.Tensor, texts: Sequence[str] | torch.Tensor) -> torch.Tensor:
        """Return logits (N, U): a softmax over U asks which string, over N which photo."""
        return self.logit_scale.exp() * self.encode_image(images) @ self.encode_text(texts).T

"""CLIP: similarity of images and strings."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import nn

from mmpartref.errors import InputError
from mmpartref.registry import MODELS


def check_embed_channels(backbone: nn.Module, text_encoder: nn.Module) -> None:
    """Raise a ValueError where the image and the text embedding differ in width."""
    if backbone.embed_channels != text_encoder.sentence_channels:
        raise InputError(f'backbone.embed_channels is {backbone.embed_channels} but text_encoder.sentence_channels is '
                         f'{text_encoder.sentence_channels}: they have to be equal')


@MODELS.register_module()
class CLIPModel(BaseModule):
    """CLIP's image encoder, text encoder and temperature, for zero-shot classification.

    ::

        images (N, 3, H, W) --backbone.embed--> (N, E) --unit length--+
                                                                      +--> exp(logit_scale) * cosine = logits (N, U)
        tokens (U, L) --text_encoder, [EOS]---> (U, E) --unit length--+

    Source: Radford et al. 2021, figure 3. CRIS uses the encoders without the temperature.

    Args:
        backbone: config of an image encoder with ``embed(images) -> (N, E)`` and ``embed_channels``.
        text_encoder: config of a text encoder with ``sentence_channels`` and ``tokenizer``. CLIP's own
            ``word_length`` is its ``context_length``.
        init_cfg: mmengine's initialisation config.

    Raises:
        ValueError: the encoders' embeddings differ in width.
    """

    def __init__(self, *, backbone: dict, text_encoder: dict, init_cfg: dict | list | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.backbone = MODELS.build(backbone)
        self.text_encoder = MODELS.build(text_encoder)
        # CLIP starts from a temperature of 0.07.
        self.logit_scale = nn.Parameter(torch.tensor(1 / 0.07).log())
        check_embed_channels(self.backbone, self.text_encoder)

    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        """Return unit vectors (N, E) of normalised images (N, 3, H, W)."""
        return F.normalize(self.backbone.embed(images), dim=1)

    def encode_text(self, texts: Sequence[str] | torch.Tensor) -> torch.Tensor:
        """Return unit vectors (U, E) of strings, or of token rows (U, L)."""
        if not isinstance(texts, torch.Tensor):
            texts = self.text_encoder.tokenizer(texts).to(self.logit_scale.device)
        return F.normalize(self.text_encoder(texts)[1], dim=1)

    def forward(self, images: torch.Tensor, texts: Sequence[str] | torch.Tensor) -> torch.Tensor:
        """Return logits (N, U); softmax over U classifies images by string, over N retrieves images."""
        return self.logit_scale.exp() * self.encode_image(images) @ self.encode_text(texts).T

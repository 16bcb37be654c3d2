"""CRIS's decode head: vision-language decoder and projector."""
from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from mmengine.model import BaseModule
from torch import nn

from mmpartref.errors import InputError
from mmpartref.models.layers.dynamic_projector import DynamicProjector
from mmpartref.models.layers.vision_language_decoder import VisionLanguageDecoder
from mmpartref.registry import MODELS

# Values of ``logit_stride``.
STRIDES = (2, 4)

Item = TypeVar('Item')


@MODELS.register_module()
class VisionLanguageDecodeHead(BaseModule):
    """Predict mask logits from fused maps, words and sentences.

    ::

        fused (M, C, H/16, W/16) --decoder, words--> (M, C, H/16, W/16) --projector, sentence--> (M, 1, H/s, W/s)

    Source: CRIS (CVPR 2022), sections 3.2 and 3.3.

    Args:
        in_channels: C, channels of the neck's map.
        word_channels: D, width of the words.
        sentence_channels: E, width of the sentence.
        num_layers: decoder layers.
        num_heads: attention heads of each.
        feedforward_channels: hidden width of their feed-forward parts.
        dropout: rate in the decoder.
        low_resolution: convolve before upsampling; see ``DynamicProjector``.
        logit_stride: s, pixels of the network's input per pixel of the logits, 4 as published, or 2 for finer masks at
            nearly four times the projector's cost.
        laterals: number of the image encoder's maps that are lateral maps of the projector: 0 as published, 1 for C3,
            2 for C3 and C2. They bring back the detail that the neck's map of stride 16 has lost.
        map_channels: channels of the image encoder's maps, (C3, C4, C5) or (C2, C3, C4, C5); needed for ``laterals``.
        loss: config of the loss on the logits, or a list of several, which are summed.
        presence_head: config of a head that predicts whether the part is in the image (``PresenceHead``; its channels
            are filled in); None means no such head, as published.
        init_cfg: mmengine's initialisation config.

    Raises:
        InputError: ``logit_stride`` is not 2 or 4, the image encoder has fewer maps than ``laterals`` needs, or two
            losses have one name.
    """

    def __init__(self,
                 *,
                 in_channels: int = 512,
                 word_channels: int = 512,
                 sentence_channels: int = 1024,
                 num_layers: int = 3,
                 num_heads: int = 8,
                 feedforward_channels: int = 2048,
                 dropout: float = 0.1,
                 low_resolution: bool = True,
                 logit_stride: int = 4,
                 laterals: int = 0,
                 map_channels: Sequence[int] = (),
                 loss: dict | list[dict],
                 presence_head: dict | None = None,
                 init_cfg: dict | list | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        if not isinstance(logit_stride, int) or logit_stride not in STRIDES:
            raise InputError(f'logit_stride={logit_stride!r} of VisionLanguageDecodeHead should be one of {STRIDES}')
        self.logit_stride = logit_stride
        self.laterals = laterals
        lateral_channels = select_laterals(map_channels, laterals)
        self.in_channels = in_channels
        self.word_channels = word_channels
        self.sentence_channels = sentence_channels
        self.decoder = VisionLanguageDecoder(num_layers, in_channels, word_channels, num_heads, feedforward_channels,
                                             dropout)
        self.projector = DynamicProjector(in_channels, sentence_channels, low_resolution, lateral_channels)
        self.losses = nn.ModuleList(MODELS.build(each) for each in ([loss] if isinstance(loss, Mapping) else loss))
        names = [loss_name(each) for each in self.losses]
        if not names or len({*names}) < len(names):
            raise InputError(f'the losses of a VisionLanguageDecodeHead are {names}; give one or several different '
                             'ones')
        self.presence_head = None
        if presence_head is not None:
            self.presence_head = MODELS.build(
                {'in_channels': in_channels, 'sentence_channels': sentence_channels, **presence_head})

    def forward(self, fused: torch.Tensor, words: torch.Tensor, padding: torch.Tensor, sentence: torch.Tensor,
                size: tuple[int, int], maps: Sequence[torch.Tensor] = (),
                image_index: torch.Tensor | None = None) -> torch.Tensor:
        """Return logits ``(M, 1, *size)``.

        Args:
            fused: (M, C, H/16, W/16), the neck's map.
            words: (M, L, D). padding: (M, L) bool, true at padding tokens. sentence: (M, E).
            size: (H/s, W/s).
            maps: the image encoder's maps of N images. image_index: (M,), the image of each expression. Both are needed
                for ``laterals``.
        """
        decoded = self.decoder(fused, words, padding)
        return self.projector(decoded, sentence, size, select_laterals(maps, self.laterals), image_index)

    def with_presence(self, fused: torch.Tensor, words: torch.Tensor, padding: torch.Tensor, sentence: torch.Tensor,
                      size: tuple[int, int], maps: Sequence[torch.Tensor] = (),
                      image_index: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mask logits as ``forward`` does, and the presence head's logits (M,)."""
        assert self.presence_head is not None
        decoded = self.decoder(fused, words, padding)
        laterals = select_laterals(maps, self.laterals)
        return self.projector(decoded, sentence, size, laterals, image_index), self.presence_head(decoded, sentence)

    def loss(self, logits: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the scalar of each loss by its name, for logits and targets (M, 1, H/s, W/s)."""
        return {loss_name(each): each(logits, target) for each in self.losses}


def select_laterals(maps: Sequence[Item], laterals: int) -> list[Item]:
    """Return C3, or C3 and C2, of (C3, C4, C5) or (C2, C3, C4, C5).

    Raises:
        InputError: there are fewer maps.
    """
    finest_first = [*maps][:-2]
    if type(laterals) is not int or laterals not in (0, 1, 2):
        raise InputError(f'laterals={laterals!r} of VisionLanguageDecodeHead should be 0, 1 (C3) or 2 (C3 and C2)')
    if laterals > len(finest_first):
        raise InputError(f'laterals={laterals} of VisionLanguageDecodeHead needs {laterals + 2} maps of the image '
                         f'encoder, which has {len(maps)}: use a backbone that gives C2 too, such as '
                         "dict(type='EfficientNetLite', out_indices=(0, 1, 2, 3)), or fewer laterals")
    return finest_first[::-1][:laterals]


def loss_name(loss: nn.Module) -> str:
    """Return the name of a loss in the log: its ``name``, mmseg's ``loss_name``, or that of its class."""
    return str(getattr(loss, 'name', None) or getattr(loss, 'loss_name', None) or f'loss_{type(loss).__name__}')

"""Infer a CLIP's architecture from its weights."""
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from mmpartref.errors import WeightsError

# Channels of an attention head in every CLIP, which the weights do not contain.
HEAD_WIDTH = 64
# (kind, stage depths or layers, width, patch or grid, embedding) -> the name OpenAI published it under.
KNOWN = {
    ('resnet', (3, 4, 6, 3), 64, 7, 1024): 'RN50',
    ('resnet', (3, 4, 23, 3), 64, 7, 512): 'RN101',
    ('resnet', (4, 6, 10, 6), 80, 9, 640): 'RN50x4',
    ('resnet', (6, 8, 18, 8), 96, 12, 768): 'RN50x16',
    ('resnet', (3, 15, 36, 10), 128, 14, 1024): 'RN50x64',
    ('vit', 12, 768, 32, 512): 'ViT-B/32',
    ('vit', 12, 768, 16, 512): 'ViT-B/16',
    ('vit', 24, 1024, 14, 768): 'ViT-L/14',
}


@dataclass(frozen=True)
class CLIPArchitecture:
    """Configs of CLIP's image and text encoder.

    Attributes:
        name: of OpenAI's publication ('RN50'), or a description for other CLIPs.
        backbone: config of the image encoder.
        text_encoder: config of the text encoder, without ``word_length``.
    """
    name: str
    backbone: dict[str, Any]
    text_encoder: dict[str, Any]


def _count(state: Mapping[str, torch.Tensor], prefix: str) -> int:
    """Return the number of numbered children with a prefix."""
    return len({name[len(prefix):].split('.')[0] for name in state if name.startswith(prefix)})


def read_architecture(state: Mapping[str, torch.Tensor]) -> CLIPArchitecture:
    """Infer the architecture from weights with OpenAI's names.

    Raises:
        WeightsError: a weight is missing, or the position table is not a square.
    """
    try:
        embed = state['text_projection'].shape[1]
        text_width = state['ln_final.weight'].shape[0]
        text = {
            'type': 'CLIPTextEncoder',
            'width': text_width,
            'layers': _count(state, 'transformer.resblocks.'),
            'heads': max(1, text_width // HEAD_WIDTH),
            'embed_channels': embed,
            'context_length': state['positional_embedding'].shape[0],
            'vocab_size': state['token_embedding.weight'].shape[0],
        }
        backbone, key = _read_vit(state) if 'visual.proj' in state else _read_resnet(state)
    except KeyError as error:
        raise WeightsError(f'these CLIP weights lack {error}, so their architecture cannot be read') from error
    name = KNOWN.get(key, f'custom {key[0]}, depth {key[1]}, width {key[2]}, embedding {key[4]}')
    return CLIPArchitecture(name, backbone, text)


def _read_resnet(state: Mapping[str, torch.Tensor]) -> tuple[dict[str, Any], tuple]:
    layers = tuple(_count(state, f'visual.layer{stage}.') for stage in (1, 2, 3, 4))
    width = state['visual.conv3.weight'].shape[0]
    grid = _grid(state['visual.attnpool.positional_embedding'])
    embed = state['visual.attnpool.c_proj.weight'].shape[0]
    config = dict(type='CLIPResNet', layers=layers, width=width, embed_channels=embed,
                  num_heads=max(1, width * 32 // HEAD_WIDTH), pretrain_grid=grid)
    return config, ('resnet', layers, width, grid, embed)


def _read_vit(state: Mapping[str, torch.Tensor]) -> tuple[dict[str, Any], tuple]:
    width, _, patch, _ = state['visual.conv1.weight'].shape
    layers = _count(state, 'visual.transformer.resblocks.')
    embed = state['visual.proj'].shape[1]
    config = dict(type='CLIPVisionTransformer', patch_size=patch, width=width, layers=layers,
                  num_heads=max(1, width // HEAD_WIDTH), embed_channels=embed,
                  pretrain_grid=_grid(state['visual.positional_embedding']))
    return config, ('vit', layers, width, patch, embed)


def _grid(positions: torch.Tensor) -> int:
    """Return the side of the square grid of a position table (1 + side * side, C)."""
    side = round((positions.shape[0] - 1)**0.5)
    if side * side + 1 != positions.shape[0]:
        raise WeightsError(f'a position table of {positions.shape[0]} rows covers no square and a class token')
    return side

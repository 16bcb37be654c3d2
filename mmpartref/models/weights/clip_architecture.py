"""Infer a CLIP's architecture from its weights."""
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

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


def shape_of(state: Mapping[str, torch.Tensor], name: str, dimensions: int) -> tuple[int, ...]:
    """Return the shape of a weight.

    Raises:
        KeyError: it is missing.
        WeightsError: it has another number of dimensions, or no elements.
    """
    shape = tuple(state[name].shape)
    if len(shape) != dimensions or 0 in shape:
        raise WeightsError(f'{name} has the shape {shape} instead of {dimensions} dimensions; use another checkpoint')
    return shape


def meta_state_dict(build: Callable[[], nn.Module], name: str) -> dict[str, torch.Tensor]:
    """Return the state dict of a model on the meta device.

    Args:
        build: returns the model.
        name: of its architecture, for the message.

    Raises:
        WeightsError: a model cannot have this architecture.
    """
    try:
        with torch.device('meta'):
            return build().state_dict()
    except (ValueError, TypeError, AssertionError, ArithmeticError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(f'{name} is read from the shapes of these weights, and no model can have it ({reason}); use '
                           'another checkpoint') from error


def read_architecture(state: Mapping[str, torch.Tensor]) -> CLIPArchitecture:
    """Infer the architecture from weights with OpenAI's names.

    Raises:
        WeightsError: a weight is missing or has another number of dimensions, or the position table is not a square.
    """
    try:
        _, embed = shape_of(state, 'text_projection', 2)
        text_width, = shape_of(state, 'ln_final.weight', 1)
        text = {
            'type': 'CLIPTextEncoder',
            'width': text_width,
            'layers': _count(state, 'transformer.resblocks.'),
            'heads': max(1, text_width // HEAD_WIDTH),
            'embed_channels': embed,
            'context_length': shape_of(state, 'positional_embedding', 2)[0],
            'vocab_size': shape_of(state, 'token_embedding.weight', 2)[0],
        }
        backbone, key = _read_vit(state) if 'visual.proj' in state else _read_resnet(state)
    except KeyError as error:
        raise WeightsError(f'these CLIP weights lack {error}, so their architecture cannot be read') from error
    name = KNOWN.get(key, f'custom {key[0]}, depth {key[1]}, width {key[2]}, embedding {key[4]}')
    return CLIPArchitecture(name, backbone, text)


def _read_resnet(state: Mapping[str, torch.Tensor]) -> tuple[dict[str, Any], tuple]:
    layers = tuple(_count(state, f'visual.layer{stage}.') for stage in (1, 2, 3, 4))
    width = shape_of(state, 'visual.conv3.weight', 4)[0]
    grid = _grid(state, 'visual.attnpool.positional_embedding')
    embed = shape_of(state, 'visual.attnpool.c_proj.weight', 2)[0]
    config = dict(type='CLIPResNet', layers=layers, width=width, embed_channels=embed,
                  num_heads=max(1, width * 32 // HEAD_WIDTH), pretrain_grid=grid)
    return config, ('resnet', layers, width, grid, embed)


def _read_vit(state: Mapping[str, torch.Tensor]) -> tuple[dict[str, Any], tuple]:
    width, _, patch, _ = shape_of(state, 'visual.conv1.weight', 4)
    layers = _count(state, 'visual.transformer.resblocks.')
    embed = shape_of(state, 'visual.proj', 2)[1]
    config = dict(type='CLIPVisionTransformer', patch_size=patch, width=width, layers=layers,
                  num_heads=max(1, width // HEAD_WIDTH), embed_channels=embed,
                  pretrain_grid=_grid(state, 'visual.positional_embedding'))
    return config, ('vit', layers, width, patch, embed)


def _grid(state: Mapping[str, torch.Tensor], name: str) -> int:
    """Return the side of the square grid of a position table (1 + side * side, C)."""
    rows, _ = shape_of(state, name, 2)
    side = round(max(rows - 1, 0)**0.5)
    if side * side + 1 != rows:
        raise WeightsError(f'a position table of {rows} rows covers no square and a class token')
    return side

"""Convert published CRIS checkpoints to our models and back."""
from collections.abc import Mapping
from typing import Any

import torch

from mmpartref.errors import WeightsError
from mmpartref.models.weights.clip_architecture import CLIPArchitecture, meta_state_dict, read_architecture, shape_of
from mmpartref.models.weights.cris_keys import from_published, to_published
from mmpartref.models.weights.key_report import compare_keys
from mmpartref.registry import MODELS

# Of the published configurations; the weights do not contain them.
NUM_HEADS = 8
WORD_LENGTH = 17


def read_model_config(state: Mapping[str, torch.Tensor]) -> tuple[dict[str, Any], CLIPArchitecture]:
    """Infer the config of the ``ReferringSegmentor`` and the architecture of its CLIP from published weights.

    Args:
        state: a published state dict, without ``module.``.

    Raises:
        WeightsError: weights that determine the architecture are missing or have another number of dimensions.
    """
    if any(name.startswith('decode_head.') for name in state):
        raise WeightsError("these weights have mmpartref's names; use them as they are, or convert them back with "
                           '--reverse')
    prefix = 'backbone.'
    clip = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    architecture = read_architecture(clip)
    try:
        high, c5 = shape_of(state, 'neck.f1_v_proj.0.weight', 4)[:2]
        mid, c4 = shape_of(state, 'neck.f2_v_proj.0.weight', 4)[:2]
        low, c3 = shape_of(state, 'neck.f3_v_proj.0.weight', 4)[:2]
        sentence = shape_of(state, 'neck.txt_proj.0.weight', 2)[1]
        words, = shape_of(state, 'backbone.ln_final.weight', 1)
        feedforward = shape_of(state, 'decoder.layers.0.ffn.0.weight', 2)[0]
    except KeyError as error:
        raise WeightsError(f'these are not CRIS weights: {error} is missing') from error
    layers = {name.split('.')[2] for name in state if name.startswith('decoder.layers.')}
    config = dict(
        type='ReferringSegmentor',
        backbone=architecture.backbone,
        text_encoder=dict(architecture.text_encoder, word_length=WORD_LENGTH),
        neck=dict(type='CRISNeck', in_channels=(c3, c4, c5), sentence_channels=sentence, out_channels=(low, mid, high)),
        decode_head=dict(
            type='VisionLanguageDecodeHead',
            in_channels=mid,
            word_channels=words,
            sentence_channels=sentence,
            num_layers=len(layers),
            num_heads=NUM_HEADS,
            feedforward_channels=feedforward,
            loss=dict(type='TextToPixelContrastiveLoss')),
        decode='cris')
    return config, architecture


def convert_cris(state: Mapping[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], dict[str, Any], str]:
    """Convert published weights to ours.

    Returns:
        The state dict, the config of its model, and the name of its CLIP.

    Raises:
        WeightsError: a key is missing, unexpected or of another shape; all are listed.
    """
    config, architecture = read_model_config(state)
    ours = from_published(state)
    wanted = meta_state_dict(lambda: MODELS.build(config), f'CRIS on CLIP {architecture.name}')
    report = compare_keys(ours, wanted)
    if report:
        raise WeightsError(f'these weights do not fit CRIS on {architecture.name}:\n{report}')
    return ours, config, architecture.name


def revert_cris(state: Mapping[str, torch.Tensor],
                logit_scale: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    """Convert our weights to a published state dict.

    Raises:
        WeightsError: the names are the published ones, or converting the result back does not give the same keys.
    """
    if any(name.startswith('neck.f1_v_proj.') for name in state):
        raise WeightsError('these weights have the published names; use them as they are, or convert them without '
                           '--reverse')
    published = to_published(state, logit_scale)
    again = convert_cris(published)[0]
    report = compare_keys(again, state)
    if report:
        raise WeightsError(f'these weights are not those of a CRIS model:\n{report}')
    return published

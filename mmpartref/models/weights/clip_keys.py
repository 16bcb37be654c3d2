"""Rename CLIP weights of open_clip and Hugging Face to OpenAI's names."""
import re
from collections.abc import Mapping

import torch

from mmpartref.errors import WeightsError

# Buffers and numbers in OpenAI's archives and open_clip's state dicts.
NO_WEIGHTS = ('input_resolution', 'context_length', 'vocab_size', 'attn_mask', 'position_ids')
# Prefixes inside a transformer layer: Hugging Face's, OpenAI's.
HF_LAYER = (
    ('layer_norm1.', 'ln_1.'),
    ('layer_norm2.', 'ln_2.'),
    ('mlp.fc1.', 'mlp.c_fc.'),
    ('mlp.fc2.', 'mlp.c_proj.'),
    ('self_attn.out_proj.', 'attn.out_proj.'),
)
HF_TOWERS = {'text': '', 'vision': 'visual.'}
HF_SINGLE = {
    'text_model.embeddings.token_embedding.weight': 'token_embedding.weight',
    'text_model.embeddings.position_embedding.weight': 'positional_embedding',
    'text_model.final_layer_norm.weight': 'ln_final.weight',
    'text_model.final_layer_norm.bias': 'ln_final.bias',
    'vision_model.embeddings.class_embedding': 'visual.class_embedding',
    'vision_model.embeddings.patch_embedding.weight': 'visual.conv1.weight',
    'vision_model.embeddings.position_embedding.weight': 'visual.positional_embedding',
    # pre_layrnorm is Hugging Face's spelling.
    'vision_model.pre_layrnorm.weight': 'visual.ln_pre.weight',
    'vision_model.pre_layrnorm.bias': 'visual.ln_pre.bias',
    'vision_model.post_layernorm.weight': 'visual.ln_post.weight',
    'vision_model.post_layernorm.bias': 'visual.ln_post.bias',
    'logit_scale': 'logit_scale',
}
# Linear layers in Hugging Face's checkpoints, matrices applied from the right in OpenAI's.
HF_TRANSPOSED = {'text_projection.weight': 'text_projection', 'visual_projection.weight': 'visual.proj'}


def to_openai(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return CLIP weights with OpenAI's names.

    Sources: state dicts of OpenAI, of open_clip (the same names, possibly with ``text.``) and of Hugging Face's
    ``CLIPModel`` (separate query, key and value; transposed projections).

    Raises:
        WeightsError: the names belong to none of these.
    """
    state = {name: value for name, value in state.items() if name.rsplit('.', 1)[-1] not in NO_WEIGHTS}
    if any(name.startswith('text_model.') for name in state):
        return _from_hugging_face(state)
    if any(name.startswith('text.') for name in state):
        state = {name.removeprefix('text.'): value for name, value in state.items()}
    if not {'token_embedding.weight', 'text_projection', 'visual.conv1.weight'} <= state.keys():
        raise WeightsError("these are not CLIP weights: neither OpenAI's and open_clip's names "
                           "(token_embedding.weight, visual.conv1.weight) nor Hugging Face's (text_model...) occur")
    return state


def _from_hugging_face(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    renamed: dict[str, torch.Tensor] = {}
    joined: dict[str, dict[str, torch.Tensor]] = {}
    for name, value in state.items():
        if name in HF_SINGLE:
            renamed[HF_SINGLE[name]] = value
            continue
        if name in HF_TRANSPOSED:
            if value.ndim != 2:
                raise WeightsError(f"'{name}' has {value.ndim} dimensions instead of 2; use another checkpoint")
            renamed[HF_TRANSPOSED[name]] = value.T.contiguous()
            continue
        found = re.fullmatch(r'(text|vision)_model\.encoder\.layers\.(\d+)\.(.+)', name)
        if not found:
            raise WeightsError(f"'{name}' is not a weight of Hugging Face's CLIPModel")
        base, part = f'{HF_TOWERS[found[1]]}transformer.resblocks.{found[2]}.', found[3]
        if qkv := re.fullmatch(r'self_attn\.([qkv])_proj\.(weight|bias)', part):
            joined.setdefault(f'{base}attn.in_proj_{qkv[2]}', {})[qkv[1]] = value
            continue
        ours = next((new + part.removeprefix(old) for old, new in HF_LAYER if part.startswith(old)), None)
        if ours is None:
            raise WeightsError(f"'{name}' is not a weight of Hugging Face's CLIPModel")
        renamed[base + ours] = value
    for name, parts in joined.items():
        if parts.keys() != {'q', 'k', 'v'}:
            raise WeightsError(f"{name} is made of query, key and value, but only {sorted(parts)} are there")
        if len({(part.shape, part.dtype) for part in parts.values()}) > 1 or not parts['q'].ndim:
            raise WeightsError(f'{name} is made of query, key and value, which have different shapes or types')
        renamed[name] = torch.cat([parts[each] for each in 'qkv'])
    return renamed

"""CLIP weights from three families of checkpoints, under OpenAI's names."""
import re
from collections.abc import Mapping

import torch

from mmpartref.errors import WeightsError

# Buffers and numbers that are no weights: OpenAI's archives and open_clip's state dicts carry them along.
NO_WEIGHTS = ('input_resolution', 'context_length', 'vocab_size', 'attn_mask', 'position_ids')
# Hugging Face's names of a transformer layer's parts, and OpenAI's.
HF_LAYER = (
    ('layer_norm1.', 'ln_1.'),
    ('layer_norm2.', 'ln_2.'),
    ('mlp.fc1.', 'mlp.c_fc.'),
    ('mlp.fc2.', 'mlp.c_proj.'),
    ('self_attn.out_proj.', 'attn.out_proj.'),
)
HF_TOWERS = (('text_model.encoder.layers.', 'transformer.resblocks.'),
             ('vision_model.encoder.layers.', 'visual.transformer.resblocks.'))
HF_SINGLE = {
    'text_model.embeddings.token_embedding.weight': 'token_embedding.weight',
    'text_model.embeddings.position_embedding.weight': 'positional_embedding',
    'text_model.final_layer_norm.weight': 'ln_final.weight',
    'text_model.final_layer_norm.bias': 'ln_final.bias',
    'vision_model.embeddings.class_embedding': 'visual.class_embedding',
    'vision_model.embeddings.patch_embedding.weight': 'visual.conv1.weight',
    'vision_model.embeddings.position_embedding.weight': 'visual.positional_embedding',
    # The missing "e" is Hugging Face's own.
    'vision_model.pre_layrnorm.weight': 'visual.ln_pre.weight',
    'vision_model.pre_layrnorm.bias': 'visual.ln_pre.bias',
    'vision_model.post_layernorm.weight': 'visual.ln_post.weight',
    'vision_model.post_layernorm.bias': 'visual.ln_post.bias',
    'logit_scale': 'logit_scale',
}
# Stored as linear layers by Hugging Face, as right-hand matrices by OpenAI.
HF_TRANSPOSED = {'text_projection.weight': 'text_projection', 'visual_projection.weight': 'visual.proj'}


def to_openai(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return CLIP weights under OpenAI's names, whichever family they come from.

    Known are OpenAI's own state dicts, open_clip's (the same names, the text tower possibly under ``text.``) and
    Hugging Face's ``CLIPModel`` (separate query, key and value; transposed projections).

    Raises:
        WeightsError: the names are of no known family.
    """
    state = {name: value for name, value in state.items() if name.rsplit('.', 1)[-1] not in NO_WEIGHTS}
    if any(name.startswith('text_model.') for name in state):
        return _from_hugging_face(state)
    if any(name.startswith('text.') for name in state):
        state = {name.removeprefix('text.'): value for name, value in state.items()}
    if not {'token_embedding.weight', 'text_projection', 'visual.conv1.weight'} <= state.keys():
        raise WeightsError("these are no CLIP weights: neither OpenAI's and open_clip's names (token_embedding.weight, "
                           "visual.conv1.weight) nor Hugging Face's (text_model...) occur")
    return state


def _from_hugging_face(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    renamed: dict[str, torch.Tensor] = {}
    joined: dict[str, dict[str, torch.Tensor]] = {}
    for name, value in state.items():
        if name in HF_SINGLE:
            renamed[HF_SINGLE[name]] = value
            continue
        if name in HF_TRANSPOSED:
            renamed[HF_TRANSPOSED[name]] = value.T.contiguous()
            continue
        base, part = _split_layer(name)
        qkv = re.fullmatch(r'self_attn\.([qkv])_proj\.(weight|bias)', part)
        if qkv:
            joined.setdefault(f'{base}attn.in_proj_{qkv.group(2)}', {})[qkv.group(1)] = value
            continue
        renamed[base + _rename_part(part, name)] = value
    for name, parts in joined.items():
        if parts.keys() != {'q', 'k', 'v'}:
            raise WeightsError(f"{name} is made of query, key and value, but only {sorted(parts)} are there")
        renamed[name] = torch.cat([parts[each] for each in 'qkv'])
    return renamed


def _split_layer(name: str) -> tuple[str, str]:
    for theirs, ours in HF_TOWERS:
        found = re.match(re.escape(theirs) + r'(\d+)\.', name)
        if found:
            return f'{ours}{found.group(1)}.', name[found.end():]
    raise WeightsError(f"'{name}' is no weight of Hugging Face's CLIPModel")


def _rename_part(part: str, name: str) -> str:
    for theirs, ours in HF_LAYER:
        if part.startswith(theirs):
            return ours + part.removeprefix(theirs)
    raise WeightsError(f"'{name}' is no weight of Hugging Face's CLIPModel")

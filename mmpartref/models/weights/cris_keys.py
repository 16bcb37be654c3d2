"""Rename weights between the published CRIS checkpoint and ours."""
import re
from collections.abc import Mapping

import torch

from mmpartref.errors import WeightsError

# Prefix of the published name, prefix of ours; '#' is the number of a layer. The first matching rule is used.
RULES = (
    ('backbone.visual.', 'backbone.'),
    ('neck.txt_proj.0.', 'neck.sentence_proj.'),
    ('neck.txt_proj.1.', 'neck.sentence_norm.0.'),
    ('neck.f1_v_proj.', 'neck.c5_conv.'),
    ('neck.norm_layer.', 'neck.fuse5.'),
    ('neck.f2_v_proj.', 'neck.c4_conv.'),
    ('neck.f2_cat.', 'neck.fuse4.'),
    ('neck.f3_v_proj.', 'neck.c3_conv.'),
    ('neck.f3_cat.', 'neck.fuse3.'),
    ('neck.f4_proj5.', 'neck.out5_conv.'),
    ('neck.f4_proj4.', 'neck.out4_conv.'),
    ('neck.f4_proj3.', 'neck.out3_conv.'),
    ('neck.aggr.', 'neck.aggregate.'),
    ('neck.coordconv.0.conv1.', 'neck.coord_conv.conv.'),
    ('neck.coordconv.1.', 'neck.out_conv.'),
    ('decoder.layers.#.self_attn_norm.', 'decode_head.decoder.layers.#.self_attn_post_norm.'),
    ('decoder.layers.#.cross_attn_norm.', 'decode_head.decoder.layers.#.cross_attn_post_norm.'),
    ('decoder.layers.#.multihead_attn.', 'decode_head.decoder.layers.#.cross_attn.'),
    ('decoder.layers.#.norm1.', 'decode_head.decoder.layers.#.self_attn_pre_norm.'),
    ('decoder.layers.#.norm2.', 'decode_head.decoder.layers.#.cross_attn_pre_norm.'),
    ('decoder.layers.#.norm3.', 'decode_head.decoder.layers.#.ffn_norm.'),
    ('decoder.', 'decode_head.decoder.'),
    ('proj.vis.1.', 'decode_head.projector.conv1.'),
    ('proj.vis.3.', 'decode_head.projector.conv2.'),
    ('proj.vis.4.', 'decode_head.projector.conv3.'),
    ('proj.txt.', 'decode_head.projector.kernel.'),
    # Last, because it also matches 'backbone.visual.'.
    ('backbone.', 'text_encoder.'),
)
# CLIP's temperature, in every published checkpoint and not used by CRIS.
UNUSED = ('backbone.logit_scale', )


def _rename(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    for source, target in rules:
        found = re.match(re.escape(source).replace(r'\#', '#').replace('#', r'(\d+)'), name)
        if found:
            number = found.group(1) if found.groups() else ''
            return target.replace('#', number) + name[found.end():]
    raise WeightsError(f"'{name}' is not a parameter of CRIS")


def from_published(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename a published checkpoint's weights to ours, without ``logit_scale``.

    Raises:
        WeightsError: a name is not a parameter of CRIS.
    """
    return {_rename(name, RULES): value for name, value in state.items() if name not in UNUSED}


def to_published(state: Mapping[str, torch.Tensor], logit_scale: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    """Rename our weights to the published checkpoint's.

    Args:
        state: a ``ReferringSegmentor``'s state dict.
        logit_scale: CLIP's temperature, an unused entry of the checkpoint; default CLIP's initial ``log(1 / 0.07)``.
    """
    # The rule of the image encoder, 'backbone.' in our names, comes last.
    reverse = tuple((ours, theirs) for theirs, ours in sorted(RULES, key=lambda rule: rule[1] == 'backbone.'))
    renamed = {_rename(name, reverse): value for name, value in state.items()}
    if logit_scale is None:
        logit_scale = torch.tensor(1 / 0.07).log()
    return {UNUSED[0]: logit_scale, **renamed}

"""Low-rank adaptation (LoRA) with the layers of peft, added to a model in place."""
from collections.abc import Mapping
from typing import Any

from torch import nn

from mmpartref.errors import InputError
from mmpartref.models.layers.optional_package import import_package
from mmpartref.models.layers.tuning.unfused_attention import unfuse_attentions

# Keys of peft's LoraConfig that have an effect on layers added in place; peft would ignore the others silently.
LORA_KEYS = ('r', 'lora_alpha', 'lora_dropout', 'target_modules', 'exclude_modules', 'layers_to_transform',
             'layers_pattern', 'rank_pattern', 'alpha_pattern', 'use_rslora', 'use_dora', 'init_lora_weights')


def add_lora(module: nn.Module, lora: Mapping[str, Any]) -> None:
    """Add LoRA layers to ``module`` in place.

    Where ``in_proj`` or ``out_proj`` is named, attention is first replaced by ``UnfusedAttention``. Source: Hu et al.,
    "LoRA: low-rank adaptation of large language models", ICLR 2022; the layers are peft's.

    Args:
        module: changed in place.
        lora: arguments of peft's ``LoraConfig``, limited to ``LORA_KEYS``; ``target_modules`` is required.

    Raises:
        ImportError: peft is missing.
        ValueError: a key is unknown, ``target_modules`` is missing or matches nothing, or an attention layer cannot be
            replaced.
    """
    unknown = [key for key in lora if key not in LORA_KEYS]
    if unknown or not lora.get('target_modules'):
        what = f'does not take {", ".join(unknown)}' if unknown else "needs target_modules, e.g. ['in_proj']"
        raise InputError(f'lora {what}; it takes {", ".join(LORA_KEYS)}')
    peft = import_package('peft', 'lora')
    targets = lora['target_modules']
    # A string is a regular expression, which may match any layer.
    if isinstance(targets, str) or any(each.rsplit('.', 1)[-1] in ('in_proj', 'out_proj') for each in targets):
        unfuse_attentions(module)
    settings = {**lora, 'target_modules': targets if isinstance(targets, str) else list(targets)}
    peft.inject_adapter_in_model(peft.LoraConfig(**settings), module)


def merge_lora(model: nn.Module) -> int:
    """Merge the LoRA weights into the base layers and remove the LoRA layers, in place; return how many.

    The outputs differ by rounding. The state dict is that of the same config without ``lora``.
    """
    merged = 0
    for parent in list(model.modules()):
        for name, found in list(parent.named_children()):
            child: Any = found
            if hasattr(child, 'lora_A') and hasattr(child, 'get_base_layer'):
                child.merge(safe_merge=True)
                setattr(parent, name, child.get_base_layer())
                merged += 1
    return merged

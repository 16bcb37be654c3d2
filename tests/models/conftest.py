"""CLIPs small enough for a test, under OpenAI's names, and the archives they are published as."""
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from mmpartref.models.clip_model import CLIPModel

TEXT = {'type': 'CLIPTextEncoder', 'width': 64, 'layers': 2, 'heads': 1, 'embed_channels': 24, 'word_length': 9,
        'context_length': 9}
IMAGE = {
    'resnet': {'type': 'CLIPResNet', 'layers': (1, 1, 1, 1), 'width': 8, 'embed_channels': 24, 'num_heads': 4,
               'pretrain_grid': 2},
    'vit': {'type': 'CLIPVisionTransformer', 'patch_size': 8, 'width': 64, 'layers': 3, 'num_heads': 1,
            'embed_channels': 24, 'pretrain_grid': 4},
}


def seed_weights(model: nn.Module) -> None:
    """Give every entry a random value, so that an entry which is not read shows."""
    for name, value in model.state_dict().items():
        if not value.is_floating_point():
            continue
        drawn = torch.randn_like(value)
        if name.endswith('running_var'):
            drawn = 0.5 + 0.5 * drawn.abs()
        elif value.ndim >= 2:
            drawn = drawn / value[0].numel()**0.5
        elif name.endswith('weight'):
            drawn = 1 + 0.1 * drawn
        else:
            drawn = 0.1 * drawn
        value.copy_(drawn)
    if hasattr(model, 'logit_scale'):
        model.logit_scale.data.fill_(2.0)


class PublishedCLIP(nn.Module):
    """A module tree under OpenAI's names, to be saved as a TorchScript archive."""

    def __init__(self, model: CLIPModel) -> None:
        super().__init__()
        self.visual = model.backbone
        for name in ('transformer', 'token_embedding', 'positional_embedding', 'ln_final', 'text_projection'):
            setattr(self, name, getattr(model.text_encoder, name))
        self.logit_scale = model.logit_scale
        for name, value in (('input_resolution', 64), ('context_length', 9), ('vocab_size', 49408)):
            self.register_buffer(name, torch.tensor(value))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.logit_scale


@pytest.fixture
def published_clip() -> type[nn.Module]:
    """``PublishedCLIP``, for tests that build a separate CLIP."""
    return PublishedCLIP


@pytest.fixture(params=['resnet', 'vit'])
def tiny_clip(request) -> CLIPModel:
    """A seeded classic CLIP in evaluation mode; the ResNet's without CRIS's residual."""
    model = CLIPModel(backbone=IMAGE[request.param], text_encoder=TEXT)
    seed_weights(model)
    return model.eval()


@pytest.fixture
def openai_state(tiny_clip) -> dict[str, torch.Tensor]:
    """Its weights under OpenAI's names, in half precision."""
    return {
        name: value.half() if value.is_floating_point() else value
        for name, value in PublishedCLIP(tiny_clip).state_dict().items() if 'attnpool.connect' not in name
    }


@pytest.fixture
def openai_archive(tiny_clip, tmp_path) -> Path:
    """The TorchScript archive, as OpenAI publishes it: half precision, buffers that are not weights."""
    published = PublishedCLIP(tiny_clip)
    if hasattr(published.visual, 'attnpool'):
        del published.visual.attnpool.connect
    path = tmp_path / 'RN50.pt'
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)
        torch.jit.trace(published.half(), torch.ones(1).half()).save(path)
    return path

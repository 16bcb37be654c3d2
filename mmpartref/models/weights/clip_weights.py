"""Convert CLIP checkpoints of all formats to our image and text encoders."""
from collections.abc import Mapping
from pathlib import Path

import torch

from mmpartref.errors import WeightsError
from mmpartref.models.clip_model import CLIPModel
from mmpartref.models.weights.clip_architecture import CLIPArchitecture, meta_state_dict, read_architecture
from mmpartref.models.weights.clip_keys import to_openai
from mmpartref.models.weights.key_report import compare_keys
from mmpartref.models.weights.state_files import errors_with_path, read_tensors

# The residual is CRIS's; a checkpoint of both encoders may lack the temperature.
ALLOWED_MISSING = ('attnpool.connect.', 'logit_scale')
TOWERS = ('backbone', 'text_encoder')


def convert_clip(state: Mapping[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], CLIPArchitecture]:
    """Convert CLIP weights of any format (see ``to_openai``) to ours.

    Returns:
        The state dict of a ``CLIPModel`` in float32 (``backbone.*``, ``text_encoder.*``, ``logit_scale``), without
        CRIS's ``connect``, and the architecture.

    Raises:
        WeightsError: a key is missing, unexpected or of another shape; all are listed.
    """
    openai = to_openai(state)
    architecture = read_architecture(openai)
    widths = [half['embed_channels'] for half in (architecture.backbone, architecture.text_encoder)]
    if widths[0] != widths[1]:
        raise WeightsError(f'the image encoder embeds in {widths[0]} channels but text_projection in {widths[1]}: '
                           'these encoders belong to different CLIPs')
    ours = {_rename(name): value.float() if value.is_floating_point() else value for name, value in openai.items()}
    wanted = meta_state_dict(lambda: build_clip(architecture), f'CLIP {architecture.name}')
    report = compare_keys(ours, wanted, allow_missing=ALLOWED_MISSING)
    if report:
        raise WeightsError(f'these weights do not fit CLIP {architecture.name}:\n{report}')
    return ours, architecture


def _rename(name: str) -> str:
    if name.startswith('visual.'):
        return 'backbone.' + name.removeprefix('visual.')
    return name if name == 'logit_scale' else 'text_encoder.' + name


def build_clip(architecture: CLIPArchitecture) -> CLIPModel:
    """Build a CLIP of an architecture, with random weights."""
    text_encoder = {**architecture.text_encoder, 'word_length': architecture.text_encoder['context_length']}
    return CLIPModel(backbone=architecture.backbone, text_encoder=text_encoder)


def load_clip(path: str | Path) -> CLIPModel:
    """Read a CLIP checkpoint, its architecture included, into a model in evaluation mode.

    Args:
        path: one of OpenAI's archives, a state dict of any format, or an output of ``tools/convert_clip.py``.

    Raises:
        MissingWeightsError: the file does not exist.
        WeightsError: the file does not contain a CLIP.
    """
    ours, architecture = read_clip(path)
    model = build_clip(architecture)
    model.load_state_dict(ours, strict=False)
    return model.eval()


def read_clip(path: str | Path, *, key: str | None = None) -> tuple[dict[str, torch.Tensor], CLIPArchitecture]:
    """Read a CLIP checkpoint of any format, converted ones included; see ``convert_clip`` and ``read_tensors``."""
    state = read_tensors(path, key=key)
    if any(name.startswith('text_encoder.') for name in state):
        state = {_rename_back(name): value for name, value in state.items()}
    with errors_with_path(path):
        return convert_clip(state)


def _rename_back(name: str) -> str:
    if name.startswith('backbone.'):
        return 'visual.' + name.removeprefix('backbone.')
    return name.removeprefix('text_encoder.')


def describe_clip(ours: Mapping[str, torch.Tensor], architecture: CLIPArchitecture) -> str:
    """Return a text with the architecture, the number of weights and the configs of a converted CLIP."""

    def config(values: Mapping[str, object]) -> str:
        return f'dict({", ".join(f"{key}={value!r}" for key, value in values.items())})'

    counts = {tower: sum(name.startswith(f'{tower}.') for name in ours) for tower in TOWERS}
    lines = [
        f'CLIP {architecture.name}: {counts["backbone"]} entries of the image encoder, {counts["text_encoder"]} of the '
        f'text encoder, all fit; logit_scale {"included" if "logit_scale" in ours else "not in the checkpoint"}',
        f'backbone={config(architecture.backbone)}',
        f'text_encoder={config(architecture.text_encoder)}',
        "activation is 'quick_gelu' by default; set 'gelu' for most models trained by open_clip: the weights do not "
        'contain it',
    ]
    return '\n'.join(lines)

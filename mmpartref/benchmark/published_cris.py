"""The published CRIS with our weights, from a checkout of DerrickWang005/CRIS.pytorch on GitHub."""
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from unittest import mock

import torch
from torch import nn

from mmpartref.errors import MissingFileError
from mmpartref.models.segmentors import ReferringSegmentor
from mmpartref.models.weights.cris_keys import to_published

REQUIRED = ('model/segmenter.py', 'model/clip.py', 'model/layers.py')


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Make ``model`` the checkout's package, and replace loguru where it is not installed."""
    quiet = ModuleType('loguru')
    quiet.logger = SimpleNamespace(info=lambda *args: None)  # type: ignore[attr-defined]
    others = {name: sys.modules.pop(name) for name in list(sys.modules) if name == 'model' or name.startswith('model.')}
    with mock.patch.dict(sys.modules, {} if 'loguru' in sys.modules else {'loguru': quiet}):
        sys.path.insert(0, str(folder))
        try:
            yield
        finally:
            sys.path.remove(str(folder))
    sys.modules.update(others)


def load_published(folder: str | Path, ours: ReferringSegmentor) -> nn.Module:
    """Build the checkout's ``CRIS`` with our model's weights, in evaluation mode, on the same device.

    Raises:
        FileNotFoundError: the folder is not a checkout.
        WeightsError: our model is not a CRIS.
    """
    folder = Path(folder)
    missing = [name for name in REQUIRED if not (folder / name).is_file()]
    if missing:
        raise MissingFileError(f'{folder} is not a checkout of the published CRIS (no {missing[0]}); clone '
                               'https://github.com/DerrickWang005/CRIS.pytorch there')
    ours_state = {name: value.detach().cpu() for name, value in ours.state_dict().items()}
    state = to_published(ours_state)
    prefix = 'backbone.'
    clip = {name.removeprefix(prefix): value for name, value in state.items()
            if name.startswith(prefix) and '.connect.' not in name}
    decoder = ours.decode_head.decoder
    layer = decoder.layers[0]
    settings = SimpleNamespace(
        clip_pretrain='', word_len=ours.text_encoder.tokenizer.length, fpn_in=list(ours.neck.in_channels),
        fpn_out=[ours.neck.c3_conv[0].out_channels, ours.neck.c4_conv[0].out_channels,
                 ours.neck.c5_conv[0].out_channels],
        num_layers=len(decoder.layers), vis_dim=ours.neck.out_channels, num_head=layer.self_attn.num_heads,
        dim_ffn=layer.ffn[0].out_features, dropout=layer.dropout.p, intermediate=False,
        word_dim=ours.decode_head.sentence_channels)
    archive = SimpleNamespace(eval=lambda: SimpleNamespace(state_dict=lambda: dict(clip)))
    # It reads CLIP's weights from an archive, which is replaced by ours.
    with _importable(folder), mock.patch.object(torch.jit, 'load', return_value=archive):
        published = importlib.import_module('model.segmenter').CRIS(settings)
    published.load_state_dict(state, strict=True)
    return published.to(next(ours.parameters()).device).eval()

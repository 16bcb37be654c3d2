"""Export of the inference graph to ONNX, or to the ``.pt2`` format of torch.export.

::

    images (N, 3, H, W), tokens (U, L), image_index (M,), text_index (M,)  ->  logits (M, 1, H/s, W/s)

N, M and U are dynamic, from 1; H and W are fixed per file, because position tables and the upsampling before a
convolution are constants for one size.
"""
import importlib.util
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import nn

from mmpartref.apis.model_building import letterbox_of
from mmpartref.errors import ExportError
from mmpartref.files.atomic_write import atomic_write
from mmpartref.models.segmentors.referring_segmentor import ReferringSegmentor

INPUTS = ('images', 'tokens', 'image_index', 'text_index')
OUTPUT = 'logits'
AXES = ('N', 'U', 'M', 'M')  # the name of each input's first axis
SUFFIXES = ('.onnx', '.pt2')
# The projector's overlap-add needs Col2Im of opset 18. From 23 on attention is one operator, whose mask onnxruntime
# 1.32 does not broadcast over the queries.
OPSETS = (18, 22)
# An ONNX file is one protobuf message of at most 2 GiB.
ONNX_BYTES = 2**31


class InferenceGraph(nn.Module):
    """The exported module: ``encode_decode`` with all inputs required.

    It calls the two steps of ``encode_decode``, whose test of ``len(image_index)`` would fix M.
    """

    def __init__(self, model: ReferringSegmentor) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor, tokens: torch.Tensor, image_index: torch.Tensor,
                text_index: torch.Tensor) -> torch.Tensor:
        return self.model._network(images, *self.model._encode_text(tokens), image_index, text_index)[0]


def export_metadata(model: ReferringSegmentor, size: tuple[int, int], config: Config | None = None) -> dict[str, str]:
    """Return the settings of pre- and postprocessing, lists and numbers as JSON.

    Args:
        model: the exported model.
        size: (H, W).
        config: adds its file name, and ``half_pixel`` and ``fill`` of the letterbox in its test pipeline.
    """
    preprocessor = model.data_preprocessor
    facts: dict[str, Any] = {
        'height': size[0],
        'width': size[1],
        'logit_stride': model.decode.stride,
        'decode': model.decode.name,
        'threshold': model.decode.threshold,
        'mean': preprocessor.mean.flatten().tolist(),
        'std': preprocessor.std.flatten().tolist(),
        'word_length': model.text_encoder.tokenizer(['part']).size(1),
    }
    if config is not None:
        facts['config'] = Path(config.filename or '').name
        letterbox = letterbox_of(config)
        if letterbox is not None:
            facts |= {'half_pixel': letterbox.half_pixel, 'fill': letterbox.fill}
    return {name: fact if isinstance(fact, str) else json.dumps(fact) for name, fact in facts.items()}


def random_inputs(model: ReferringSegmentor, size: tuple[int, int], counts: tuple[int, int, int],
                  seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return inputs of the graph for (N, M, U): random images and indices, strings of different lengths."""
    num_images, rows, strings = counts
    generator = torch.Generator().manual_seed(seed)
    weight = next(model.parameters())
    tokens = model.text_encoder.tokenizer([' '.join(['part'] * (1 + number % 7) + [f'{number}'])
                                           for number in range(strings)])
    images = torch.randn(num_images, 3, *size, generator=generator)
    image_index = torch.randint(num_images, (rows, ), generator=generator)
    text_index = torch.randint(strings, (rows, ), generator=generator)
    device = weight.device
    return images.to(weight), tokens.to(device), image_index.to(device), text_index.to(device)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Set a model to evaluation mode without gradients, and restore the mode of each module afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def export_program(model: ReferringSegmentor, size: tuple[int, int]) -> torch.export.ExportedProgram:
    """Trace the inference graph for one input size.

    Args:
        model: traced in evaluation mode.
        size: (H, W), multiples of the model's ``size_divisor``.

    Raises:
        ExportError: the model is not a ``ReferringSegmentor``, or the size is not a multiple of its divisor.
    """
    if not isinstance(model, ReferringSegmentor):
        raise ExportError(f'only a ReferringSegmentor can be exported, got a {type(model).__name__}')
    divisor = model.size_divisor
    if len(size) != 2 or any(side < divisor or side % divisor for side in size):
        raise ExportError(f'size {tuple(size)} must be (height, width), both multiples of {divisor}')
    # Different numbers other than 1: torch would merge equal axes and specialise those of size 1.
    example = random_inputs(model, size, (2, 5, 3))
    axes = {name: torch.export.Dim(name, min=1) for name in dict.fromkeys(AXES)}
    with evaluating(model):
        return torch.export.export(
            InferenceGraph(model), example, dynamic_shapes=tuple({0: axes[name]} for name in AXES), strict=False)


def export_onnx(model: ReferringSegmentor, path: str | Path, size: tuple[int, int], *, opset: int = OPSETS[0],
                config: Config | None = None) -> None:
    """Export the inference graph for one input size as one ONNX file with ``export_metadata``.

    Args:
        model: see ``export_program``.
        path: the ``.onnx`` file, written atomically.
        size: (H, W).
        opset: ONNX opset version.
        config: see ``export_metadata``.

    Raises:
        ExportError: as in ``export_program``; or packages are missing, the opset is not supported, or the weights have
            2 GiB or more.
    """
    require('onnx', 'onnxscript')
    if not OPSETS[0] <= opset <= OPSETS[1]:
        raise ExportError(f'opset {opset} must be from {OPSETS[0]} to {OPSETS[1]}')
    if sum(each.numel() * each.element_size() for each in model.parameters()) >= ONNX_BYTES:
        raise ExportError('an ONNX file is limited to 2 GiB and these weights have more; export to .pt2')
    program = export_program(model, size)
    shapes = {name: {0: axis} for name, axis in zip(INPUTS, AXES, strict=True)}
    with quiet_exporter():
        converted = torch.onnx.export(
            program, dynamo=True, verbose=False, opset_version=opset, dynamic_shapes=shapes, output_names=[OUTPUT])
    assert converted is not None
    converted.model.metadata_props.update(export_metadata(model, size, config))
    with atomic_write(path) as temporary:
        converted.save(temporary, external_data=False)


def export_pt2(model: ReferringSegmentor, path: str | Path, size: tuple[int, int], *,
               config: Config | None = None) -> None:
    """Export the inference graph for one input size for ``torch.export.load``, with ``metadata.json`` inside.

    Arguments and errors as in ``export_onnx``.
    """
    program = export_program(model, size)
    metadata = json.dumps(export_metadata(model, size, config))
    with atomic_write(path) as temporary, temporary.open('wb') as file:
        torch.export.save(program, file, extra_files={'metadata.json': metadata})


def require(*packages: str) -> None:
    """Raise an ExportError if a package is not installed."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(f'export needs {" and ".join(missing)}: pip install mmpartref[export]')


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Silence log messages and warnings of torch.onnx about its internals (torchvision is missing, ...)."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(level)


def check_suffix(path: str | Path) -> str:
    """Return a file's suffix.

    Raises:
        ExportError: it is not one of ``SUFFIXES``.
    """
    suffix = Path(path).suffix
    if suffix not in SUFFIXES:
        raise ExportError(f"{path} must end in {' or '.join(SUFFIXES)}")
    return suffix

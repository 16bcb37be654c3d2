"""Timed workloads: inference, a training step, and the model with single optimisations switched."""
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmpartref.engine.hooks.model_cost_hook import plain_attention
from mmpartref.masks.iou import encode_masks, score_rles
from mmpartref.models.layers.cpu.cpu_fast_paths import disable_cpu_fast_paths
from mmpartref.models.segmentors import ReferringSegmentor
from mmpartref.structures import ReferringDataSample

# Usual (h, w) of a PartImageNet image, in pixels.
IMAGE_SIZE = (375, 500)
PARTS = {
    'image encoder': 'backbone',
    'text encoder': 'text_encoder',
    'neck': 'neck',
    'decoder': 'decode_head.decoder',
    'projector': 'decode_head.projector',
}


@dataclass(frozen=True)
class Batch:
    """Random images with distinct expressions.

    Attributes:
        images: (N, 3, H, W).
        tokens: (M, L).
        image_index: (M,).
        masks: (M, 1, H, W), 0 or 1.
    """
    images: torch.Tensor
    tokens: torch.Tensor
    image_index: torch.Tensor
    masks: torch.Tensor

    @property
    def expressions(self) -> int:
        return len(self.tokens)


def make_batch(model: ReferringSegmentor, num_images: int, per_image: int, size: int) -> Batch:
    """Draw a batch of noise images with PartImageNet's words on the model's device."""
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(num_images, 3, size, size, generator=generator)
    parts = ('head', 'body', 'foot', 'tail')
    texts = [f'quadruped {number} {parts[number % len(parts)]}' for number in range(num_images * per_image)]
    coarse = torch.rand(num_images * per_image, 1, 8, 8, generator=generator) > 0.7
    masks = F.interpolate(coarse.float(), size=(size, size))
    index = torch.arange(num_images).repeat_interleave(per_image)
    return Batch(images.to(device), model.text_encoder.tokenizer(texts).to(device), index.to(device), masks.to(device))


@torch.no_grad()
def infer(model: ReferringSegmentor, batch: Batch, clear_cache: bool = True) -> torch.Tensor:
    """Return logits; ``clear_cache`` makes the text encoder run again."""
    if clear_cache and model.text_cache is not None:
        model.text_cache.clear()
    return model.encode_decode(batch.images, batch.tokens, batch.image_index)


@torch.no_grad()
def infer_one_by_one(model: ReferringSegmentor, batch: Batch) -> torch.Tensor:
    """Return logits (M, 1, H/4, W/4), each image encoded anew for each expression, as the published code does."""
    rows = torch.arange(batch.expressions, device=batch.tokens.device)
    if model.text_cache is not None:
        model.text_cache.clear()
    return model.encode_decode(batch.images[batch.image_index], batch.tokens, rows)


@torch.no_grad()
def infer_published(published: nn.Module, batch: Batch) -> torch.Tensor:
    """Return the logits (M, 1, H/4, W/4) of the published model for the same batch."""
    return published(batch.images[batch.image_index], batch.tokens)


def postprocess_and_score(model: ReferringSegmentor, batch: Batch) -> None:
    """Convert probabilities to scored masks at image size, as evaluation does after the network.

    The masks are the batch's, because an untrained network predicts noise with far longer outlines.
    """
    size = batch.masks.size(2)
    scale = size / max(IMAGE_SIZE)
    matrix = np.array([[scale, 0, 0], [0, scale, (size - IMAGE_SIZE[0] * scale) / 2]])
    probs = F.interpolate(batch.masks, scale_factor=1 / model.decode.stride, mode='area')[:, 0]
    masks = model.decode.to_image(probs, (size, size), matrix, IMAGE_SIZE) > model.decode.threshold
    for rle in encode_masks(masks.cpu().numpy()):
        score_rles(rle, [rle])


def training_step(model: nn.Module, loss: Callable[[], torch.Tensor], optimizer: torch.optim.Optimizer) -> None:
    """Run forward, backward and a step of the optimiser."""
    model.train()
    optimizer.zero_grad(set_to_none=True)
    loss().backward()
    optimizer.step()


def our_loss(model: ReferringSegmentor, batch: Batch) -> torch.Tensor:
    """Return the training loss, with targets made as in training."""
    masks = (batch.masks[:, 0] * 255).to(torch.uint8)
    counts = torch.bincount(batch.image_index).tolist()
    samples = [ReferringDataSample(gt_masks=each) for each in masks.split(counts)]
    losses = model(batch.images, samples, mode='loss', tokens=batch.tokens, image_index=batch.image_index)
    return losses['loss_text_to_pixel']


def published_loss(published: nn.Module, batch: Batch) -> torch.Tensor:
    """Return the training loss () of the published model for the same batch."""
    return published(batch.images[batch.image_index], batch.tokens, batch.masks)[2]


def flops_by_part(model: ReferringSegmentor, run: Callable[[], object], fast_paths: bool = False) -> dict[str, int]:
    """Count the operations (2 per multiply-add) of each part and of all, in ``run``.

    ``fast_paths`` counts those of the CPU fast paths; without them the count is the same on every device.
    """
    paths = nullcontext() if fast_paths else disable_cpu_fast_paths()
    with plain_attention(), paths, FlopCounterMode(display=False, depth=4) as counter:
        run()
    counts = counter.get_flop_counts()
    parts = {}
    for part, path in PARTS.items():
        # The counter begins a module's name with the class of the outermost module that was called.
        first, *rest = path.split('.')
        name = '.'.join([type(model.get_submodule(first)).__name__, *rest])
        parts[part] = sum(counts.get(name, {}).values())
    return {**parts, 'all': counter.get_total_flops()}


# Module, attribute and value by name of an optimisation.
SWITCHES: dict[str, tuple[str, str, bool]] = {
    'projector at full resolution': ('decode_head.projector', 'low_resolution', False),
    'neck over repeated maps': ('neck', 'split_maps', False),
    'channels-last memory': ('', 'channels_last', True),
}
NO_FAST_PATHS = 'no CPU fast paths'


@contextmanager
def switched(model: ReferringSegmentor, switch: str) -> Iterator[None]:
    """Apply one of ``SWITCHES``, or ``NO_FAST_PATHS``, within the context."""
    if switch == NO_FAST_PATHS:
        with disable_cpu_fast_paths():
            yield
        return
    module, attribute, value = SWITCHES[switch]
    owner = model.get_submodule(module)
    before = getattr(owner, attribute)
    setattr(owner, attribute, value)
    try:
        yield
    finally:
        setattr(owner, attribute, before)


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager:
    """Return the autocast context of a precision; none for float32."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype=dtype)

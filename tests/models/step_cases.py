"""A small case of every registered model class, and what all of them have to pass; ``conftest.py`` loads this file.

torchvision_cases.py has the cases of the classes that need timm or open_clip.
"""
import copy
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from tokenizers import Tokenizer, models
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mmpartref.models.backbones import efficientnet_lite
from mmpartref.registry import MODELS
from mmpartref.structures import ReferringDataSample

PACKAGE = Path(__file__).parents[2] / 'mmpartref'
TEXTS = ['quadruped head', 'car tire', 'bird wing']
# Image and string of each of the four expressions of a step.
IMAGE_INDEX, TEXT_INDEX = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 2, 0])
EXPRESSIONS = [[TEXTS[0], TEXTS[1]], [TEXTS[2], TEXTS[0]]]
LABELS = ['car tire', 'car body', 'bird wing']
FLOAT, BFLOAT, BOOL = torch.float32, torch.bfloat16, torch.bool

# Of a loss: its logits are rounded, it is computed in float32.
LOGITS_IN_HALF = 1e-3

Outputs = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Case:
    """How one class is built and used.

    Attributes:
        build: returns the module; gets a folder for files.
        draw: returns the arguments of a step, on the CPU; gets the module.
        step: module and arguments -> outputs by name, losses as scalars. It looks at ``module.training``.
        half: dtypes of the outputs in training under bfloat16's autocast.
        unused: beginnings of the names of parameters that the step does not read.
        rounding: by how much bfloat16 may change an output, in norms of the output.
        loss_rounding: by how much it may change a loss, in shares of the loss.
    """
    build: Callable[[Path], nn.Module]
    draw: Callable[[nn.Module], tuple[torch.Tensor, ...]]
    step: Callable[..., Outputs]
    half: dict[str, torch.dtype]
    unused: tuple[str, ...] = ()
    rounding: float = 0.06
    loss_rounding: float = 0.1


def of(config: dict) -> Callable[[Path], nn.Module]:
    return lambda folder: MODELS.build(copy.deepcopy(config))


def with_vocabulary(config: dict) -> Callable[[Path], nn.Module]:
    def build(folder: Path) -> nn.Module:
        words = {'<pad>': 0, '<eos>': 1, 'tire': 2, 'car': 3}
        Tokenizer(models.WordLevel(words, unk_token='<pad>')).save(str(folder / 'tokenizer.json'))
        return MODELS.build({**config, 'tokenizer': {'file': str(folder / 'tokenizer.json')}})
    return build


def one_block_a_stage(folder: Path) -> nn.Module:
    """An EfficientNet-Lite of 7 blocks instead of 16."""
    stages = [(1, *stage[1:]) for stage in efficientnet_lite.STAGES]
    with mock.patch.object(efficientnet_lite, 'STAGES', stages):
        return MODELS.build({'type': 'EfficientNetLite'})


class ThreeMaps(nn.Module):
    """A backbone without ``out_channels``."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(3, stride, 1) for stride in (8, 16, 32))

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        return [layer(images[:, :, ::layer.out_channels, ::layer.out_channels]) for layer in self.layers]


def image_encoder(build: Callable[[Path], nn.Module], rounding: float = 0.06, half: torch.dtype = BFLOAT) -> Case:
    return Case(build, lambda module: (torch.randn(2, 3, 64, 96), ),
                lambda module, images: dict(zip(('C3', 'C4', 'C5'), module(images), strict=True)),
                dict.fromkeys(('C3', 'C4', 'C5'), half), rounding=rounding)


def text_encoder(build: Callable[[Path], nn.Module], *dtypes: torch.dtype) -> Case:
    def step(module: nn.Module, tokens: torch.Tensor) -> Outputs:
        words, sentence = module(tokens)
        return {'words': words, 'sentence': sentence, 'padding': module.padding_mask(tokens)}

    return Case(build, lambda module: (module.tokenizer(TEXTS), ), step,
                dict(zip(('words', 'sentence', 'padding'), (*dtypes, BOOL), strict=True)))


def neck(config: dict) -> Case:
    def draw(module: nn.Module) -> tuple[torch.Tensor, ...]:
        maps = [torch.randn(2, channels, 64 // stride, 96 // stride)
                for channels, stride in zip((8, 12, 10), (8, 16, 32), strict=True)]
        return *maps, torch.randn(3, 20), IMAGE_INDEX, TEXT_INDEX

    def step(module: nn.Module, *given: torch.Tensor) -> Outputs:
        return {'fused': module(given[:3], *given[3:])}

    return Case(of({'type': 'CRISNeck', 'in_channels': (8, 12, 10), 'sentence_channels': 20,
                    'out_channels': (8, 16, 12), **config}), draw, step, {'fused': BFLOAT})


def decode_head(**changes: Any) -> Case:
    config = {'type': 'VisionLanguageDecodeHead', 'in_channels': 16, 'word_channels': 12, 'sentence_channels': 20,
              'num_layers': 1, 'num_heads': 2, 'feedforward_channels': 24, 'dropout': 0.0,
              'loss': [{'type': 'TextToPixelContrastiveLoss'}, {'type': 'TverskyLoss'}], **changes}
    stride = changes.get('logit_stride', 4)
    size = 64 // stride, 96 // stride
    maps = [(2, width, 64 // step, 96 // step) for width, step in zip(
        changes.get('map_channels', ()), (4, 8, 16, 32), strict=False)]

    def draw(module: nn.Module) -> tuple[torch.Tensor, ...]:
        return (torch.randn(4, 16, 4, 6), torch.randn(4, 7, 12), torch.arange(7).expand(4, 7) > 3, torch.randn(4, 20),
                torch.rand(4, 1, *size), *([IMAGE_INDEX] if maps else []), *(torch.randn(shape) for shape in maps))

    def step(module: nn.Module, *given: torch.Tensor) -> Outputs:
        fused, target = given[:4], given[4]
        laterals = (given[6:], given[5]) if maps else ()
        if module.presence_head is None:
            outputs = {'logits': module(*fused, size, *laterals)}
        else:
            outputs = dict(zip(('logits', 'presence'), module.with_presence(*fused, size, *laterals), strict=True))
        return {**outputs, **module.loss(outputs['logits'], target)}

    half = {'logits': BFLOAT, 'loss_text_to_pixel': FLOAT, 'loss_tversky': FLOAT}
    return Case(of(config), draw, step, half if 'presence_head' not in changes else {**half, 'presence': BFLOAT})


def as_computed(logits: torch.Tensor) -> torch.Tensor:
    """Return logits in the dtype in which a network computes them, bfloat16 under autocast."""
    return logits.to(torch.get_autocast_dtype('cpu')) if torch.is_autocast_enabled('cpu') else logits


def mask_loss(config: dict) -> Case:
    def draw(module: nn.Module) -> tuple[torch.Tensor, ...]:
        return torch.randn(4, 1, 8, 12, requires_grad=True), torch.rand(4, 1, 8, 12)

    return Case(of(config), draw, lambda module, logits, target: {'loss': module(as_computed(logits), target)},
                {'loss': FLOAT}, loss_rounding=LOGITS_IN_HALF)


def presence_head() -> Case:
    def draw(module: nn.Module) -> tuple[torch.Tensor, ...]:
        return torch.randn(4, 8, 4, 6), torch.randn(4, 10), torch.tensor([True, False, True, True])

    def step(module: nn.Module, pixels: torch.Tensor, sentence: torch.Tensor, present: torch.Tensor) -> Outputs:
        logits = module(pixels, sentence)
        return {'logits': logits, 'loss': module.loss(logits, present)}

    return Case(of({'type': 'PresenceHead', 'in_channels': 8, 'sentence_channels': 10}), draw, step,
                {'logits': BFLOAT, 'loss': FLOAT})


def samples_of(masks: torch.Tensor) -> list[ReferringDataSample]:
    """Two images with two expressions each, with everything that some loss reads."""
    samples = []
    for image, each in enumerate(masks.split(2)):
        sample = ReferringDataSample(metainfo={'img_path': f'{image}.jpg', 'ori_shape': (40, 60),
                                               'img_shape': tuple(masks.shape[1:]),
                                               'letterbox_matrix': [[1.6, 0, 0], [0, 1.6, 0]]})
        sample.expressions = EXPRESSIONS[image]
        sample.refs = [{'absent': None}, {'absent': 'other'}]
        sample.part_presence = {LABELS[0]: True, LABELS[1]: image == 0}
        sample.gt_masks = each
        samples.append(sample)
    return samples


def label_head() -> Case:
    def step(module: nn.Module, features: torch.Tensor, masks: torch.Tensor) -> Outputs:
        logits = module(features)
        return {'logits': logits, 'loss': module.loss(logits, samples_of(masks))}

    return Case(of({'type': 'MultiLabelPresenceHead', 'in_channels': 10, 'labels': LABELS}),
                lambda module: (torch.randn(2, 10, 2, 3), torch.zeros(4, 64, 96)), step,
                {'logits': BFLOAT, 'loss': FLOAT})


def asymmetric_loss() -> Case:
    def draw(module: nn.Module) -> tuple[torch.Tensor, ...]:
        return torch.randn(4, 3, requires_grad=True), torch.rand(4, 3) > 0.5

    return Case(of({'type': 'AsymmetricLoss'}), draw,
                lambda module, logits, target: {'loss': module(as_computed(logits), target).sum()}, {'loss': FLOAT},
                # The exponent 4 multiplies the rounding.
                loss_rounding=5 * LOGITS_IN_HALF)


IMAGE = {'type': 'CLIPResNet', 'layers': (1, 1, 1, 1), 'width': 8, 'embed_channels': 20, 'num_heads': 4,
         'pretrain_grid': 2}
VIT = {'type': 'CLIPVisionTransformer', 'patch_size': 16, 'width': 32, 'layers': 1, 'num_heads': 2,
       'embed_channels': 20, 'pretrain_grid': 3}
TEXT = {'type': 'CLIPTextEncoder', 'width': 16, 'layers': 1, 'heads': 2, 'embed_channels': 20, 'word_length': 9}


def segmentor_config(**changes: Any) -> dict:
    """Config of a CRIS with all heads."""
    head = {'type': 'VisionLanguageDecodeHead', 'num_layers': 1, 'num_heads': 2, 'feedforward_channels': 32,
            'dropout': 0.0, 'loss': [{'type': 'TextToPixelContrastiveLoss'}, {'type': 'FocalLoss'}],
            'presence_head': {'type': 'PresenceHead'}}
    labels = {'type': 'MultiLabelPresenceHead', 'labels': LABELS, 'in_evaluation': True}
    return {'type': 'ReferringSegmentor', 'backbone': IMAGE, 'text_encoder': TEXT, 'decode_head': head,
            'neck': {'type': 'CRISNeck', 'out_channels': (8, 16, 12)}, 'auxiliary_head': labels, **changes}


def draw_batch(module: nn.Module) -> tuple[torch.Tensor, ...]:
    # Not a multiple of 32, so that images are padded and logits cropped.
    return (torch.randn(2, 3, 60, 90), module.text_encoder.tokenizer(TEXTS), IMAGE_INDEX, TEXT_INDEX,
            torch.randint(0, 256, (4, 60, 90), dtype=torch.uint8))


def segmentor(**changes: Any) -> Case:
    def step(module: nn.Module, *given: torch.Tensor) -> Outputs:
        *given, masks = given
        if module.training:
            return module.loss(given[0], samples_of(masks), *given[1:])
        return {'logits': module.encode_decode(*given)}

    names = ('loss_text_to_pixel', 'loss_focal', 'loss_presence', 'loss_image_labels', 'train_mIoU')
    return Case(of(segmentor_config(**changes)), draw_batch, step, dict.fromkeys(names, FLOAT))


def zero_shot_config() -> dict:
    return {'type': 'CLIPZeroShotSegmentor', 'backbone': IMAGE, 'text_encoder': TEXT, 'background': ['sky', 'grass']}


def zero_shot() -> Case:
    def step(module: nn.Module, images: torch.Tensor, index: torch.Tensor) -> Outputs:
        return {'probabilities': module.probabilities(images, [*TEXTS, TEXTS[0]], index)}

    return Case(of(zero_shot_config()), lambda module: (torch.randn(2, 3, 64, 96), IMAGE_INDEX), step,
                {'probabilities': BFLOAT},
                # MaskCLIP's features are the values without attention.
                tuple(f'backbone.attnpool.{name}' for name in ('connect', 'positional', 'k_proj', 'q_proj')),
                rounding=0.15)


def clip_model() -> Case:
    return Case(of({'type': 'CLIPModel', 'backbone': VIT, 'text_encoder': TEXT}),
                lambda module: (torch.randn(2, 3, 64, 96), module.text_encoder.tokenizer(TEXTS)),
                lambda module, *given: {'logits': module(*given)}, {'logits': BFLOAT}, rounding=0.15)


SIGLIP = {'type': 'SiglipTextEncoder', 'width': 16, 'layers': 1, 'heads': 2, 'embed_channels': 12,
          'context_length': 6, 'vocab_size': 8}
# Names begin with the class.
CASES = {
    'CLIPResNet': image_encoder(of(IMAGE)),
    'CLIPVisionTransformer': image_encoder(of(VIT)),
    'CLIPVisionTransformer with a pyramid and LoRA': image_encoder(
        of({**VIT, 'pyramid_channels': 8, 'lora': {'r': 2, 'target_modules': ['in_proj']}})),
    # Each block adds to the rounding, and the last maps have few values to normalise.
    'EfficientNetLite': image_encoder(one_block_a_stage, rounding=0.3),
    'SelectMaps': image_encoder(of({'type': 'SelectMaps', 'backbone': {'type': ThreeMaps}})),
    'CLIPTextEncoder': text_encoder(of(TEXT), FLOAT, BFLOAT),
    'CLIPTextEncoder with an adapter': text_encoder(
        of({**TEXT, 'adapter': {'channels': 2, 'target_modules': ['mlp']}}), FLOAT, BFLOAT),
    'SiglipTextEncoder': text_encoder(with_vocabulary(SIGLIP), FLOAT, BFLOAT),
    'CRISNeck': neck({}),
    'CRISNeck over repeated maps': neck({'split_maps': False}),
    'VisionLanguageDecodeHead': decode_head(presence_head={'type': 'PresenceHead'}),
    'VisionLanguageDecodeHead at full resolution': decode_head(low_resolution=False, logit_stride=2),
    'VisionLanguageDecodeHead with lateral maps': decode_head(map_channels=(6, 8, 12, 10), laterals=2),
    'PresenceHead': presence_head(),
    'MultiLabelPresenceHead': label_head(),
    'AsymmetricLoss': asymmetric_loss(),
    'TextToPixelContrastiveLoss': mask_loss({'type': 'TextToPixelContrastiveLoss'}),
    'FocalLoss': mask_loss({'type': 'FocalLoss'}),
    'TverskyLoss': mask_loss({'type': 'TverskyLoss'}),
    'CLIPModel': clip_model(),
    'CLIPZeroShotSegmentor': zero_shot(),
    'ReferringSegmentor': segmentor(decode='aligned', row_multiple=3, channels_last=True),
    'ReferringSegmentor as published': segmentor(),
}


# Strings become tokens on the CPU, and are then copied.
FROM_STRINGS = {f'{operation} in models/{place}' for place, operations in {
    'text_encoders/fixed_length_tokenizer.py __call__': ('aten.lift_fresh.default', 'aten.view.default'),
    'segmentors/clip_zero_shot_segmentor.py embed_texts': ('aten._to_copy.default', ),
}.items() for operation in operations}


class CPUTensors(TorchDispatchMode):
    """Records the operations that read or return a tensor on the CPU.

    Attributes:
        found: name of the operation and the line of the package that called it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if any(each.device.type == 'cpu' for each in tree_leaves((args, kwargs, output))
               if isinstance(each, torch.Tensor)):
            self.found.append(f'{func} in {caller()}')
        return output


def caller() -> str:
    """Return the innermost line of the package on the stack, as path and function."""
    for frame in reversed(traceback.extract_stack()):
        path = Path(frame.filename)
        if path.is_relative_to(PACKAGE):
            return f'{path.relative_to(PACKAGE).as_posix()} {frame.name}'
    return 'a test'


def on_device(arguments: Sequence[torch.Tensor], device: str) -> list[torch.Tensor]:
    """Return leaves on a device."""
    return [each.detach().to(device).requires_grad_(each.requires_grad) for each in arguments]


def total(outputs: Outputs) -> torch.Tensor:
    """Return a scalar to which every entry of every output contributes differently."""
    parts = []
    for each in outputs.values():
        if each.requires_grad:
            weights = torch.linspace(0.5, 1.5, each.numel(), device=each.device).view(each.shape)
            parts.append((each.float() * weights).mean())
    return torch.stack(parts).sum()


def leaves(module: nn.Module, arguments: Sequence[torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield what has to get a gradient."""
    yield from ((name, each) for name, each in module.named_parameters() if each.requires_grad)
    yield from ((f'argument {number}', each) for number, each in enumerate(arguments) if each.requires_grad)


def train(case: Case, module: nn.Module, arguments: Sequence[torch.Tensor], within: Any = None,
          step: Callable[..., Outputs] | None = None) -> tuple[Outputs, dict[str, torch.Tensor | None]]:
    """Return the outputs and the gradients of a training step; ``within`` is the forward pass's context."""
    module.train()
    with within or nullcontext():
        outputs = (step or case.step)(module, *arguments)
    total(outputs).backward()
    return outputs, {name: each.grad for name, each in leaves(module, arguments)}


@torch.no_grad()
def evaluate(case: Case, module: nn.Module, arguments: Sequence[torch.Tensor],
             step: Callable[..., Outputs] | None = None) -> Outputs:
    """Return the outputs of a step in evaluation."""
    module.eval()
    return (step or case.step)(module, *arguments)


def check_on_meta(case: Case, folder: Path) -> None:
    """Check that a step in training and one in evaluation use no tensor on the CPU where all inputs are elsewhere."""
    module = case.build(folder)
    arguments = on_device(case.draw(module), 'meta')
    module = module.to('meta')
    with CPUTensors() as cpu:
        outputs, gradients = train(case, module, arguments)
        evaluated = evaluate(case, module, arguments)
    assert set(cpu.found) <= FROM_STRINGS
    assert {each.device.type for each in (*outputs.values(), *evaluated.values())} == {'meta'}
    check_gradients(case, module, arguments, gradients)
    assert {each.device.type for each in gradients.values() if each is not None} == {'meta'}


def check_gradients(case: Case, module: nn.Module, arguments: Sequence[torch.Tensor],
                    gradients: dict[str, torch.Tensor | None]) -> None:
    """Check which leaves have a gradient, and their shapes and dtypes."""
    assert any(each is not None for each in gradients.values())
    for name, each in leaves(module, arguments):
        found = gradients[name]
        assert (found is None) == name.startswith(case.unused or ('nothing', )), name
        assert found is None or (found.shape, found.dtype) == (each.shape, each.dtype), name


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the norm of the difference of two tensors relative to the second's."""
    one, other = one.detach().double(), other.detach().double()
    return float((one - other).norm() / other.norm().clamp(min=1e-12))


def check_in_half(case: Case, folder: Path) -> None:
    """Check a step in training under bfloat16's autocast against one in float32.

    Gradients have to be finite only: behind a BatchNorm over few values they depend on the rounding.
    """
    module = case.build(folder)
    arguments = case.draw(module)
    expected, _ = train(case, copy.deepcopy(module), on_device(arguments, 'cpu'))
    arguments = on_device(arguments, 'cpu')
    outputs, gradients = train(case, module, arguments, torch.autocast('cpu', torch.bfloat16))
    assert {name: each.dtype for name, each in outputs.items()} == case.half
    for name, each in outputs.items():
        assert each.isfinite().all(), name
        limit = case.rounding if each.ndim else case.loss_rounding
        assert distance(each, expected[name]) < limit, (name, distance(each, expected[name]))
    check_gradients(case, module, arguments, gradients)
    assert [name for name, each in gradients.items() if each is not None and not each.isfinite().all()] == []


def check_compiled(case: Case, folder: Path, evaluation: bool = True) -> None:
    """Check that torch.compile traces a step in training as one graph, and one in ``evaluation``, without its C++.

    Outputs and gradients have to be those of the eager step.
    """
    module = case.build(folder)
    arguments = case.draw(module)
    other = copy.deepcopy(module)
    torch._dynamo.reset()
    compiled = torch.compile(case.step, fullgraph=True, backend='eager')
    found = []
    for each, step in ((module, case.step), (other, compiled)):
        outputs, gradients = train(case, each, on_device(arguments, 'cpu'), step=step)
        found.append([outputs, evaluate(case, each, arguments, step=step) if evaluation else {},
                      {name: value for name, value in gradients.items() if value is not None}])
    for one, two in zip(*found, strict=True):
        assert one.keys() == two.keys()
        for name, value in one.items():
            torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-5, msg=name)

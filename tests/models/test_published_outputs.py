"""Outputs of the published CRIS code on seeded weights come back, through the converter and ``encode_decode``.

``tests/data/cris_r50_416.npz``: a 375 x 500 image and five expressions, in float32. ``cris_small_float64.npz``: RN50
and RN101 on two 64 x 96 inputs, run in float64 so that rounding hides nothing. ``grad_norm`` follows the published
parameter names in alphabetical order. Both were made with the authors' code, commit e596332.
"""
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from mmpartref.datasets.transforms import Letterbox, PackReferringInputs
from mmpartref.models.segmentors import ReferringSegmentor
from mmpartref.models.weights.cris_keys import to_published
from mmpartref.models.weights.cris_weights import convert_cris
from mmpartref.registry import MODELS
from mmpartref.structures import ReferringDataSample

pytestmark = pytest.mark.slow
DATA = Path(__file__).parents[1] / 'data'
# What RN101 changes in RN50.
R101 = {
    'backbone': {'type': 'CLIPResNet', 'layers': (3, 4, 23, 3), 'embed_channels': 512},
    'text_encoder': {'type': 'CLIPTextEncoder', 'embed_channels': 512},
    'neck': {'type': 'CRISNeck', 'in_channels': (512, 1024, 512), 'sentence_channels': 512},
}
R50 = {'backbone': {'type': 'CLIPResNet'}, 'text_encoder': {'type': 'CLIPTextEncoder'}, 'neck': {'type': 'CRISNeck'}}
SMALL_TEXTS = {
    'r50': ['quadruped head', 'the tire of the car', 'bird wing'],
    'r101': ['left foot of the biped', 'bottle mouth',
             'the sail of the boat that lies beside the very long pier in the evening sun'],
}


def seeded_checkpoint(arch: str, salt: str) -> dict[str, torch.Tensor]:
    """Return a published checkpoint whose every entry is drawn by its name."""
    parts = R101 if arch == 'r101' else R50
    head = {'type': 'VisionLanguageDecodeHead', 'loss': {'type': 'TextToPixelContrastiveLoss'},
            'sentence_channels': 512 if arch == 'r101' else 1024}
    with torch.device('meta'):
        model = MODELS.build({'type': 'ReferringSegmentor', **parts, 'decode_head': head})
    state = {}
    for name, value in to_published(model.state_dict(), torch.empty(())).items():
        if not value.is_floating_point():
            state[name] = torch.zeros(value.shape, dtype=value.dtype)
            continue
        generator = torch.Generator().manual_seed(zlib.crc32((salt + name).encode()))
        drawn = torch.randn(value.shape, generator=generator)
        if name.endswith('running_var'):
            drawn = 0.5 + 0.5 * drawn.abs()
        elif name.endswith('running_mean'):
            drawn = 0.1 * drawn
        elif drawn.ndim >= 2:
            drawn = drawn / drawn[0].numel()**0.5
        elif name.endswith('weight'):
            drawn = 1 + 0.1 * drawn
        else:
            drawn = 0.1 * drawn
        state[name] = drawn
    return state


def load_published(arch: str, salt: str) -> ReferringSegmentor:
    ours, config, clip = convert_cris(seeded_checkpoint(arch, salt))
    assert clip == {'r50': 'RN50', 'r101': 'RN101'}[arch]
    # Random numbers have no place in a comparison.
    config['decode_head']['dropout'] = 0.0
    with torch.device('meta'):
        model = MODELS.build(config)
    preprocessor = MODELS.build({'type': 'ReferringDataPreprocessor'})
    preprocessor.tokenizer = model.text_encoder.tokenizer
    model.data_preprocessor = preprocessor
    model.load_state_dict(ours, strict=True, assign=True)
    return model.eval()


def relative(found: torch.Tensor, reference: np.ndarray) -> float:
    """The largest difference, in standard deviations of the reference."""
    expected = torch.from_numpy(reference).double()
    assert found.shape == expected.shape
    return ((found.double() - expected).abs().max() / expected.std()).item()


def gradient_errors(model: ReferringSegmentor, reference: np.ndarray) -> dict[str, float]:
    """Relative differences of the gradients' norms, by our names."""
    ours = {name: parameter.grad for name, parameter in model.named_parameters()}
    scale = torch.empty(0)
    names = {theirs: own for own in ours for theirs in to_published({own: scale}) if 'logit_scale' not in theirs}
    assert len(names) == len(reference)
    return {
        names[theirs]: abs(ours[names[theirs]].norm().item() - norm) / norm
        for theirs, norm in zip(sorted(names), reference, strict=True)
    }


@pytest.fixture(scope='module')
def dev() -> dict[str, np.ndarray]:
    return dict(np.load(DATA / 'cris_r50_416.npz'))


@pytest.fixture(scope='module')
def dev_model() -> ReferringSegmentor:
    return load_published('r50', 'dev')


@pytest.fixture(scope='module')
def item(dev) -> dict:
    """The reference's image through our pipeline."""
    image = np.ascontiguousarray(dev['image_bgr'][..., ::-1])
    results = {'img': image, 'img_path': 'dev', 'expressions': dev['texts'].tolist()}
    for step in (Letterbox(416), PackReferringInputs()):
        results = step.transform(results)
    return results


@pytest.fixture(scope='module')
def batch(dev_model, item) -> dict:
    return dev_model.data_preprocessor({key: [value] for key, value in item.items()})


def test_the_letterboxed_image_is_the_published_one(dev, batch, item):
    # Far less than one grey level, which is 0.015 after normalisation.
    assert np.abs(batch['inputs'].numpy() - dev['input']).max() <= 1e-6
    assert np.array_equal(batch['tokens'][batch['text_index']].numpy(), dev['tokens'])


@torch.no_grad()
def test_every_stage_logits_probabilities_and_masks_are_the_published_ones(dev, dev_model, batch):
    """One forward pass, its stages read by hooks."""
    index, stages = batch['text_index'], {}
    parts = {'backbone': dev_model.backbone, 'neck': dev_model.neck, 'decoder': dev_model.decode_head.decoder,
             'head': dev_model.decode_head}
    hooks = [part.register_forward_hook(lambda module, args, output, name=name: stages.update({name: output}))
             for name, part in parts.items()]
    predicted = dev_model(**batch, mode='predict')[0].pred_masks
    for hook in hooks:
        hook.remove()
    words, sentence = dev_model.text_encoder(batch['tokens'])
    for name, found in (('c3', stages['backbone'][0][0, :4]), ('c4', stages['backbone'][1][0, :4]),
                        ('c5', stages['backbone'][2][0, :4]), ('words', words[index][:, :, ::8]),
                        ('state', sentence[index][:, ::4]), ('neck', stages['neck'][:, :4]),
                        ('decoder', stages['decoder'][:, :4])):
        assert relative(found, dev[name]) <= 1e-4, name

    logits = stages['head']
    assert relative(logits[:, 0], dev['logits']) <= 1e-4
    sample = batch['data_samples'][0]
    probability = dev_model.decode.to_image(logits[:2, 0].sigmoid(), (416, 416), sample.letterbox_matrix, (375, 500))
    published = torch.from_numpy(dev['prob_full'].astype(np.float32))
    assert (probability - published).abs().max() <= 2e-3
    assert predicted.shape == (5, 375, 500)
    assert 0.01 < predicted.float().mean() < 0.99
    assert (predicted[:2] != (published > 0.35)).float().mean() <= 1e-4


def test_the_training_loss_is_the_published_one(dev):
    """BatchNorm in training mode, the image once per expression, as there. Gradients: in double precision, below.

    On the reference's input: another in the seventh digit moves the loss by 2e-5, the published code's as well.
    Processors round in that digit too: the loss was seen 2e-5 off. A wrong layer changes it in the second digit.
    """
    model = load_published('r50', 'dev').train()
    masks = torch.from_numpy(np.unpackbits(dev['mask'], axis=-1)) * 255
    samples = [ReferringDataSample(gt_masks=mask[None]) for mask in masks]
    images, tokens = torch.from_numpy(dev['input']).expand(5, -1, -1, -1), torch.from_numpy(dev['tokens'])
    # With gradients: without them CPUs take other paths, which round more in training mode.
    losses = model(images, samples, mode='loss', tokens=tokens, image_index=torch.arange(5))
    assert losses['loss_text_to_pixel'].item() == pytest.approx(float(dev['loss']), rel=2e-4)


@pytest.mark.parametrize('arch', ['r50', 'r101'])
def test_in_double_precision_outputs_and_gradients_are_the_published_ones(arch):
    saved = np.load(DATA / 'cris_small_float64.npz')
    reference = {name.removeprefix(f'{arch}_'): saved[name] for name in saved if name.startswith(f'{arch}_')}
    model = load_published(arch, f'{arch}-small').double()
    generator = torch.Generator().manual_seed(zlib.crc32(f'{arch}-photo'.encode()))
    images = torch.randn(2, 3, 64, 96, generator=generator).double()
    masks = torch.rand(3, 1, 64, 96, generator=generator) > 0.7
    tokens = model.text_encoder.tokenizer(SMALL_TEXTS[arch])
    image_index = torch.tensor([0, 1, 1])
    with torch.no_grad():
        features = model.backbone(images)
        words, sentence = model.text_encoder(tokens)
        fused = model.neck(features, sentence, image_index, torch.arange(3))
        decoded = model.decode_head.decoder(fused, words, model.text_encoder.padding_mask(tokens))
        found = {'c3': features[0][:, :4], 'c4': features[1][:, :4], 'c5': features[2][:, :16],
                 'words': words[:, :, :8], 'state': sentence[:, :64], 'neck': fused[:, :8], 'decoder': decoded[:, :8],
                 'logits': model.encode_decode(images, tokens, image_index)}
    for name, value in found.items():
        # The sine positions are computed in float32 on both sides; stored arrays but the logits are float32.
        assert relative(value, reference[name]) <= 1e-6, name

    model.train()
    samples = [ReferringDataSample(gt_masks=mask.to(torch.uint8) * 255) for mask in masks]
    losses = model(images[image_index], samples, mode='loss', tokens=tokens, image_index=torch.arange(3))
    loss = losses['loss_text_to_pixel']
    # The head takes the loss in float32.
    assert loss.item() == pytest.approx(float(reference['loss']), rel=1e-6)
    loss.backward()
    errors = gradient_errors(model, reference['grad_norm'])
    # A key's bias moves all scores alike, which softmax ignores: its gradient is rounding and nothing else.
    del errors['backbone.attnpool.k_proj.bias']
    worst = max((error, name) for name, error in errors.items())
    assert worst[0] <= 1e-6, worst

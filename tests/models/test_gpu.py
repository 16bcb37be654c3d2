"""What a GPU does otherwise than a CPU: channels-last kernels, CUDA graphs, no waiting for the host.

The same checks run on the CPU where it can do the same. Mixed precision is in engine/test_numerics.py, shared BatchNorm
statistics and NCCL in engine/test_two_ranks.py.
"""
import copy

import pytest
import step_cases
import torch
from torch._dynamo.utils import counters

from mmpartref.models.layers.cpu.cpu_fast_paths import disable_cpu_fast_paths
from mmpartref.registry import MODELS


@pytest.fixture(params=['cpu', pytest.param('cuda', marks=pytest.mark.gpu)])
def device(request, monkeypatch):
    """A device that multiplies in float32, without TensorFloat-32."""
    if request.param == 'cuda':
        monkeypatch.setattr(torch.backends.cuda.matmul, 'allow_tf32', False)
        monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)
    return request.param


@pytest.mark.parametrize('decode', ['cris', 'aligned'])
def test_predictions_are_those_of_a_cpu(device, decode):
    model = MODELS.build(step_cases.segmentor_config(decode=decode)).eval()
    images = [torch.randint(0, 256, (3, *size), dtype=torch.uint8) for size in ((60, 90), (64, 64))]
    found = []
    for each in (model, copy.deepcopy(model).to(device)):
        samples = step_cases.samples_of(torch.zeros(4, 60, 90))
        with disable_cpu_fast_paths():
            found.append(each.test_step({'inputs': images, 'data_samples': samples}))
    for one, other in zip(*found, strict=True):
        assert {other.get(name).device.type for name in ('pred_masks', 'pred_scores', 'pred_presence')} == {device}
        for name in ('pred_probabilities', 'pred_presence'):
            torch.testing.assert_close(other.get(name).cpu(), one.get(name), rtol=1e-3, atol=1e-4)
        assert other.pred_part_presence == pytest.approx(one.pred_part_presence, abs=1e-4)
        # Rounding may move pixels across the threshold.
        assert (other.pred_masks.cpu() != one.pred_masks).float().mean() < 0.01


@pytest.mark.parametrize('training', [True, False])
def test_channels_last_trains_and_predicts_the_same(device, training, monkeypatch):
    case = step_cases.CASES['ReferringSegmentor as published']
    model = MODELS.build(step_cases.segmentor_config()).to(device)
    # A BatchNorm over few values would turn rounding into differences, so their statistics are held.
    monkeypatch.setattr(torch.nn.modules.batchnorm._BatchNorm, 'train', lambda module, mode=True: module)
    for module in model.modules():
        module.training = False
    arguments = step_cases.on_device(case.draw(model), device)
    seen, found = [], []
    model.neck.c3_conv.register_forward_hook(lambda module, inputs, output: seen.append(
        inputs[0].is_contiguous(memory_format=torch.channels_last)))
    for channels_last in (False, True):
        model.channels_last = channels_last
        model.zero_grad()
        if training:
            outputs, gradients = step_cases.train(case, model, arguments)
            found.append({**outputs, **{name: each.clone() for name, each in gradients.items()}})
        else:
            found.append(step_cases.evaluate(case, model, arguments))
    # On a CPU training ignores it.
    assert seen == [False, device == 'cuda' or not training]
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, rtol=1e-2, atol=1e-4, msg=name)


@pytest.mark.slow
@torch.no_grad()
def test_numbers_of_expressions_share_a_compiled_network(device, monkeypatch):
    """On a GPU as a CUDA graph, replayed with other values; on a CPU traced."""
    replays = []
    if device == 'cuda':
        options = {'mode': 'reduce-overhead'}
        replay = torch.cuda.CUDAGraph.replay
        monkeypatch.setattr(torch.cuda.CUDAGraph, 'replay', lambda graph: replays.append(graph) or replay(graph))
    else:
        options = {'backend': 'eager'}
    torch._dynamo.reset()
    counters.clear()
    config = step_cases.segmentor_config()
    plain = MODELS.build(config).eval().to(device)
    compiled = MODELS.build({**config, 'compile': {**options, 'fullgraph': True, 'dynamic': False},
                             'row_multiple': 4}).eval().to(device)
    compiled.load_state_dict(plain.state_dict())
    tokens = plain.text_encoder.tokenizer(step_cases.TEXTS).to(device)
    found = []
    for rows in (4, 3, 1, 2, 4):
        index = torch.arange(rows, device=device)
        images = torch.randn(2, 3, 60, 90, device=device)
        expected, logits = (model.encode_decode(images, tokens, index % 2, index % 3) for model in (plain, compiled))
        # The next replay writes where this one did.
        found.append((expected, logits.clone()))
    for expected, logits in found:
        torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-4)
    assert counters['stats']['unique_graphs'] == 1
    assert bool(replays) == (device == 'cuda')


@pytest.mark.gpu
def test_a_training_step_never_waits():
    """What test_synchronisation.py finds on a CPU, here by CUDA itself; other heads copy their targets."""
    config = step_cases.segmentor_config(auxiliary_head=None, decode='aligned')
    config['decode_head'] = {**config['decode_head'], 'presence_head': None}
    model = MODELS.build(config).cuda().train()
    *given, masks = step_cases.on_device(step_cases.draw_batch(model), 'cuda')
    samples = step_cases.samples_of(masks)
    for mode in ('default', 'error'):  # the first step loads libraries
        torch.cuda.set_sync_debug_mode(mode)
        try:
            losses = model.loss(given[0], samples, *given[1:])
            sum(value for name, value in losses.items() if 'loss' in name).backward()
        finally:
            torch.cuda.set_sync_debug_mode('default')
    assert torch.isfinite(losses['loss_text_to_pixel'])

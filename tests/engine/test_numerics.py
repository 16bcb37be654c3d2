"""Accumulation, clipping and mixed precision through the configs' own optimiser wrappers, on a tiny CRIS.

All of it also on a GPU where there is one.
"""
import copy
import logging
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope

from mmpartref.engine import NonFiniteLossHook
from mmpartref.engine.launch.build_runner import load_config
from mmpartref.registry import MODELS
from mmpartref.structures import ReferringDataSample

CONFIGS = Path(__file__).parents[2] / 'configs'
TEXTS = ['quadruped head', 'car tire', 'bird wing']


@pytest.fixture(params=['cpu', pytest.param('cuda', marks=pytest.mark.gpu)])
def device(request, monkeypatch):
    """The device of the model, which mmengine takes for autocast's."""
    monkeypatch.setattr('mmengine.runner.amp.get_device', lambda: request.param)
    return request.param


@pytest.fixture
def model(tiny_model_cfg, device):
    """A tiny CRIS to train, BatchNorm's statistics held."""
    model = MODELS.build(tiny_model_cfg).to(device)
    for module in model.train().modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
    return model


def images(number: int) -> dict:
    """A batch of that many images with two expressions each."""
    drawn = torch.Generator().manual_seed(number)
    samples = []
    for index in range(number):
        sample = ReferringDataSample(metainfo={'img_id': index, 'img_path': f'{index}.jpg', 'ori_shape': (32, 32),
                                               'img_shape': (32, 32), 'letterbox_matrix': np.eye(3)[:2]})
        sample.expressions = [TEXTS[index % 3], TEXTS[(index + 1) % 3]]
        sample.gt_masks = torch.randint(0, 2, (2, 32, 32), generator=drawn, dtype=torch.uint8) * 255
        samples.append(sample)
    return {'inputs': list(torch.randint(0, 256, (number, 3, 32, 32), generator=drawn, dtype=torch.uint8)),
            'data_samples': samples}


def wrapper(model, config='cris_r50_partimagenet.py', **more):
    """The config's optimiser wrapper, without mixed precision unless ``more`` has it."""
    cfg = load_config(CONFIGS / config)
    cfg.merge_from_dict({'optim_wrapper': {'type': 'OptimWrapper', **more}})
    with DefaultScope.overwrite_default_scope('mmpartref'):
        return build_optim_wrapper(model, cfg.optim_wrapper)


def loss_of(model):
    return model.parse_losses(model(**model.data_preprocessor(images(2), True), mode='loss'))[0]


def parameters(model):
    return {name: each.detach().clone() for name, each in model.named_parameters()}


@pytest.mark.slow
@pytest.mark.parametrize(('config', 'more'), [
    ('cris_r50_partimagenet.py', {}),
    ('cris_r50_partimagenet.py', {'clip_grad': {'max_norm': 1e-3}}),
    ('cris_tiny_toyparts.py', {}),
])
def test_steps_accumulated_over_batches_are_those_of_one_large_batch(model, config, more):
    model, whole = model.double(), copy.deepcopy(model).double()
    before = parameters(model)
    optim = wrapper(model, config, accumulative_counts=3, **more)
    large = wrapper(whole, config, **more)
    batch = images(6)
    for _ in range(2):
        whole.train_step(as_double(batch), large)
        for start in (0, 2, 4):
            model.train_step(as_double({key: value[start:start + 2] for key, value in batch.items()}), optim)
    # All but those whose gradient is too small compared with Adam's epsilon.
    assert len(changed(model, before)) > 0.9 * len(before)
    for name, each in whole.named_parameters():
        torch.testing.assert_close(dict(model.named_parameters())[name], each, rtol=1e-6, atol=1e-9, msg=name)


def changed(model, before):
    return [name for name, each in model.named_parameters() if not torch.equal(each, before[name])]


def as_double(batch: dict) -> dict:
    # Adam's step is the sign of the gradient at first, which rounding turns over where it is near 0.
    out = copy.deepcopy(batch)
    for sample in out['data_samples']:
        sample.gt_masks = sample.gt_masks.double()
    return {**out, 'inputs': [image.double() for image in out['inputs']]}


def test_clipping_scales_the_gradient_of_all_parameters_together(model):
    rate, limit = 0.5, 0.01
    optimizer = {'_delete_': True, 'type': 'SGD', 'lr': rate}
    optim = wrapper(model, optimizer=optimizer, paramwise_cfg=None, clip_grad={'max_norm': limit})
    before = parameters(model)
    loss = loss_of(model)
    expected = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
    norm = torch.nn.utils.get_total_norm(expected)
    assert norm > limit
    optim.update_params(loss)
    assert optim.message_hub.get_scalar('train/grad_norm').current() == pytest.approx(float(norm), rel=1e-4)
    steps = [before[name] - each.detach() for name, each in model.named_parameters()]
    assert float(torch.nn.utils.get_total_norm(steps)) <= rate * limit * (1 + 1e-4)
    for step, gradient in zip(steps, expected, strict=True):
        torch.testing.assert_close(step, rate * limit / norm * gradient, rtol=1e-2, atol=1e-7)


@pytest.fixture
def mixed(monkeypatch, device):
    """Mixed precision, on a CPU too: mmengine rejects it there, torch's scaler and autocast do not."""
    if device == 'cpu':
        module = 'mmengine.optim.optimizer.amp_optimizer_wrapper'
        monkeypatch.setattr(f'{module}.is_cuda_available', lambda: True)
        monkeypatch.setattr(f'{module}.GradScaler', lambda **options: torch.amp.GradScaler('cpu', **options))

    def build(model, init_scale, dtype='bfloat16', **more):
        return wrapper(model, type='SkipNonFiniteAmpOptimWrapper', dtype=dtype,
                       loss_scale={'init_scale': init_scale, 'growth_interval': 10**6}, **more)

    return build


@pytest.mark.parametrize('more', [{}, {'clip_grad': {'max_norm': 1e-2}}, {'accumulative_counts': 2}])
def test_the_scale_of_the_loss_does_not_change_the_weights(model, mixed, more):
    """Clipping and the optimizer have to see the gradients without the scale.

    SGD, because the steps of Adam do not depend on the scale of the gradients.
    """
    before, found = parameters(model), []
    optimizer = {'_delete_': True, 'type': 'SGD', 'lr': 1e-3}
    for scale in (1., 2.**16):
        trained = copy.deepcopy(model)
        optim = mixed(trained, scale, optimizer=optimizer, paramwise_cfg=None, **more)
        for number in (2, 1):
            trained.train_step(images(number), optim)
        found.append(torch.cat([(each - before[name]).flatten() for name, each in parameters(trained).items()]))
    # Rounding to bfloat16 may differ between two runs on some processors; the scale is a factor of 65536.
    assert found[0].norm() > 0
    assert (found[1] - found[0]).norm() < 0.02 * found[0].norm()


def test_a_scale_that_is_too_large_skips_and_halves_until_a_step_fits(model, mixed):
    optim = mixed(model, 2.**127)
    runner = SimpleNamespace(model=model, optim_wrapper=optim, iter=0, hooks=[], logger=logging.getLogger('numerics'))
    hook = NonFiniteLossHook()
    hook.before_train(runner)
    before, scales = parameters(model), []
    while not changed(model, before) and len(scales) < 20:
        scales.append(optim.loss_scaler.get_scale())
        outputs = model.train_step(images(1), optim)
        hook.after_train_iter(runner, 0, None, outputs)
        assert torch.isfinite(outputs['loss'])
    assert len(scales) > 1
    assert scales == [2.**(127 - step) for step in range(len(scales))]
    assert changed(model, before)
    assert all(torch.isfinite(each).all() for each in model.parameters())
    hook.after_train(runner)
    assert hook.skipped == 0


def test_bfloat16_computes_in_bfloat16_and_takes_the_loss_in_full(model, mixed):
    seen = []
    model.neck.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    with torch.no_grad():
        full = loss_of(model)
    assert seen.pop() == torch.float32
    optim = mixed(model, 1.)
    loss = model.train_step(images(2), optim)['loss']
    assert (loss.dtype, seen) == (torch.float32, [torch.bfloat16])
    assert all(each.dtype == torch.float32 for each in model.parameters())
    assert float(loss) != float(full)
    torch.testing.assert_close(loss, full, rtol=0.03, atol=0)


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_half_precision_trains_close_to_full_precision(model, mixed, device, dtype):
    if (device, dtype) == ('cpu', 'float16'):
        # mmengine's autocast allows bfloat16 alone on a CPU.
        with pytest.raises(AssertionError, match=r'only support `torch\.bfloat16`'):
            model.train_step(images(2), mixed(model, 1., dtype))
        return
    optimizer = {'_delete_': True, 'type': 'SGD', 'lr': 1e-2}
    before, steps = parameters(model), []
    for half in (False, True):
        trained = copy.deepcopy(model)
        settings = {'optimizer': optimizer, 'paramwise_cfg': None}
        optim = mixed(trained, 128., dtype, **settings) if half else wrapper(trained, **settings)
        losses = [trained.train_step(images(number), optim)['loss'] for number in (2, 1, 2)]
        steps.append((torch.stack(losses), torch.cat([(each - before[name]).flatten()
                                                      for name, each in parameters(trained).items()])))
    (losses, full), (others, half) = steps
    torch.testing.assert_close(others, losses, rtol=0.03, atol=0)
    assert full.norm() > 0
    assert (half - full).norm() < 0.3 * full.norm()

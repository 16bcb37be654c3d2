"""Training and evaluating on two gloo ranks, against one process."""
import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.model import MMDistributedDataParallel
from mmengine.model.utils import convert_sync_batchnorm
from mmengine.optim import OptimWrapper

from mmpartref.engine.hooks.non_finite_loss_hook import NonFiniteLossHook
from mmpartref.engine.launch.build_runner import build_runner, load_config
from mmpartref.errors import one_sentence_errors
from mmpartref.models.weights.allowed_types import mmengine_checkpoints_allowed
from mmpartref.registry import MODELS
from mmpartref.structures import ReferringDataSample

ROOT = Path(__file__).parents[2]
MASK_RCNN = f"""
_base_ = {str(ROOT / 'configs/toyparts/mask_rcnn_tiny_toyparts.py')!r}
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
val_dataloader = dict(batch_size=1, num_workers=0, persistent_workers=False)
train_cfg = dict(max_epochs=1, val_interval=1)
param_scheduler = []
model = dict(score_threshold=0.051, detector=dict(
    train_cfg=dict(rpn_proposal=dict(max_per_img=30), rcnn=dict(sampler=dict(num=24))),
    test_cfg=dict(rpn=dict(max_per_img=30), rcnn=dict(score_thr=0.0, max_per_img=20))))
visualizer = dict(vis_backends=[dict(type='LocalVisBackend')])
"""


def runner_of(config, toyparts, work_dir, *, launcher, **options):
    cfg = load_config(config, options, data_root=str(toyparts), work_dir=str(work_dir), launcher=launcher)
    cfg.randomness = {'seed': 3}
    cfg.test_dataloader = cfg.val_dataloader
    cfg.experiment_name = work_dir.name
    return build_runner(cfg)


class Watch(Hook):
    """Which parameters get no gradient in which step, and the metrics."""

    def before_train(self, runner):
        self.without, self.metrics = [], {}
        step = runner.optim_wrapper.step

        def watched(**kwargs):
            self.without.append([name for name, each in runner.model.named_parameters()
                                 if each.requires_grad and each.grad is None])
            step(**kwargs)

        runner.optim_wrapper.step = watched

    def after_val_epoch(self, runner, metrics=None):
        self.metrics = dict(metrics)


def weights_of(model):
    return {name: value.numpy() for name, value in model.state_dict().items()}


def assert_one_model(one, other):
    """Compare the weights of two ranks, which step alike on the same gradients, up to the rounding of these steps."""
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_allclose(value, other[name], rtol=1e-5, atol=1e-6, err_msg=name)


def train(config, toyparts, work_dir):
    """On one rank: train and validate."""
    runner = runner_of(config, toyparts, work_dir, launcher='pytorch')
    watch = Watch()
    runner.register_hook(watch, 'VERY_LOW')
    runner.train()
    return {'weights': weights_of(runner.model.module), 'metrics': watch.metrics, 'without': watch.without,
            'unused allowed': runner.model.find_unused_parameters}


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['cris', 'presence head', pytest.param('mask_rcnn', marks=pytest.mark.full_mmcv)])
def test_both_ranks_end_with_one_model_and_the_metrics_of_one_process(kind, on_ranks, tiny_config, odd_toyparts,
                                                                     tmp_path):
    """Three images on two ranks: the sampler repeats one, which must not count."""
    if kind == 'mask_rcnn':
        config = tmp_path / 'mask_rcnn.py'
        config.write_text(MASK_RCNN)
    else:
        config = tiny_config(presence_head=kind == 'presence head')
    results = on_ranks(tmp_path / 'ranks', train, config, odd_toyparts, tmp_path / 'two')
    for result in results:
        assert isinstance(result, dict), result
        assert not result['unused allowed']
        # Every parameter gets a gradient in every step.
        assert len(result['without']) >= 2
        assert not any(result['without'])
    one, other = results
    assert_one_model(one['weights'], other['weights'])
    assert one['metrics'] == other['metrics']  # computed on rank 0 and sent to the other
    runner = runner_of(config, odd_toyparts, tmp_path / 'one', launcher='none',
                       load_from=str(tmp_path / 'two/epoch_1.pth'))
    with mmengine_checkpoints_allowed():
        alone = runner.test()
    # The checkpoint is rank 0's model.
    for name, value in weights_of(runner.model).items():
        np.testing.assert_array_equal(value, one['weights'][name], err_msg=name)
    assert alone.keys() == one['metrics'].keys()
    for name, value in alone.items():
        # Forward passes of other processes: a pixel at the threshold may change an IoU. Counts would differ by 1.
        assert one['metrics'][name] == pytest.approx(value, abs=1e-3), name
    assert alone['refer/expressions'] > 3


TEXTS = ['quadruped head', 'car tire', 'bird wing']


def images() -> dict:
    """Four images with one, three, two and two expressions."""
    drawn = torch.Generator().manual_seed(0)
    samples = []
    for index, number in enumerate((1, 3, 2, 2)):
        sample = ReferringDataSample(metainfo={'img_id': index, 'img_path': f'{index}.jpg', 'ori_shape': (64, 64),
                                               'img_shape': (64, 64), 'letterbox_matrix': np.eye(3)[:2]})
        sample.expressions = TEXTS[:number]
        sample.refs = [{'absent': 'other' if (index, row) == (1, 2) else None} for row in range(number)]
        sample.gt_masks = torch.randint(0, 2, (number, 64, 64), generator=drawn).double() * 255
        samples.append(sample)
    images = torch.randint(0, 256, (4, 3, 64, 64), generator=drawn).double()
    return {'inputs': list(images), 'data_samples': samples}


def gradients(model, wrapped, batch):
    """Two steps; return the parameters and buffers they lead to."""
    optim = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    for _ in range(2):
        wrapped.train_step(copy.deepcopy(batch), optim)
    return {name: value.cpu().numpy() for name, value in model.state_dict().items()}


def step_on_a_share(model, device):
    """One expression on rank 0 of two, seven on rank 1; of four ranks an image on each."""
    rank, size = get_rank(), get_world_size()
    begin, end = (rank, rank + 1) if size == 4 else ((0, 1), (1, 4))[rank]
    share = {key: value[begin:end] for key, value in images().items()}
    model = model.to(device)
    return gradients(model, MMDistributedDataParallel(model, broadcast_buffers=False), share)


def build(cfg):
    cfg['decode_head']['presence_head'] = {'type': 'PresenceHead'}
    return MODELS.build(cfg).double().train()


@pytest.mark.parametrize('size', [2, 4])
def test_uneven_shares_train_like_one_batch(on_ranks, tiny_model_cfg, tmp_path, size):
    model = build(tiny_model_cfg)
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
    results = on_ranks(tmp_path, step_on_a_share, model, 'cpu', size=size)
    compare(results, gradients(model, model, images()))


@pytest.mark.gpu
def test_shared_batch_norm_statistics_are_those_of_one_batch(on_ranks, tiny_model_cfg, tmp_path):
    """Two ranks on one device; torch's SyncBatchNorm has kernels for CUDA alone."""
    model = build(tiny_model_cfg)
    shared = convert_sync_batchnorm(copy.deepcopy(model), 'torch')
    results = on_ranks(tmp_path, step_on_a_share, shared, 'cuda:0', method='spawn')
    model = model.to('cuda:0')
    compare(results, gradients(model, model, images()), **ON_A_GPU)


@pytest.mark.gpu
def test_two_gpus_train_like_one(on_ranks, tiny_model_cfg, tmp_path):
    """Over NCCL, a device for each rank, with shared BatchNorm statistics."""
    if torch.cuda.device_count() < 2:
        pytest.skip('NCCL needs a device for each rank, and this machine has one')
    model = build(tiny_model_cfg)
    shared = convert_sync_batchnorm(copy.deepcopy(model), 'torch')
    # The current device is that of the rank.
    results = on_ranks(tmp_path, step_on_a_share, shared, 'cuda', method='spawn', backend='nccl')
    model = model.to('cuda')
    compare(results, gradients(model, model, images()), **ON_A_GPU)


# The losses are in float32, which two devices or batches round otherwise.
ON_A_GPU = {'rtol': 1e-5, 'atol': 1e-7}


def compare(results, expected, rtol=1e-6, atol=1e-9):
    for result in results:
        assert isinstance(result, dict), result
        assert result.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(result[name], value, rtol=rtol, atol=atol, err_msg=name)


def forward_and_backward(module):
    module(torch.randn(2, 3)).sum().backward()


def test_torch_shares_no_batch_norm_statistics_on_a_cpu(on_ranks, tmp_path):
    """Why the launched tools leave it out there; once torch can, they should not."""
    for result in on_ranks(tmp_path, forward_and_backward, torch.nn.SyncBatchNorm(3)):
        assert isinstance(result, ValueError)
        assert 'expected input tensor to be on GPU' in str(result)


@pytest.mark.parametrize('config', [
    'toyparts/cris_tiny_toyparts_absent.py',
    pytest.param('toyparts/mask_rcnn_tiny_toyparts.py', marks=pytest.mark.full_mmcv)])
def test_with_a_gpu_every_batch_norm_shares_its_statistics(config):
    cfg = load_config(ROOT / 'configs' / config)
    model = MODELS.build(cfg.model.get('detector', cfg.model))
    plain = {name for name, each in model.named_modules() if isinstance(each, torch.nn.BatchNorm2d)}
    assert len(plain) > 10
    shared = convert_sync_batchnorm(model, cfg.sync_bn)
    assert {name for name, each in shared.named_modules() if isinstance(each, torch.nn.SyncBatchNorm)} >= plain


class Poison(Hook):
    """On rank 1 the loss of the second step is NaN."""

    def before_run(self, runner):
        model = runner.model.module
        loss = model.loss

        def poisoned(*args, **kwargs):
            bad = float('nan') if get_rank() == 1 and runner.iter == 1 else 1.0
            return {name: value * bad if 'loss' in name else value for name, value in loss(*args, **kwargs).items()}

        model.loss = poisoned


def train_poisoned(config, toyparts, work_dir):
    with one_sentence_errors():
        runner = runner_of(config, toyparts, work_dir, launcher='pytorch')
        runner.register_hook(Poison())
        runner.train()
        guard = next(hook for hook in runner.hooks if isinstance(hook, NonFiniteLossHook))
        return runner.iter, guard.skipped, weights_of(runner.model.module)


@pytest.mark.slow
def test_a_loss_that_is_no_number_ends_every_rank_with_the_same_sentence(on_ranks, tiny_config, odd_toyparts,
                                                                       tmp_path):
    one, other = on_ranks(tmp_path / 'ranks', train_poisoned, tiny_config(), odd_toyparts, tmp_path / 'run')
    assert isinstance(one, SystemExit)
    assert isinstance(other, SystemExit)
    assert str(one) == str(other)
    assert str(one).startswith('iteration 2: loss, loss_text_to_pixel not finite on the batch ')
    assert '] (process 1); check these images' in str(one)


@pytest.mark.slow
def test_a_step_that_one_rank_skips_is_skipped_by_all(on_ranks, tiny_config, odd_toyparts, tmp_path):
    config = tiny_config("default_hooks = dict(non_finite=dict(on_nonfinite='skip'))",
                         "train_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False)",
                         'train_cfg = dict(max_epochs=1, val_interval=5)')
    one, other = on_ranks(tmp_path / 'ranks', train_poisoned, config, odd_toyparts, tmp_path / 'run')
    assert one[:2] == other[:2]
    assert_one_model(one[2], other[2])
    steps, skipped, _ = one
    assert steps >= 3
    assert skipped == 1

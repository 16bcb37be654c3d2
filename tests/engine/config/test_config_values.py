"""Values of configs are compared with the signatures of what gets them."""
import collections.abc
import copy
import os
import typing
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmpartref.engine.config.annotations import fits, in_words
from mmpartref.engine.config.config_values import check_values
from mmpartref.engine.launch.build_runner import load_config
from mmpartref.errors import ConfigError

ROOT = Path(__file__).parents[3]
CONFIGS = [path.relative_to(ROOT / 'configs').as_posix() for path in sorted((ROOT / 'configs').rglob('*.py'))
           if '_base_' not in path.parts]


@pytest.fixture(scope='module')
def tiny() -> Config:
    return load_config(ROOT / 'configs/cris_tiny_toyparts.py', {'custom_hooks': [{'type': 'EarlyStoppingHook',
                                                                                 'monitor': 'refer/mIoU'}],
                                                                'model.neck.in_channels': (128, 256, 64)})


@pytest.mark.parametrize('name', CONFIGS)
def test_the_configs_of_the_project_pass(name: str) -> None:
    check_values(load_config(ROOT / 'configs' / name))


@pytest.mark.parametrize('name', CONFIGS)
def test_a_dumped_config_is_read_again(name: str, tmp_path: Path) -> None:
    cfg = load_config(ROOT / 'configs' / name, work_dir=str(tmp_path))
    cfg.dump(tmp_path / 'dumped.py')
    again = load_config(tmp_path / 'dumped.py', work_dir=str(tmp_path))
    assert without_scopes(again.to_dict()) == without_scopes(cfg.to_dict())


def without_scopes(node: object) -> object:
    if isinstance(node, dict):
        return {key: without_scopes(value) for key, value in node.items() if key != '_scope_'}
    return [without_scopes(each) for each in node] if isinstance(node, (list, tuple)) else node


NAN = float('nan')
WRONG = [
    ('train_dataloader.batch_size', 0, 'at least 1'), ('train_dataloader.batch_size', 'x', 'an integer or None'),
    ('train_dataloader.batch_size', 1.5, 'an integer'), ('train_dataloader.batch_size', True, 'an integer'),
    ('train_dataloader.num_workers', 'x', 'an integer'), ('val_dataloader.num_workers', -1, 'at least 0'),
    ('val_dataloader.drop_last', 'x', 'True or False'), ('test_dataloader.prefetch_factor', 0, 'at least 1'),
    ('val_dataloader', 5, 'a dict or None'), ('model', 5, 'a dict'), ('model', None, 'a dict'),
    ('train_dataloader.dataset', 5, "a dict with a 'type'"), ('train_dataloader.dataset.pipeline', 5, 'a list'),
    ('train_dataloader.dataset.pipeline.0', 5, r'pipeline\.0=5'),
    ('train_dataloader.dataset.pipeline.3.size', NAN, 'an integer'),
    ('train_dataloader.dataset.pipeline.3.type', 'Leterbox', "nearest valid one is 'Letterbox'"),
    ('train_dataloader.dataset.type', 5, 'the name of a class'),
    ('train_dataloader.dataset.ann_file', 5, 'a text or a path'),
    ('train_dataloader.dataset.entries', {'absent': {'nope': 1}}, 'absent.nope to AbsentParts'),
    ('train_dataloader.dataset.entries', {'absent': 5}, r'entries\.absent=5'),
    ('train_dataloader.sampler', 5, "a dict with a 'type'"), ('train_dataloader.sampler.shuffle', 'x', 'True or False'),
    ('train_cfg', 5, 'a dict or None'), ('train_cfg.max_epochs', 0, 'at least 1'),
    ('train_cfg.max_epochs', 'x', 'an integer'), ('train_cfg.max_epochs', NAN, 'an integer'),
    ('train_cfg.val_interval', 0, 'at least 1'), ('train_cfg.nope', 1, 'nothing reads the config key train_cfg.nope'),
    ('val_cfg.fp16', 'x', 'True or False'), ('optim_wrapper', 5, 'a dict or None'),
    ('optim_wrapper.optimizer', 5, 'a dict'), ('optim_wrapper.optimizer.lr', 'x', 'a number'),
    ('optim_wrapper.optimizer.lr', NAN, 'a number'), ('optim_wrapper.optimizer.lr', -1, 'at least 0'),
    ('optim_wrapper.optimizer.type', 'Adan', "nearest valid one is 'Adam'"),
    ('optim_wrapper.optimizer.nope', 1, 'optimizer.nope to AdamW'), ('optim_wrapper.clip_grad', 5, 'a dict or None'),
    ('optim_wrapper.clip_grad.max_norm', 'x', 'a number'), ('optim_wrapper.paramwise_cfg', 5, 'a dict or None'),
    ('optim_wrapper.accumulative_counts', 0, 'at least 1'), ('param_scheduler', 5, 'a dict or a list or None'),
    ('param_scheduler.0', 5, "a dict with a 'type'"), ('param_scheduler.0.type', 'OneCycle', "'OneCycleLR'"),
    ('param_scheduler.0.eta_max', 'x', 'a number'), ('param_scheduler.0.nope', 1, 'param_scheduler.0.nope'),
    ('default_hooks', 5, 'a dict or None'), ('default_hooks.checkpoint', 5, r'default_hooks\.checkpoint=5'),
    ('default_hooks.logger.interval', 'x', 'an integer'), ('default_hooks.timer.nope', 1, 'timer.nope'),
    ('default_hooks.logger.type', 'Logger', "'LoggerHook'"), ('custom_hooks', 5, 'a list'),
    ('custom_hooks.0', 5, r'custom_hooks\.0=5'), ('custom_hooks.0.type', 'EMA', 'which does not exist'),
    ('env_cfg', None, 'a dict'), ('env_cfg', 5, 'a dict'), ('env_cfg.mp_cfg', 5, 'a dict or None'),
    ('env_cfg.mp_cfg.mp_start_method', 'x', 'one of fork, forkserver, spawn'), ('env_cfg.nope', 1, 'env_cfg.nope'),
    ('randomness', 5, 'a dict'), ('randomness', {'seed': -1}, 'at least 0'), ('randomness', {'seed': 2**32}, 'below'),
    ('randomness', {'sed': 1}, "nearest valid key is 'seed'"), ('log_level', 'x', 'one of NOTSET, DEBUG, INFO'),
    ('log_level', 'INF', 'one of NOTSET'), ('log_level', [5], 'a text or an integer'),
    ('val_evaluator.collect_device', 'tpu', "must be 'cpu' or 'gpu'"),
    ('param_scheduler.0', None, "a dict with a 'type'"),
    ('optim_wrapper.clip_grad.maxnorm', 1, "nearest valid key is 'max_norm'"),
    ('optim_wrapper.paramwise_cfg', {'custom_keys': 5}, 'a dict'),
    ('optim_wrapper.paramwise_cfg', {'foo': 1}, 'nothing reads the config key optim_wrapper.paramwise_cfg.foo'),
    ('optim_wrapper.paramwise_cfg', {'custom_keys': {'a': {'lrmult': 1}}}, "nearest valid key is 'lr_mult'"),
    ('optim_wrapper.paramwise_cfg', {'custom_keys': {'a': {'lr_mult': -1}}}, 'at least 0'),
    ('train_dataloader.dataset.pipeline', [], 'has no PackReferringInputs'),
    ('val_dataloader.dataset.pipeline', [{'type': 'LoadImage'}], 'has no PackReferringInputs'),
    ('train_dataloader.dataset.type', '', 'the name'),
    ('train_dataloader.num_batch_per_epoch', 0, 'at least 1'),
    ('log_processor', 5, 'a dict or None'), ('log_processor.window_size', 'x', 'a number'),
    ('log_processor.window_size', 0, 'at least 1'), ('log_processor.by_epoch', 'x', 'True or False'),
    ('visualizer', 5, 'a dict or None'), ('visualizer.type', 'Nope', 'which does not exist'),
    ('visualizer.vis_backends', 5, 'a list'), ('visualizer.vis_backends.0.type', 'WandbBackend', 'WandbVisBackend'),
    ('val_evaluator', 5, 'a dict or a list or None'), ('val_evaluator.type', 'ReferSegMetric', 'ReferringSegMetric'),
    ('val_evaluator.strict', 'x', 'True or False'), ('model.type', 'ReferingSegmentor', "'ReferringSegmentor'"),
    ('model.nope', 1, 'model.nope to ReferringSegmentor'), ('model.backbone', 5, 'a dict'),
    ('model.backbone.layers', 5, 'a list of 4: an integer'), ('model.neck.out_channels', [8, 16], 'a list of 3'),
    ('model.backbone.init_cfg', 5, 'a dict or a list or None'), ('model.threshold', 'x', 'a number or None'),
    ('default_scope', 5, 'a text'), ('default_scope', 'mmdet', "set default_scope='mmpartref'"),
    ('sync_bn', 'x', 'torch, mmcv'), ('sync_bn', True, 'torch, mmcv'), ('model.type', '.', 'the name of a class'),
    ('custom_hooks.0', {'interval': 3}, "without a 'type'"), ('default_hooks.new', {'interval': 3}, "without a 'type'"),
    ('custom_hooks.0', {'type': 'EMAHook', 'intervall': 5}, "nearest valid key is 'interval'"),
    ('custom_hooks.0', {'type': 'EMAHook', 'momentum': 'x'}, 'a number'),
    ('default_hooks.checkpoint.intervall', 5, "nearest valid key is 'interval'"),
    ('default_hooks.checkpoint.filename_tmpl', 'x', 'a place for the number'),
    ('custom_hooks.0', {'type': 'EarlyStoppingHook'}, 'without monitor'),
    ('param_scheduler.0', {'type': 'MultiStepLR'}, 'without milestones'),
    ('train_cfg.type', 'nope.Loop', 'does not exist or cannot be imported'),
    ('train_cfg.type', 'torch.nn.Linear', 'not a loop'),
    ('optim_wrapper.type', 'ReferringSegmentor', "'SkipNonFiniteOptimWrapper'"),
    ('train_dataloader.generator', 5, 'takes None'), ('optim_wrapper.clip_grad.norm_type', 'x', 'a number'),
    ('train_dataloader.dataset', {'type': 'RepeatDataset', 'times': 0, 'dataset': {'type': 'mmdet.X'}}, 'at least 1'),
    ('launcher', 'x', 'none, pytorch, slurm, mpi'), ('load_from', 5, 'a text or None'),
    ('resume', 'x', 'True or False'),
    ('compile', 'x', 'True or False or a dict'), ('efficient_conv_bn_eval', 5, 'a list'),
    ('activation_checkpointing', [5], 'a text'), ('custom_imports', 5, 'a dict or None'),
    ('auto_scale_lr', 5, 'a dict or None'), ('find_unused_parameters', 'x', 'True or False'),
]


def with_value(cfg: Config, path: str, value: object) -> dict:
    changed = copy.deepcopy(cfg.to_dict())
    *above, last = path.split('.')
    node = changed
    for key in above:
        node = node[int(key)] if isinstance(node, list) else node[key]
    node[int(last) if isinstance(node, list) else last] = value
    return changed


@pytest.mark.parametrize(('path', 'value', 'message'), WRONG, ids=[f'{path}={value}' for path, value, _ in WRONG])
def test_wrong_values_are_named_with_their_path(path: str, value: object, message: str, tiny: Config) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        check_values(with_value(tiny, path, value))
    assert path.split('.')[0] in str(error.value)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(('path', 'value'), [
    ('train_dataloader.batch_size', None), ('optim_wrapper.optimizer.lr', 1), ('model.neck.out_channels', (8, 16, 32)),
    ('compile', True), ('compile', {'backend': 'eager'}), ('activation_checkpointing', ['backbone.layer1']),
    ('efficient_conv_bn_eval', ['backbone']), ('train_cfg', None), ('custom_hooks', None), ('sync_bn', None),
    ('custom_hooks.0.priority', 'LOW'), ('param_scheduler', None), ('param_scheduler.0.end', 3),
    ('param_scheduler.0.convert_to_iter_based', False), ('train_cfg.max_iters', 5), ('log_level', 'DEBUG'),
    ('model.backbone', {'type': 'mmdet.ResNet', 'depth': 'deep'}), ('model.backbone', {'type': 'some.other.Package'}),
    ('optim_wrapper.paramwise_cfg', {'custom_keys': {'a': {'lr_mult': 0.1, 'betas': (0.9, 0.9)}}}),
    ('val_dataloader.dataset.pipeline', [{'type': 'LoadImage'}, {'type': 'mmdet.Resize'}]),
    ('default_hooks.timer', None), ('default_hooks.non_finite', None), ('log_level', 20), ('sync_bn', False),
    ('activation_checkpointing', 'backbone.layer1'), ('efficient_conv_bn_eval', 'backbone'),
    ('visualizer.vis_backends', [{'type': 'LocalVisBackend', 'save_dir': None}]),
    ('param_scheduler', [{'type': 'OneCycleLR', 'eta_max': [1.0, 2.0]}]), ('train_dataloader.dataset.data_root', None),
    ('default_hooks.ema', {'type': 'EMAHook', 'interval': 5, 'momentum': 0.1}),
    ('val_evaluator', {'metrics': [{'type': 'ReferringSegMetric'}]}),
    ('param_scheduler', {'generator': [{'type': 'MultiStepLR', 'milestones': [1]}]}),
    ('default_hooks.checkpoint.filename_tmpl', 'epoch_{:03d}.pth'),
    ('val_evaluator', {'type': 'Evaluator', 'metrics': [{'type': 'ReferringSegMetric'}]}),
    ('optim_wrapper.optimizer', {'_scope_': 'mmdet', 'type': 'AdamW', 'lr': 1}),
    ('train_dataloader.dataset', {'_scope_': 'mmdet', 'type': 'CocoDataset', 'pipeline': [{'type': 'Resize'}]}),
    ('optim_wrapper', {'type': 'AmpOptimWrapper', 'loss_scale': 512, 'optimizer': {'type': 'SGD', 'lr': 1}}),
    ('optim_wrapper', {'type': 'AmpOptimWrapper', 'loss_scale': {'init_scale': 8.0}, 'optimizer': {'type': 'SGD'}}),
    ('train_dataloader.dataset', {'type': 'RepeatDataset', 'times': 2, 'dataset': {'type': 'ToyOfAUser', 'x': 1}}),
])
def test_right_values_and_those_of_other_packages_pass(path: str, value: object, tiny: Config) -> None:
    if 'ToyOfAUser' in str(value):
        with pytest.raises(ConfigError, match='ToyOfAUser'):
            check_values(with_value(tiny, path, value))
        value['dataset']['type'] = 'mmseg.ToyOfAUser'
    check_values(with_value(tiny, path, value))


FITS = [
    (1, int, True), (1.0, int, False), (True, int, False), (1, float, True), (float('inf'), float, True),
    (NAN, float, False), ('1', float, False), (True, bool, True), (1, bool, True), (2, bool, False), ('x', bool, False),
    ('x', str, True), (Path('x'), str, True), (1, str, False), ([1], tuple, True), ((1, ), list[int], True),
    (['x'], list[int], False), ([1, 2], tuple[int, int], True), ([1, 2, 3], tuple[int, int], False),
    ([1, 2, 3], tuple[int, ...], True), ({'a': 1}, dict, True), ({'a': 'x'}, dict[str, int], False), (5, dict, False),
    ('abc', collections.abc.Sequence, False), ({'type': 'x'}, nn.Module, True), (5, nn.Module, False),
    (nn.Identity(), nn.Module, True), ('x', nn.Module | dict, False), (1, typing.Literal['a', 1], True),
    ('b', typing.Literal['a', 1], False), (5, typing.Any, True), (len, collections.abc.Callable, True),
    (5, collections.abc.Callable, False), (None, int | None, True), (None, int, False),
    (torch.float32, torch.dtype, True), ('x', os.PathLike | str, True), (5, typing.TypeVar('T'), True),
]


@pytest.mark.parametrize(('value', 'annotation', 'expected'), FITS)
def test_a_value_fits_an_annotation(value: object, annotation: object, expected: bool) -> None:
    assert fits(value, annotation) is expected


@pytest.mark.parametrize(('annotation', 'words'), [
    (int, 'an integer'), (int | None, 'an integer or None'), (float | torch.Tensor, 'a number'),
    (nn.Module, "a dict with a 'type'"), (typing.Literal['a', 'b'], "one of 'a', 'b'"),
    (tuple[int, int], 'a list of 2: an integer'), (list[str], 'a list, each item a text'), (dict[str, int], 'a dict'),
])
def test_annotations_in_words(annotation: object, words: str) -> None:
    assert in_words(annotation) == words

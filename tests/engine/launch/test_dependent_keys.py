"""Keys of a config that depend on one another are adapted, or rejected at the start."""
import logging

import pytest
from mmengine.config import Config

from mmpartref.engine.launch import dependent_keys
from mmpartref.engine.launch.dependent_keys import (
    check_auto_scale,
    check_schedules,
    fit_dataloaders,
    fit_hooks_to_loop,
    fit_samplers,
    fit_train_loop,
)
from mmpartref.errors import ConfigError


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(dependent_keys, 'print_log', lambda text, *_, level=logging.INFO: lines.append(text))
    return lines


def test_switches_for_loading_processes_are_off_without_them(logged: list[str]) -> None:
    cfg = Config({'train_dataloader': {'num_workers': 0, 'persistent_workers': True, 'prefetch_factor': 2},
                  'val_dataloader': {'num_workers': 2, 'persistent_workers': True},
                  'test_dataloader': {'num_workers': 0, 'persistent_workers': False}})
    for _ in range(2):
        fit_dataloaders(cfg)
    assert cfg.train_dataloader == {'num_workers': 0}
    assert cfg.val_dataloader.persistent_workers is True
    assert [line.split(' is for')[0] for line in logged] == [
        'train_dataloader: persistent_workers=True', 'train_dataloader: prefetch_factor=2']


def test_drop_last_is_off_where_a_batch_sampler_makes_the_batches(logged: list[str]) -> None:
    cfg = Config({name: {'num_workers': 1, 'drop_last': last, **sampler} for name, last, sampler in (
        ('train_dataloader', True, {'batch_sampler': {'type': 'ExpressionBatchSampler'}}),
        ('val_dataloader', False, {'batch_sampler': {'type': 'ExpressionBatchSampler'}}),
        ('test_dataloader', True, {}))})
    fit_dataloaders(cfg)
    assert [name for name in cfg if 'drop_last' in cfg[name]] == ['test_dataloader']
    assert logged == ['train_dataloader: drop_last=True is ignored, because batch_sampler makes the batches']


@pytest.mark.parametrize(('loop', 'fitted'), [
    ({'by_epoch': True, 'max_epochs': 3, 'max_iters': 9}, {'by_epoch': True, 'max_epochs': 3}),
    ({'by_epoch': False, 'max_epochs': 3, 'max_iters': 9}, {'by_epoch': False, 'max_iters': 9}),
    ({'by_epoch': True, 'type': 'IterBasedTrainLoop', 'max_epochs': 3, 'max_iters': 9},
     {'type': 'IterBasedTrainLoop', 'max_iters': 9}),
    ({'by_epoch': True, 'type': 'EpochBasedTrainLoop', 'max_epochs': 3},
     {'type': 'EpochBasedTrainLoop', 'max_epochs': 3}),
])
def test_keys_of_the_other_kind_of_loop_are_dropped(loop: dict, fitted: dict, logged: list[str]) -> None:
    cfg = Config({'train_cfg': loop})
    for _ in range(2):
        fit_train_loop(cfg)
        assert cfg.train_cfg == fitted
    assert len(logged) == ('max_iters' in loop and 'max_epochs' in loop)


@pytest.mark.parametrize('loop', [{'by_epoch': False, 'max_epochs': 3}, {'type': 'IterBasedTrainLoop'},
                                  {'by_epoch': True}, {'type': 'EpochBasedTrainLoop', 'max_iters': 3}])
def test_a_loop_needs_a_length(loop: dict) -> None:
    with pytest.raises(ConfigError, match=r'has no max_(iters|epochs), the length'):
        fit_train_loop(Config({'train_cfg': loop}))


def schedules(*found: dict, epochs: int = 10) -> Config:
    return Config({'train_cfg': {'by_epoch': True, 'max_epochs': epochs}, 'param_scheduler': list(found)})


def test_a_one_cycle_schedule_that_ends_before_the_training_is_rejected(logged: list[str]) -> None:
    one_cycle = {'type': 'OneCycleLR', 'eta_max': 0.1}
    with pytest.raises(ConfigError, match=r'param_scheduler\.0\.total_steps=7 ends before the 10 epochs'):
        check_schedules(schedules({**one_cycle, 'total_steps': 7}))
    check_schedules(schedules(one_cycle))
    check_schedules(schedules({**one_cycle, 'total_steps': 7, 'end': 7}))
    check_schedules(schedules({**one_cycle, 'total_steps': 7, 'by_epoch': False}))
    assert logged == []
    check_schedules(schedules({**one_cycle, 'total_steps': 11}))
    assert 'total_steps=11 is longer than the 10 epochs' in logged[0]


@pytest.mark.parametrize(('schedule', 'message'), [
    ({'type': 'MultiStepLR', 'milestones': [7]}, ''),
    ({'type': 'MultiStepLR', 'milestones': [7, 12]}, 'milestones [12]'),
    ({'type': 'CosineAnnealingLR'}, ''), ({'type': 'CosineAnnealingLR', 'T_max': 10}, ''),
    ({'type': 'CosineAnnealingLR', 'T_max': 8, 'begin': 2}, ''), ({'type': 'CosineAnnealingLR', 'T_max': 5}, 'T_max=5'),
    ({'type': 'LinearLR', 'by_epoch': False, 'end': 500}, ''),
])
def test_other_schedules_of_another_length_are_logged(schedule: dict, message: str, logged: list[str]) -> None:
    check_schedules(schedules(schedule))
    assert [message in line for line in logged] == ([True] if message else [])


def test_schedules_by_iteration_are_compared_with_a_loop_by_iteration(logged: list[str]) -> None:
    cfg = Config({'train_cfg': {'by_epoch': False, 'max_iters': 100},
                  'param_scheduler': {'type': 'MultiStepLR', 'milestones': [200], 'by_epoch': False}})
    check_schedules(cfg)
    assert logged == ['param_scheduler.0: milestones [200] are not within the 100 iterations of train_cfg']
    check_schedules(Config({}))


def test_checkpoints_and_log_follow_a_loop_by_iteration(logged: list[str]) -> None:
    cfg = Config({'train_cfg': {'type': 'IterBasedTrainLoop', 'max_iters': 9, 'val_interval': 4},
                  'default_hooks': {'checkpoint': {'type': 'AtomicCheckpointHook', 'interval': 1}},
                  'log_processor': {'type': 'LogProcessor', 'by_epoch': True}})
    for _ in range(2):
        fit_hooks_to_loop(cfg)
        assert cfg.default_hooks.checkpoint == {'type': 'AtomicCheckpointHook', 'interval': 4, 'by_epoch': False}
        assert cfg.log_processor.by_epoch is False
    assert len(logged) == 1
    by_epoch = Config({'train_cfg': {'by_epoch': True, 'max_epochs': 9}, 'log_processor': {'by_epoch': True}})
    fit_hooks_to_loop(by_epoch)
    assert by_epoch.log_processor.by_epoch is True


@pytest.mark.parametrize('kind', ['InfiniteSampler', 'mmengine.InfiniteSampler'])
def test_an_infinite_sampler_becomes_one_of_epochs(kind: str, logged: list[str]) -> None:
    cfg = Config({'train_dataloader': {'sampler': {'type': kind}}})
    for _ in range(2):
        fit_samplers(cfg)
        assert cfg.train_dataloader.sampler == {'type': 'DefaultSampler', 'shuffle': True}
    assert len(logged) == 1
    cfg.train_dataloader.sampler = {'type': kind, 'shuffle': False}
    fit_samplers(cfg)
    assert cfg.train_dataloader.sampler.shuffle is False


@pytest.mark.parametrize('name', ['val_dataloader', 'test_dataloader'])
def test_an_infinite_sampler_of_an_evaluation_ends(name: str, logged: list[str]) -> None:
    cfg = Config({name: {'sampler': {'type': 'InfiniteSampler'}}})
    fit_samplers(cfg)
    assert cfg[name].sampler == {'type': 'DefaultSampler', 'shuffle': False}
    assert len(logged) == 1


def test_the_learning_rate_can_be_scaled() -> None:
    scaled = {'enable': True, 'base_batch_size': 64}
    one_cycle = {'type': 'OneCycleLR', 'eta_max': 0.1}
    check_auto_scale(Config({'auto_scale_lr': scaled, 'param_scheduler': [{'type': 'MultiStepLR', 'milestones': [1]}]}))
    check_auto_scale(Config({'auto_scale_lr': {'enable': False}, 'param_scheduler': one_cycle}))
    with pytest.raises(ConfigError, match=r'needs auto_scale_lr\.base_batch_size'):
        check_auto_scale(Config({'auto_scale_lr': {'enable': True}}))
    with pytest.raises(ConfigError, match=r'one-cycle schedule; set param_scheduler\.0\.eta_max'):
        check_auto_scale(Config({'auto_scale_lr': scaled, 'param_scheduler': one_cycle}))

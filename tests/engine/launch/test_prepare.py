"""Preparation of configs: idempotent, and by class whichever way the config names it."""
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import EMAHook, Hook
from mmengine.logging import MessageHub
from mmengine.optim import OneCycleLR, OptimWrapper
from mmengine.runner import EpochBasedTrainLoop, LogProcessor, Runner
from torch import nn

from mmpartref.engine import NonFiniteLossHook, SafeCheckpointHook, SkippedImagesHook
from mmpartref.engine.config.build_errors import build_errors_explained
from mmpartref.engine.config.config_nodes import builds, hook_nodes, is_from, type_name
from mmpartref.engine.hooks.referring_visualization_hook import ReferringVisualizationHook
from mmpartref.engine.launch.build_runner import PREPARE, build_runner, load_config
from mmpartref.engine.launch.fit_to_hardware import fit_to_hardware
from mmpartref.engine.launch.prediction_dump import add_dump, draw_into
from mmpartref.engine.launch.published_choices import published_choices
from mmpartref.engine.launch.required_classes import (
    add_required_hooks,
    drop_disabled_hooks,
    use_resumable_loop,
    use_skipping_classes,
)
from mmpartref.errors import ConfigError, InputError
from mmpartref.models.detectors import ReferringDetector
from mmpartref.registry import HOOKS, MODELS, OPTIM_WRAPPERS

ROOT = Path(__file__).parents[3]
DETECTOR = [ReferringDetector, 'ReferringDetector', 'mmpartref.ReferringDetector',
            'mmpartref.models.detectors.ReferringDetector']


@pytest.mark.parametrize('kind', DETECTOR)
def test_a_class_is_found_whichever_way_it_is_named(kind):
    node = {'type': kind}
    assert builds(MODELS, node, ReferringDetector)
    assert type_name(node) == 'ReferringDetector'
    assert is_from('mmpartref', node) is (kind != 'ReferringDetector')
    assert not builds(MODELS, {'type': 'ReferringSegmentor'}, ReferringDetector)
    for other in ({'type': 'Nowhere'}, {'type': 'nowhere.Nothing'}, {}, None):
        assert not builds(MODELS, other, ReferringDetector)


@pytest.mark.parametrize('kind', DETECTOR)
def test_required_hooks_are_added_once(kind):
    cfg = Config({'model': {'type': kind}, 'launcher': 'pytorch',
                  'custom_hooks': [{'type': SkippedImagesHook}, {'type': 'mmpartref.SafeCheckpointHook'}]})
    for _ in range(2):
        add_required_hooks(cfg)
        assert [type_name(each) for each in hook_nodes(cfg)] == [
            'TruncatedExpressionsHook', 'WorkerErrorHook', 'StrictLoadHook', 'DatasetEpochHook',
            'TrainingLengthHook', 'RunSummaryHook', 'EvaluationSpeedHook', 'DetectorCategoriesHook', 'SyncBuffersHook',
            'SkippedImagesHook', 'SafeCheckpointHook']
    assert not any(builds(HOOKS, each, SafeCheckpointHook) for each in cfg.default_hooks.values())


@pytest.mark.parametrize(('wrapper', 'ema', 'loop'), [
    ('OptimWrapper', 'EMAHook', 'EpochBasedTrainLoop'),
    ('mmengine.OptimWrapper', 'mmengine.EMAHook', 'mmengine.EpochBasedTrainLoop'),
    (OptimWrapper, EMAHook, EpochBasedTrainLoop)])
def test_mmengines_classes_are_replaced(wrapper, ema, loop):
    cfg = Config({'optim_wrapper': {'type': wrapper, 'optimizer': {}}, 'train_cfg': {'type': loop, 'max_epochs': 1},
                  'default_hooks': {'non_finite': {'type': NonFiniteLossHook}}, 'custom_hooks': [{'type': ema}]})
    for _ in range(2):
        use_resumable_loop(cfg)
        use_skipping_classes(cfg)
        assert cfg.train_cfg.type == 'ResumableEpochBasedTrainLoop'
        assert cfg.optim_wrapper.type == 'SkipNonFiniteOptimWrapper'
        assert cfg.custom_hooks[0].type == 'SkipNonFiniteEMAHook'


def test_mmengines_wrapper_stays_without_the_check_of_losses():
    cfg = Config({'optim_wrapper': {'type': 'OptimWrapper'}, 'default_hooks': {'non_finite': None}})
    use_skipping_classes(cfg)
    assert cfg.optim_wrapper.type == 'OptimWrapper'


@pytest.mark.parametrize('kind', ['AmpOptimWrapper', 'mmengine.AmpOptimWrapper', 'SkipNonFiniteAmpOptimWrapper',
                                  'mmpartref.SkipNonFiniteAmpOptimWrapper', OPTIM_WRAPPERS.get('AmpOptimWrapper')])
def test_without_cuda_each_wrapper_of_mixed_precision_is_replaced(kind, monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    cfg = Config({'optim_wrapper': {'type': kind, 'loss_scale': 'dynamic'}})
    fit_to_hardware(cfg)
    assert cfg.optim_wrapper == {'type': 'OptimWrapper'}


def test_a_dump_is_added_once(tmp_path):
    cfg = load_config(ROOT / 'configs/cris_tiny_toyparts.py')
    cfg.load_from = 'best.pth'
    for name in ('a.json', 'b.json'):
        add_dump(cfg, str(tmp_path / name))
    assert [each.type for each in cfg.test_evaluator] == ['ReferringSegMetric', 'ReferringDump']
    assert cfg.test_evaluator[1].out_file == str(tmp_path / 'b.json')
    assert [each.type for each in cfg.custom_hooks].count('ModelCostHook') == 1


def test_choices_are_found_by_class():
    cfg = {'model': {}, 'param_scheduler': {'type': 'mmpartref.UniformFirstEpochLR'},
           'test_evaluator': [{'type': 'mmpartref.ReferringSegMetric', 'strict': False}],
           'test_dataloader': {'dataset': {'pipeline': [{'type': 'mmpartref.Letterbox', 'size': 64}]}}}
    assert published_choices(cfg) == {'letterbox': 'no half-pixel offset', 'Precision@X': 'IoU >= X',
                                      'first epoch': 'every part at the full learning rate'}


def test_a_lazy_config_is_prepared_like_one_with_names(tiny_config, odd_toyparts, tmp_path):
    plain = load_config(tiny_config(), data_root=str(odd_toyparts), work_dir=str(tmp_path / 'plain'))
    lazy = tmp_path / 'lazy.py'
    text = plain.pretty_text.replace("type='ReferringSegmentor'", 'type=ReferringSegmentor')
    text = text.replace("type='SkipNonFiniteOptimWrapper'", 'type=OptimWrapper').replace("type='Letterbox'",
                                                                                      'type=Letterbox')
    lazy.write_text('from mmengine.optim import OptimWrapper\nfrom mmpartref.datasets.transforms import Letterbox\n'
                    f'from mmpartref.models.segmentors import ReferringSegmentor\n{text}')
    cfg = load_config(lazy, data_root=str(odd_toyparts), work_dir=str(tmp_path / 'lazy'))
    assert cfg.optim_wrapper.type is OptimWrapper
    for prepare in PREPARE:
        prepare(plain)
        prepare(cfg)
    assert cfg.optim_wrapper.type == plain.optim_wrapper.type == 'SkipNonFiniteOptimWrapper'
    assert published_choices(cfg) == published_choices(plain)
    assert {type_name(each) for each in hook_nodes(cfg)} == {type_name(each) for each in hook_nodes(plain)}
    cfg.experiment_name = 'lazy_config'
    assert isinstance(build_runner(cfg), Runner)


def test_a_config_from_a_work_dir_starts_the_same_run(tiny_config, odd_toyparts, tmp_path):
    first = load_config(tiny_config(), data_root=str(odd_toyparts), work_dir=str(tmp_path / 'run'))
    first.experiment_name = 'dumped_config_1'
    build_runner(first)
    (dumped, ) = (tmp_path / 'run').glob('*.py')
    second = load_config(dumped)
    second.experiment_name = first.experiment_name
    for prepare in PREPARE:
        prepare(second)
    assert second.to_dict() == Config.fromfile(dumped).to_dict()
    second.experiment_name = 'dumped_config_2'
    hooks = [type(each).__name__ for each in build_runner(second).hooks]
    assert len(set(hooks)) == len(hooks)


def test_a_test_leaves_the_files_of_the_training(tiny_config, odd_toyparts, tmp_path, run_script):
    cfg = load_config(tiny_config(), data_root=str(odd_toyparts), work_dir=str(tmp_path / 'run'))
    cfg.experiment_name = 'files_of_training'
    runner = build_runner(cfg)
    runner.save_checkpoint(str(tmp_path), 'weights.pth', meta={}, save_optimizer=False, save_param_scheduler=False)
    (dumped, ) = (tmp_path / 'run').glob('*.py')
    before = dumped.read_bytes()
    for config in (dumped, tmp_path / 'run/test' / dumped.name):
        run_script('test', config, tmp_path / 'weights.pth', '--split', 'val', '--dump', tmp_path / 'dump.json',
                   '--cfg-options', f'experiment_name={config.parent.name}')
    assert dumped.read_bytes() == before
    assert sorted(each.name for each in (tmp_path / 'run/test').glob('*.py')) == [dumped.name]
    assert 'ReferringDump' in (tmp_path / 'run/test' / dumped.name).read_text()


@HOOKS.register_module(force=True)
class FailingHook(Hook):
    """Raise an error that is not one of mmpartref."""

    def __init__(self, error: type[Exception]) -> None:
        raise error('no such thing')


@pytest.fixture
def log_file(tmp_path) -> Path:
    Runner(nn.Linear(1, 1), str(tmp_path), experiment_name=f'log_{tmp_path.name}', default_scope='mmpartref')
    (path, ) = tmp_path.glob('*/*.log')
    return path


@pytest.mark.parametrize('error', [FileNotFoundError, ZeroDivisionError, KeyError])
def test_another_error_while_building_has_its_traceback_in_the_log(log_file, error):
    with pytest.raises(ConfigError, match=f'FailingHook raises {error.__name__}: .*no such thing') as caught, \
            build_errors_explained():
        HOOKS.build({'type': 'FailingHook', 'error': error})
    assert type(caught.value.__cause__) is error
    logging.shutdown()
    text = log_file.read_text()
    assert 'Traceback (most recent call last)' in text
    assert "raise error('no such thing')" in text


def test_what_cannot_be_built_is_named_with_its_path(log_file):
    def build(cfg: Config) -> None:
        HOOKS.build(cfg.custom_hooks[1])

    cfg = Config({'custom_hooks': [{'type': 'DatasetEpochHook'}, {'type': 'FailingHook', 'error': ZeroDivisionError}]})
    with pytest.raises(ConfigError, match=r'^custom_hooks\.1 of the config cannot be built \(FailingHook raises'), \
            build_errors_explained():
        build(cfg)
    with pytest.raises(ConfigError, match=r'^env_cfg of the config cannot be built \(ValueError: .*start_method'), \
            build_errors_explained():
        Runner(nn.Linear(1, 1), str(log_file.parent), experiment_name='other', default_scope='mmpartref',
               env_cfg={'mp_cfg': {'mp_start_method': 'start_method'}})


def test_errors_outside_of_building_and_those_of_mmpartref_stay(log_file):
    with pytest.raises(InputError), build_errors_explained():
        HOOKS.build({'type': 'FailingHook', 'error': InputError})
    with pytest.raises(ZeroDivisionError), build_errors_explained():
        1 / 0  # noqa: B018
    assert 'Traceback' not in log_file.read_text()


def test_hooks_are_turned_off_by_none():
    cfg = Config({'default_hooks': {'timer': None, 'non_finite': None, 'preemption': {'type': 'PreemptionHook'}}})
    for _ in range(2):
        drop_disabled_hooks(cfg)
        assert cfg.default_hooks == {'timer': None, 'preemption': {'type': 'PreemptionHook'}}


def test_an_error_that_mmengine_raises_anew_is_named_by_its_cause(log_file):
    def call_hook() -> None:
        try:
            HOOKS.build({'type': 'FailingHook', 'error': ZeroDivisionError})
        except ZeroDivisionError as error:
            raise TypeError('in a hook') from error

    with pytest.raises(ConfigError, match=r'FailingHook raises TypeError: in a hook'), build_errors_explained():
        call_hook()


def test_a_value_that_fails_during_training_is_named_with_its_key(log_file):
    runner = SimpleNamespace(message_hub=MessageHub('failing'))
    runner.message_hub.update_scalar('train/loss', 1.0)
    with pytest.raises(ConfigError, match=r'^log_processor of the config fails \(KeyError: .*nope'), \
            build_errors_explained():
        LogProcessor()._collect_scalars([{'data_src': 'loss', 'method_name': 'nope', 'window_size': 1}], runner,
                                        'train')
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    schedule = OneCycleLR(optimizer, eta_max=1.0, total_steps=2, by_epoch=False)
    schedule.step()
    schedule.step()
    with pytest.raises(ConfigError, match=r'^param_scheduler of the config fails \(ValueError: Tried to step'), \
            build_errors_explained():
        schedule.step()


def test_another_optimiser_wrapper_is_rejected_before_the_training():
    class OtherWrapper(OptimWrapper):
        pass

    cfg = Config({'default_hooks': {'non_finite': {'type': 'NonFiniteLossHook'}}, 'optim_wrapper': {}})
    cfg.optim_wrapper.type = OtherWrapper
    with pytest.raises(ConfigError, match='NonFiniteLossHook cannot be used with OtherWrapper; set'):
        use_skipping_classes(cfg)
    cfg.default_hooks = {}
    use_skipping_classes(cfg)
    assert cfg.optim_wrapper.type is OtherWrapper


@pytest.mark.parametrize('hooks', [{'visualization': {'type': 'ReferringVisualizationHook', 'max_images': 2}}, None,
                                   {'mine': {'type': 'mmpartref.ReferringVisualizationHook', 'max_images': 2}}])
def test_a_test_draws_with_and_without_a_hook(hooks):
    cfg = Config({'default_hooks': hooks})
    draw_into(cfg, 'folder')
    found, = [each for each in hook_nodes(cfg) if builds(HOOKS, each, ReferringVisualizationHook)]
    assert found['out_dir'] == 'folder'
    assert hooks is None or found['max_images'] == 2

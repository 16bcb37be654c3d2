import os
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.logging import MMLogger

from mmpartref.datasets.transforms import Letterbox
from mmpartref.engine.launch.build_runner import load_config
from mmpartref.engine.launch.fit_to_hardware import fit_to_hardware, keep_freed_memory, use_mixed_precision
from mmpartref.engine.launch.initial_weights import check_has_weights, skip_initial_weights
from mmpartref.engine.launch.prediction_dump import add_dump
from mmpartref.engine.launch.required_classes import use_compiled_network
from mmpartref.errors import ConfigError, WeightsError, one_sentence_errors

TEXT = """
model = dict(type='ReferringSegmentor', decode='aligned')
train_dataloader = dict(batch_size=2, dataset=dict(type='PartReferDataset', data_root='a', ann_file='x.json'))
test_dataloader = dict(batch_size=2, dataset=dict(type='PartReferDataset', data_root='b', ann_file='y.json'))
test_evaluator = dict(type='ReferringSegMetric')
optim_wrapper = dict(type='AmpOptimWrapper', loss_scale='dynamic', optimizer=dict(type='Adam', lr=1e-4))
sync_bn = 'torch'
"""


@pytest.fixture
def path(tmp_path):
    file = tmp_path / 'my_config.py'
    file.write_text(TEXT)
    return file


def test_command_line_is_applied(path):
    cfg = load_config(path, {'optim_wrapper.optimizer.lr': 1e-3}, data_root='other')
    assert cfg.optim_wrapper.optimizer.lr == 1e-3
    assert [cfg.train_dataloader.dataset.data_root, cfg.test_dataloader.dataset.data_root] == ['other', 'other']
    assert cfg.work_dir.endswith('my_config')
    assert cfg.default_scope == 'mmpartref'
    assert cfg.launcher == 'none'


@pytest.mark.parametrize(('launcher', 'variable', 'rank', 'shown'), [
    ('pytorch', 'RANK', '1', False), ('pytorch', 'RANK', '0', True), ('none', 'RANK', '1', True),
    ('slurm', 'SLURM_PROCID', '3', False), ('mpi', 'OMPI_COMM_WORLD_RANK', '2', False)])
def test_only_the_first_process_prints(path, monkeypatch, capsys, launcher, variable, rank, shown):
    monkeypatch.setenv(variable, rank)
    logger = MMLogger.get_instance(f'rank_{launcher}_{rank}')
    load_config(path, launcher=launcher)
    logger.warning('a line')
    assert ('a line' in capsys.readouterr().out) is shown


def test_misspelt_keys_stop_before_anything_is_built(path, tmp_path):
    with pytest.raises(ConfigError, match="'optimizr'"):
        load_config(path, {'optim_wrapper.optimizr.lr': 1e-3})
    path.write_text(TEXT + 'optimwrapper = 1\n')
    with pytest.raises(ConfigError, match="nearest valid key is 'optim_wrapper'"):
        load_config(path)
    with pytest.raises(FileNotFoundError, match='does not exist'):
        load_config(tmp_path / 'nowhere.py')


def test_without_cuda_mixed_precision_is_turned_off(path, monkeypatch, capsys):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    cfg = load_config(path)
    MMLogger.get_instance('without_cuda')
    fit_to_hardware(cfg)
    assert "; ignored: loss_scale='dynamic'\n" in capsys.readouterr().out
    assert cfg.optim_wrapper == {'type': 'OptimWrapper', 'optimizer': {'type': 'Adam', 'lr': 1e-4}}
    assert 'model_wrapper_cfg' not in cfg


def test_mixed_precision_on_a_cpu_is_bfloat16(path, monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    cfg = load_config(path)
    use_mixed_precision(cfg)
    fit_to_hardware(cfg)
    assert cfg.optim_wrapper == {'type': 'Bf16OptimWrapper', 'optimizer': {'type': 'Adam', 'lr': 1e-4}}


def test_detectors_have_no_mixed_precision_on_a_cpu(monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    with pytest.raises(ConfigError, match=r'^--amp: detectors have no mixed precision on a CPU'):
        use_mixed_precision(Config({'model': {'type': 'ReferringDetector'}, 'optim_wrapper': {}}))


def test_mixed_precision_on_cuda_is_mmengines(path, monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    cfg = load_config(path)
    before = cfg.optim_wrapper.to_dict()
    use_mixed_precision(cfg)
    assert cfg.optim_wrapper.to_dict() == {**before, 'type': 'AmpOptimWrapper'}


def test_with_cuda_nothing_is_touched(path, monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    cfg = load_config(path, launcher='pytorch')
    before = Config(cfg.to_dict())
    fit_to_hardware(cfg)
    assert cfg.to_dict() == before.to_dict()


FREED_MEMORY = """
import resource
import torch
from mmpartref.engine.launch.fit_to_hardware import keep_freed_memory

def new_pages(elements=20_000_000):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(elements)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

keep_freed_memory()
print(*[new_pages() for _ in range(5)])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='the C library is not glibc')
def test_freed_memory_is_used_again():
    unset = {name: value for name, value in os.environ.items() if not name.startswith(('MALLOC_', 'GLIBC_'))}
    result = subprocess.run([sys.executable, '-c', FREED_MEMORY], env=unset, capture_output=True, text=True, check=True)
    # 80 MB are 19,532 pages of 4 KiB, which a process whose memory goes back to the system gets again in every call.
    assert min(int(pages) for pages in result.stdout.split()[1:]) < 200


@pytest.mark.parametrize(('variable', 'value', 'calls'), [
    ('ANOTHER', '1', [(-4, 0), (-1, -1)]), ('GLIBC_TUNABLES', 'glibc.malloc.hugetlb=1', [(-4, 0), (-1, -1)]),
    ('GLIBC_TUNABLES', 'glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=4096', []), ('MALLOC_MMAP_MAX_', '0', []),
    ('MALLOC_TRIM_THRESHOLD_', '1000', [])])
def test_memory_settings_of_the_environment_stay(monkeypatch, variable, value, calls):
    found = []
    monkeypatch.setattr('platform.libc_ver', lambda: ('glibc', '2.36'))
    monkeypatch.setattr('ctypes.CDLL', lambda name: SimpleNamespace(mallopt=lambda *call: found.append(call)))
    for name in ('GLIBC_TUNABLES', 'MALLOC_MMAP_MAX_', 'MALLOC_TRIM_THRESHOLD_'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    keep_freed_memory()
    assert found == calls
    monkeypatch.setattr('platform.libc_ver', lambda: ('', ''))
    keep_freed_memory()
    assert found == calls


def test_a_dump_is_added_to_the_metric(path):
    cfg = load_config(path)
    cfg.load_from = 'best.pth'
    add_dump(cfg, 'out.json')
    assert [each['type'] for each in cfg.test_evaluator] == ['ReferringSegMetric', 'ReferringDump']
    header = cfg.test_evaluator[1]['header']
    assert header == {
        'config': 'my_config.py',
        'checkpoint': 'best.pth',
        'decode': 'aligned',
        'threshold': 0.5,
        'choices': "decode: 'aligned', mask above 0.5; Precision@X: IoU > X",
        'ann_file': 'y.json'
    }


def with_clip(**more) -> Config:
    init = {'type': 'CLIPPretrained', 'checkpoint': 'RN50'}
    model = {'type': 'ReferringSegmentor', 'backbone': {'type': 'CLIPResNet', 'init_cfg': init},
             'text_encoder': {'type': 'CLIPTextEncoder', 'init_cfg': init}, 'neck': {'type': 'CRISNeck'}}
    return Config({'model': model, 'work_dir': 'nowhere', **more})


def test_clips_weights_are_not_needed_where_a_checkpoint_replaces_them(tmp_path):
    def needed(cfg: Config) -> list[bool]:
        skip_initial_weights(cfg)
        return [cfg.model[part].get('init_cfg') is not None for part in ('backbone', 'text_encoder')]

    assert needed(with_clip()) == [True, True]
    assert needed(with_clip(load_from='whole.pth')) == [False, False]
    # A checkpoint that may lack parts leaves them to CLIP.
    hook = {'type': 'StrictLoadHook', 'allow_missing': ['backbone.']}
    assert needed(with_clip(load_from='head.pth', custom_hooks=[hook])) == [True, True]
    assert needed(with_clip(resume=True, work_dir=str(tmp_path))) == [True, True]


def test_an_error_of_the_package_ends_with_its_sentence():
    with pytest.raises(SystemExit) as caught, one_sentence_errors():
        raise WeightsError('the checkpoint does not fit')
    assert caught.value.code == 'the checkpoint does not fit'
    with pytest.raises(SystemExit, match=r'^Letterbox size=0 should be a positive integer'), one_sentence_errors():
        Letterbox(size=0)
    for ours_by_accident in (lambda: Letterbox(size=1).transform(None), lambda: int('x')):
        with pytest.raises((TypeError, ValueError)), one_sentence_errors():
            ours_by_accident()
    with pytest.raises(ZeroDivisionError), one_sentence_errors():
        1 / 0  # noqa: B018


def test_options_reach_into_lists_delete_and_import(path, tmp_path, monkeypatch):
    path.write_text(TEXT + "custom_hooks = [dict(type='DatasetEpochHook')]\n"
                    "param_scheduler = [dict(type='MultiStepLR', milestones=[1])]\n")
    cfg = load_config(path, {'optim_wrapper.optimizer._delete_': True, 'optim_wrapper.optimizer.type': 'SGD',
                             'optim_wrapper.optimizer.lr': 0.1, 'param_scheduler.0.milestones': [2],
                             'launcher': 'mpi', 'custom_hooks': []})
    assert cfg.optim_wrapper.optimizer == {'type': 'SGD', 'lr': 0.1}
    assert cfg.param_scheduler[0].milestones == [2]
    assert (cfg.launcher, cfg.custom_hooks) == ('mpi', [])
    with pytest.raises(ConfigError, match=r'custom_hooks\.0=5'):
        load_config(path, {'custom_hooks.0': 5})
    (tmp_path / 'imported_by_an_option.py').write_text("raise ValueError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r'custom_imports cannot be imported \(ValueError: imported\)'):
        load_config(path, {'custom_imports.imports': ['imported_by_an_option']})
    with pytest.raises(ConfigError, match=r'custom_imports cannot be imported'):
        load_config(path, {'custom_imports': {'imports': 'no_such_module'}})


def test_mmengines_compile_becomes_the_networks(path):
    cfg = load_config(path, {'compile': True})
    for _ in range(2):
        use_compiled_network(cfg)
    assert (cfg.compile, cfg.model.compile) == (False, True)
    cfg.compile, cfg.model.compile = {'backend': 'eager', 'target': 'forward'}, False
    use_compiled_network(cfg)
    assert (cfg.compile, cfg.model.compile) == (False, {'backend': 'eager'})


def test_a_test_without_weights_is_an_error_before_anything_is_built(path):
    with pytest.raises(ConfigError, match='a test needs weights'):
        check_has_weights(load_config(path))
    check_has_weights(with_clip())

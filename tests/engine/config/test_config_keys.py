import json
import sys
from codecs import BOM_UTF8
from pathlib import Path

import pytest
from mmengine.config import ConfigDict
from torch import nn

from mmpartref.engine.config.config_keys import check_custom_keys, check_options, check_top_level
from mmpartref.engine.config.read_config import read_config_file
from mmpartref.engine.launch.build_runner import load_config
from mmpartref.errors import ConfigError


@pytest.fixture
def cfg(tiny_model_cfg) -> ConfigDict:
    return ConfigDict(
        model=tiny_model_cfg,
        train_cfg=dict(by_epoch=True, max_epochs=2),
        train_dataloader=dict(
            batch_size=4,
            sampler=dict(type='DefaultSampler', shuffle=True),
            dataset=dict(type='PartReferDataset', ann_file='a.json', pipeline=[dict(type='Letterbox', size=64)])),
        optim_wrapper=dict(
            type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4), paramwise_cfg=dict(custom_keys={})),
        param_scheduler=[dict(type='MultiStepLR', milestones=[1])],
        default_hooks=dict(logger=dict(type='LoggerHook')))


@pytest.mark.parametrize(('key', 'near'), [('traincfg', 'train_cfg'), ('optimwrapper', 'optim_wrapper'),
                                           ('defualt_hooks', 'default_hooks'), ('lr_config', 'log_processor')])
def test_unknown_top_level_keys_are_rejected(cfg, key, near):
    check_top_level(cfg)
    with pytest.raises(ConfigError, match=f"nothing reads the config key '{key}'; the nearest valid key is '"):
        check_top_level({**cfg, key: 1})
    if key != 'lr_config':
        with pytest.raises(ConfigError, match=f"nearest valid key is '{near}'"):
            check_top_level({**cfg, key: 1})


def test_helper_variables_are_accepted(cfg):
    check_top_level({**cfg, 'data_root': 'x', 'train_pipeline': [], '_my_width': 3})


@pytest.mark.parametrize('path', [
    'train_cfg.max_epochs', 'train_cfg.val_begin', 'train_dataloader.batch_size', 'train_dataloader.num_workers',
    'train_dataloader.dataset.indices', 'train_dataloader.dataset.pipeline.0.half_pixel',
    'optim_wrapper.optimizer.lr', 'optim_wrapper.optimizer.weight_decay', 'optim_wrapper.clip_grad.max_norm',
    'optim_wrapper.paramwise_cfg.custom_keys.neck.lr_mult', 'optim_wrapper.accumulative_counts',
    'default_hooks.logger.interval', 'default_hooks.checkpoint.interval', 'param_scheduler.0.gamma',
    'randomness.seed', 'load_from', 'model.decode', 'model.backbone.init_cfg', 'model.neck.out_channels',
    'env_cfg.cudnn_benchmark'
])
def test_paths_that_something_reads_are_accepted(cfg, path):
    check_options(cfg, {path: 1})


@pytest.mark.parametrize(('path', 'near'), [
    ('modle.decode', 'model'),
    ('model.bacbone.width', 'backbone'),
    ('model.backbone.widht', 'width'),
    ('model.decode_head.num_layer', 'num_layers'),
    ('train_cfg.max_epoch', 'max_epochs'),
    ('train_dataloader.batchsize', 'batch_size'),
    ('train_dataloader.dataset.data_rot', 'data_root'),
    ('optim_wrapper.optimizer.learning_rate', ''),
    ('default_hooks.loger.interval', 'logger'),
    ('randomness.sed', 'seed'),
])
def test_paths_that_nothing_reads_are_rejected(cfg, path, near):
    cfg.randomness = dict(deterministic=False)
    with pytest.raises(ConfigError, match=f"--cfg-options {path}: .*nearest valid key is '{near}"):
        check_options(cfg, {path: 1})


def test_a_type_and_its_arguments_come_together(cfg):
    check_options(cfg, {'optim_wrapper.optimizer._delete_': True, 'optim_wrapper.optimizer.type': 'SGD',
                        'optim_wrapper.optimizer.momentum': 0.9, 'param_scheduler.0.type': 'OneCycleLR',
                        'param_scheduler.0.eta_max': 0.1, 'default_hooks.logger.priority': 'LOW'})
    with pytest.raises(ConfigError, match="'momentum' is not a key"):
        check_options(cfg, {'optim_wrapper.optimizer.momentum': 0.9})


def test_list_positions_and_values_without_inside_are_rejected(cfg):
    with pytest.raises(ConfigError, match='is a list of 1'):
        check_options(cfg, {'param_scheduler.1.gamma': 1})
    with pytest.raises(ConfigError, match="is 4, which has no 'x' inside"):
        check_options(cfg, {'train_dataloader.batch_size.x': 1})


def test_custom_keys_must_match_a_parameter():
    model = nn.ModuleDict({'backbone': nn.Linear(2, 2), 'neck': nn.Linear(2, 2)})
    check_custom_keys(model, {'paramwise_cfg': {'custom_keys': {'backbone': {'lr_mult': 0.1}, 'neck.bias': {}}}})
    with pytest.raises(ConfigError, match=r"'bakbone' matches no parameter of the model; .* is 'backbone"):
        check_custom_keys(model, {'paramwise_cfg': {'custom_keys': {'bakbone': {'lr_mult': 0.1}}}})
    check_custom_keys(model, None)


@pytest.mark.parametrize('with_bom', [(), ('top',), ('base', ), ('top', 'base')])
def test_a_byte_order_mark_is_ignored(with_bom: tuple[str, ...], tmp_path: Path) -> None:
    contents = {'base': "a = dict(b=1, c=2)\nbase_folder = '{{ fileDirname }}'\n",
                'top': "_base_ = '../base.py'\na = dict(b=3)\n"
                       "name = '{{ fileBasenameNoExtension }} of {{ fileDirname }}'\nd = {{ _base_.a.c }}\n"}
    files = {'base': tmp_path / 'base.py', 'top': tmp_path / 'folder' / 'top.py'}
    files['top'].parent.mkdir()
    for name, file in files.items():
        file.write_bytes((BOM_UTF8 if name in with_bom else b'') + contents[name].encode())
    config = read_config_file(files['top'])
    assert config.to_dict() == {'a': {'b': 3, 'c': 2}, 'base_folder': str(tmp_path), 'd': 2,
                                'name': f'top of {tmp_path}/folder'}
    assert config.filename == str(files['top'])
    assert [line for line in config.text.splitlines() if line.startswith('/')] == list(map(str, files.values()))


@pytest.mark.parametrize(('name', 'content'), [('a.json', json.dumps({'a': 1})), ('a.yml', 'a: 1'), ('a.py', 'a = 1')])
def test_a_byte_order_mark_is_ignored_in_every_format(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, encoding='utf-8-sig')
    assert read_config_file(tmp_path / name).to_dict() == {'a': 1}


@pytest.mark.parametrize('content', [BOM_UTF8 + b'a = (', 2 * BOM_UTF8 + b'a = 1', 'a = 1'.encode('utf-16')])
def test_what_is_no_config_is_named_without_a_temporary_folder(content: bytes, tmp_path: Path) -> None:
    (tmp_path / 'a.py').write_bytes(content)
    with pytest.raises(ConfigError, match=r'the config .*a\.py cannot be read') as error:
        read_config_file(tmp_path / 'a.py')
    assert '/tmp' not in str(error.value).replace(str(tmp_path), '')


@pytest.mark.parametrize('content', ['raise SystemExit(0)', 'import sys; sys.exit()', '1 / 0', 'a = b'])
def test_a_config_that_raises_or_ends_is_an_error(content: str, tmp_path: Path) -> None:
    (tmp_path / 'a.py').write_text(content)
    with pytest.raises(ConfigError, match=r'a\.py cannot be read \((SystemExit|ZeroDivisionError|NameError): '):
        read_config_file(tmp_path / 'a.py')


@pytest.mark.parametrize('key', ['compile', 'activation_checkpointing', 'efficient_conv_bn_eval'])
def test_keys_that_mmengine_reads_from_the_config_are_accepted(cfg, key: str) -> None:
    check_top_level({**cfg, key: None})


@pytest.mark.parametrize(('option', 'hint'), [
    ('image_size', 'input_size, which sets every Letterbox'), ('data_root', '--data-root'),
    ('_width', 'what it was used for'),
    ('max_epochs', 'train_cfg.max_epochs'), ('vis_backends.0.type', 'visualizer.vis_backends')])
def test_an_override_of_a_helper_variable_is_rejected(cfg, option: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=f'--cfg-options {option}: nothing reads .* after the config was .*{hint}'):
        check_options({**cfg, 'image_size': 3, '_width': 3}, {option: 1})


@pytest.mark.parametrize('key', ['tta_model', 'tta_pipeline'])
def test_keys_without_effect_are_rejected(cfg, key: str) -> None:
    with pytest.raises(ConfigError, match=f"nothing reads the config key '{key}'"):
        check_top_level({**cfg, key: {}})


@pytest.mark.parametrize('inherited', [False, True])
def test_custom_imports_are_found_beside_the_config(inherited: bool, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, 'path', [*sys.path])
    name = f'module_beside_{inherited}'.lower()
    (tmp_path / f'{name}.py').write_text('VALUE = 3')
    (tmp_path / 'base.py').write_text(f"custom_imports = dict(imports=[{name!r}])")
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other/top.py').write_text("_base_ = '../base.py'")
    read_config_file(tmp_path / ('other/top.py' if inherited else 'base.py'))
    assert sys.modules[name].VALUE == 3
    assert sys.path[-1] == str(tmp_path)


def test_a_custom_key_that_matches_nothing_is_named_with_its_file(tmp_path: Path) -> None:
    (tmp_path / 'base.py').write_text("keys = dict(bakbone=dict(lr_mult=0.1))")
    (tmp_path / 'top.py').write_text("_base_ = './base.py'")
    model = nn.ModuleDict({'backbone': nn.Linear(2, 2)})
    with pytest.raises(ConfigError, match=rf"'bakbone' of {tmp_path}/base\.py matches no parameter .*_delete_=True"):
        check_custom_keys(model, {'paramwise_cfg': {'custom_keys': {'bakbone': {}}}}, str(tmp_path / 'top.py'))


def test_variables_that_a_config_uses_are_accepted_and_not_overridden(tmp_path: Path) -> None:
    (tmp_path / 'base.py').write_text('width = 3\nrate = 0.1\nload_from = str(width)\n')
    (tmp_path / 'a.py').write_text("_base_ = './base.py'\nlength = 2\nwork_dir = f'{{_base_.rate}}/{length}'\n"
                                   'unused = 1\n')
    cfg = read_config_file(tmp_path / 'a.py')
    with pytest.raises(ConfigError, match="nothing reads the config key 'unused'"):
        check_top_level(cfg.to_dict(), cfg.text)
    cfg.pop('unused')
    check_top_level(cfg.to_dict(), cfg.text)
    for name in ('width', 'rate', 'length'):
        with pytest.raises(ConfigError, match=f"nothing reads '{name}' after the config was read"):
            check_options(cfg.to_dict(), {name: 1}, cfg.text)
    check_options(cfg.to_dict(), {'load_from': 'x'}, cfg.text)


def test_variables_are_not_dumped(tmp_path: Path) -> None:
    text = "_base_ = '{}'\nwidth = 96\n# see docs/x.md\nrate = 0.1.real\ninput_size = width\n" \
           'optim_wrapper = dict(optimizer=dict(lr=rate))\n'
    (tmp_path / 'a.py').write_text(text.format(Path(__file__).parents[3] / 'configs/cris_tiny_toyparts.py'))
    cfg = load_config(tmp_path / 'a.py', work_dir=str(tmp_path))
    assert not {'width', 'rate'} & {*cfg}
    cfg.dump(tmp_path / 'b.py')
    assert load_config(tmp_path / 'b.py', work_dir=str(tmp_path)).optim_wrapper.optimizer.lr == 0.1


def test_names_of_lazy_bases_are_accepted(tmp_path: Path) -> None:
    (tmp_path / 'lazy_base.py').write_text('my_size = 3\nload_from = str(my_size)\n')
    child = 'from mmengine.config import read_base\nwith read_base():\n    from .lazy_base import *\nmine = 1\n'
    (tmp_path / 'child.py').write_text(child)
    cfg = read_config_file(tmp_path / 'child.py')
    with pytest.raises(ConfigError, match="nothing reads the config key 'mine'"):
        check_top_level(cfg.to_dict(), cfg.text)
    cfg.pop('mine')
    assert check_top_level(cfg.to_dict(), cfg.text) == {'my_size'}


def test_a_hook_of_a_new_name_is_an_option(cfg) -> None:
    check_options(cfg, {'default_hooks.ema': {'type': 'EMAHook'}})
    check_options(cfg, {'default_hooks.ema.type': 'EMAHook', 'default_hooks.ema.momentum': 0.1})
    for options in ({'default_hooks.loger.interval': 3}, {'default_hooks.loger': None}):
        with pytest.raises(ConfigError, match="nearest valid key is 'logger'"):
            check_options(cfg, options)


def test_paths_become_text_and_imported_classes_are_dropped(tmp_path: Path) -> None:
    (tmp_path / 'base.py').write_text('')
    (tmp_path / 'a.py').write_text("_base_ = './base.py'\nfrom pathlib import Path\nwork_dir = Path('a')\n"
                                   "model = dict(x=[Path('b')], "
                                   "y=(Path('c'), 1))\n")
    cfg = read_config_file(tmp_path / 'a.py')
    assert cfg.to_dict() == {'work_dir': 'a', 'model': {'x': ['b'], 'y': ('c', 1)}}
    cfg.dump(tmp_path / 'b.py')
    assert read_config_file(tmp_path / 'b.py').to_dict() == cfg.to_dict()

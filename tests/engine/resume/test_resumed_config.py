"""A run resumes with the config of its checkpoint; what differs is named, before anything is built."""
import os
import re

import pytest
import torch
from mmengine.config import Config

from mmpartref.engine.resume.resumed_config import check_resumed_config, differences, parse_config
from mmpartref.errors import ConfigError

TEXT = """
model = dict(type='CRIS', decode='aligned', backbone=dict(width=8, init_cfg=dict(checkpoint='RN50')))
train_dataloader = dict(batch_size=4, dataset=dict(type='Parts', data_root='a', ann_file='b/train.json', pipeline=[
    dict(type='LoadImage'), dict(type='DrawExpressions', seed=0), dict(type='PackReferringInputs')]))
optim_wrapper = dict(type='OptimWrapper', clip_grad=None, optimizer=dict(type='AdamW', lr=0.1, fused=True))
param_scheduler = [dict(type='MultiStepLR', milestones=[5, 8])]
train_cfg = dict(max_epochs=9)
"""
CONSTANT = "dict(type='ConstantExpression', text='part')"


def resumed(tmp_path, text: str, **content: object) -> Config:
    """Return a config that resumes from a checkpoint of ``TEXT``."""
    path = tmp_path / 'epoch_1.pth'
    torch.save({'meta': {'epoch': 1, 'iter': 2, 'cfg': TEXT}, 'state_dict': {}, **content}, path)
    cfg = Config.fromstring(text, '.py')
    cfg.resume, cfg.load_from = True, str(path)
    return cfg


@pytest.fixture
def messages(monkeypatch):
    found: list[str] = []
    monkeypatch.setattr('mmpartref.engine.resume.resumed_config.print_log', lambda text, *_: found.append(text))
    return found


@pytest.mark.parametrize(('old', 'new'), [
    ('RN50', 'another'), ("data_root='a'", "data_root='c'"), ('b/train.json', '/moved/train.json'), ('fused=True', ''),
    ("type='CRIS'", "type='mmpartref.CRIS'"), ('max_epochs=9', 'max_epochs=12'), ('x', 'x')])
def test_folders_weights_and_a_longer_run_may_differ(tmp_path, messages, old, new):
    check_resumed_config(resumed(tmp_path, TEXT.replace(old, new)))
    assert messages == []


@pytest.mark.parametrize(('old', 'new', 'sentence'), [
    ("dict(type='DrawExpressions', seed=0)", CONSTANT,
     "train_dataloader.dataset.pipeline[1].type was 'DrawExpressions' in its run and is 'ConstantExpression' in this"),
    ('train.json', 'other.json', "ann_file was 'b/train.json' in its run and is 'b/other.json'"),
    ('width=8', 'width=9', 'model.backbone.width was 8 in its run and is 9 in this'),
    ("decode='aligned'", "decode='cris'", "model.decode was 'aligned' in its run and is 'cris' in this"),
    ("decode='aligned', ", '', "model.decode was 'aligned' in its run and is not set in this"),
    ("'AdamW'", "'SGD'", "optim_wrapper.optimizer.type was 'AdamW' in its run and is 'SGD' in this")])
def test_another_model_dataset_or_optimizer_is_an_error(tmp_path, old, new, sentence):
    with pytest.raises(ConfigError, match=re.escape(sentence)) as caught:
        check_resumed_config(resumed(tmp_path, TEXT.replace(old, new)))
    assert str(caught.value).startswith(f'cannot resume from {tmp_path}/epoch_1.pth: ')
    assert str(caught.value).endswith('start a new run from its weights with load_from instead of --resume')


@pytest.mark.parametrize(('old', 'new', 'sentence'), [
    ('lr=0.1', 'lr=0.2', "optim_wrapper.optimizer.lr was 0.1 in its run and is 0.2 in this config; this run uses the "
     "former, which is in the checkpoint's state"),
    ('[5, 8]', '[6, 8]', 'param_scheduler[0].milestones[0] was 5 in its run and is 6 in this config; this run'),
    ('clip_grad=None', 'clip_grad=dict(max_norm=1)', "clip_grad was None in its run and is {'max_norm': 1} in this"),
    ("'OptimWrapper'", "'AmpOptimWrapper'", "type was 'OptimWrapper' in its run and is 'AmpOptimWrapper' in this"),
    ('batch_size=4', 'batch_size=8', 'batch_size was 4 in its run and is 8 in this config; the results will differ')])
def test_other_differences_are_a_warning(tmp_path, messages, old, new, sentence):
    check_resumed_config(resumed(tmp_path, TEXT.replace(old, new)))
    assert len(messages) == 1
    assert sentence in messages[0]


def test_averaged_weights_need_an_ema_hook_and_the_reverse(tmp_path):
    hook = "\ncustom_hooks = [dict(type='EMAHook')]\n"
    averages = {'ema_state_dict': {'steps': torch.zeros(())}}
    check_resumed_config(resumed(tmp_path, TEXT + hook, **averages))
    with pytest.raises(ConfigError, match='it has averaged weights, but the config has no EMAHook'):
        check_resumed_config(resumed(tmp_path, TEXT, **averages))
    with pytest.raises(ConfigError, match='it has no averaged weights, but the config has an EMAHook'):
        check_resumed_config(resumed(tmp_path, TEXT + hook))


def test_without_resume_or_a_config_in_the_checkpoint_nothing_is_compared(tmp_path):
    other = TEXT.replace('width=8', 'width=9')
    cfg = resumed(tmp_path, other)
    cfg.resume = False
    check_resumed_config(cfg)
    for meta in ({}, {'cfg': 3}, {'cfg': '('}, None):
        check_resumed_config(resumed(tmp_path, other, meta=meta))


def test_the_text_of_a_config_is_not_executed(tmp_path):
    text = f"a = __import__('os').mkdir({str(tmp_path / 'made')!r})\nb = dict(c=[1, -2.5], d=(None, 'e'), **{{'f': 3}})"
    found = parse_config(text)
    assert found['a'].startswith("__import__('os')")
    assert found['b'] == {'c': [1, -2.5], 'd': [None, 'e'], None: {'f': 3}}
    assert not (tmp_path / 'made').exists()
    assert list(differences(found, parse_config(text), 'x')) == []


def test_the_text_that_mmengine_saves_is_that_of_the_run(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(Config, 'pretty_text', TEXT)
    toy.train(tmp_path)
    stored = torch.load(tmp_path / 'iter_12.pth', weights_only=False)['meta']['cfg']
    assert parse_config(stored)['model']['backbone']['width'] == 8


@pytest.mark.parametrize('name', ['best_toy_score_iter_12.pth', 'weights.pth'])
def test_a_file_without_an_optimizer_is_not_resumed_from(toy, tmp_path, name):
    """Before, the run went on with a new optimiser."""
    toy.train(tmp_path)
    content = torch.load(tmp_path / 'iter_12.pth', weights_only=False)
    torch.save({'state_dict': content['state_dict']}, tmp_path / 'weights.pth')
    missing = 'no optimizer state' if name.startswith('best') else "no 'meta' of a run"
    with pytest.raises(ConfigError, match=rf'{name}: it has {missing}.*to resume from is {tmp_path}/iter_12\.pth'):
        toy.start(tmp_path, resume=os.path.join(tmp_path, name))
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / name))
    assert toy.start(tmp_path, resume=True)._load_from == str(tmp_path / 'iter_12.pth')


@pytest.mark.parametrize(('key', 'change', 'message'), [
    ('meta', lambda meta: {**meta, 'iter': -1}, r"'meta' does not give .*\(epoch 3, iter -1\)"),
    ('meta', lambda meta: {**meta, 'epoch': '3'}, r"'meta' does not give .*\(epoch '3', iter 12\)"),
    ('meta', lambda meta: {key: meta[key] for key in meta if key != 'iter'}, r'\(epoch 3, iter missing\)'),
    ('meta', lambda meta: {**meta, 'epoch': 13}, '13 epochs of 12 iterations'),
    ('meta', lambda meta: [meta], "it has no 'meta' of a run"),
    ('meta', lambda meta: {**meta, 'seed': -1}, 'its seed is not a whole number'),
    ('message_hub', lambda hub: {}, "it has no 'message_hub' of a run"),
    ('resumable_state', lambda state: {**state, 'batches_done': 5}, "its 'resumable_state' is not a place"),
    ('resumable_state', lambda state: {**state, 'sampler_seed': 'a'}, "its 'resumable_state' is not a place"),
    ('ema_state_dict', lambda state: {'steps': state['steps']}, 'its averaged weights do not have the names')])
def test_a_place_that_no_run_writes_is_rejected_before_anything_is_built(toy, tmp_path, key, change, message):
    toy.train(tmp_path)
    path = tmp_path / 'iter_12.pth'
    content = torch.load(path, weights_only=False)
    torch.save({**content, key: change(content[key])}, path)
    with pytest.raises(ConfigError, match=rf'cannot resume from .*iter_12\.pth: .*{message}'):
        toy.start(tmp_path, resume=str(path))

from types import SimpleNamespace

import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from mmpartref.engine.hooks.strict_load_hook import StrictLoadHook
from mmpartref.errors import WeightsError

MODEL = nn.ModuleDict({'backbone': nn.Conv2d(3, 2, 1), 'norm': nn.BatchNorm2d(2)})


def load(state: dict, **options) -> None:
    StrictLoadHook(**options).after_load_checkpoint(SimpleNamespace(model=MODEL), {'state_dict': state, 'meta': {}})


def test_a_checkpoint_that_fits_passes():
    state = MODEL.state_dict()
    load(state)
    load({f'module.{name}': value for name, value in state.items()})
    load({name: value for name, value in state.items() if 'num_batches_tracked' not in name})


def test_a_checkpoint_of_another_model_is_rejected_with_a_list(monkeypatch):
    listed = []
    monkeypatch.setattr('mmpartref.engine.hooks.strict_load_hook.print_log', lambda text, *rest: listed.append(text))
    state = dict(MODEL.state_dict())
    del state['norm.bias']
    state['backbone.weight'] = torch.zeros(2, 3, 3, 3)
    state['fc.weight'] = torch.zeros(1)
    with pytest.raises(WeightsError) as caught:
        load(state)
    differ = 'backbone.weight: (2, 3, 3, 3) instead of (2, 3, 1, 1)'
    for piece in ('does not fit the ModuleDict of this config', '1 keys missing (norm.bias)', differ,
                  '1 keys not of this model (fc.weight)'):
        assert piece in str(caught.value)
    assert '\n' not in str(caught.value)
    for line in ('1 missing:\n  norm.bias', '1 unexpected:\n  fc.weight', f'  {differ}'):
        assert line in listed[0]


def test_named_parts_may_differ():
    state = dict(MODEL.state_dict())
    del state['norm.bias']
    state['fc.weight'] = torch.zeros(1)
    load(state, allow_missing=['norm.'], allow_unexpected=['fc.'])
    with pytest.raises(WeightsError, match='not of this model'):
        load(state, allow_missing=['norm.'])


def test_unusable_values_are_rejected_also_in_averaged_weights():
    state = MODEL.state_dict()
    broken = {**state, 'norm.running_var': torch.full((2, ), torch.nan)}
    for allowed in ({}, {'allow_missing': ['norm.'], 'allow_unexpected': ['fc.']}):
        with pytest.raises(WeightsError, match=r'1 keys with unusable values \(norm\.running_var is NaN at 2'):
            load(broken, **allowed)
    averaged = {f'module.{name}': value for name, value in broken.items()}
    with pytest.raises(WeightsError, match=r'ema_state_dict of the checkpoint cannot be used: module\.norm\.'):
        StrictLoadHook().after_load_checkpoint(SimpleNamespace(model=MODEL),
                                               {'state_dict': state, 'ema_state_dict': averaged})


def test_weights_of_any_wrapper_are_put_where_mmengine_reads_them():
    state = MODEL.state_dict()
    for content in ({'model': state}, {'best': torch.ones(1), 'model_state_dict': {'module': state}},
                    {f'module._orig_mod.{name}': value for name, value in state.items()}, dict(state)):
        StrictLoadHook().after_load_checkpoint(SimpleNamespace(model=MODEL), content)
        assert content['state_dict'] == state
    averaged = {f'module.{name}': value + 1 for name, value in state.items()}
    content = {'state_dict': state, 'ema_state_dict': {**averaged, 'steps': torch.tensor(4)}}
    StrictLoadHook(key='ema_state_dict').after_load_checkpoint(SimpleNamespace(model=MODEL), content)
    assert torch.equal(content['state_dict']['norm.bias'], averaged['module.norm.bias'])
    with pytest.raises(WeightsError, match='the checkpoint holds no state dict'):
        StrictLoadHook().after_load_checkpoint(SimpleNamespace(model=MODEL), {'meta': {}})


@pytest.mark.parametrize('event', ['before_train', 'before_val', 'before_test'])
def test_a_weight_that_mmengine_did_not_copy_ends_the_run(event):
    hook, runner = StrictLoadHook(), SimpleNamespace(model=MODEL)
    state = {name: value + 1 for name, value in MODEL.state_dict().items()}
    getattr(hook, event)(runner)
    hook.after_load_checkpoint(runner, {'state_dict': state})
    with pytest.raises(WeightsError, match='after loading the checkpoint, 7 entries of the ModuleDict do not have its'):
        getattr(hook, event)(runner)


class Net(BaseModel):

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def forward(self, inputs, mode='loss'):
        return {'loss': self.layer(inputs[:, None]).sum()}


def train(work_dir, epochs, name, **options):
    samples = [{'inputs': torch.ones(())}] * 2
    runner = Runner(
        Net(), str(work_dir), train_dataloader=DataLoader(samples, 1, sampler=DefaultSampler(samples)),
        train_cfg={'by_epoch': True, 'max_epochs': epochs}, optim_wrapper={'optimizer': {'type': 'SGD', 'lr': 0.1}},
        default_scope='mmpartref', log_level='ERROR', experiment_name=f'{work_dir.name}{name}',
        custom_hooks=[{'type': 'EMAHook', 'momentum': 0.5}, {'type': 'StrictLoadHook'}],
        default_hooks={'safe_checkpoint': {'type': 'SafeCheckpointHook'}}, **options)
    runner.train()
    return runner


def test_a_run_with_averaged_weights_resumes_and_starts_from_a_bare_state_dict(tmp_path):
    train(tmp_path, 1, 'first')
    runner = train(tmp_path, 2, 'second', resume=True, load_from=str(tmp_path / 'epoch_1.pth'))
    assert runner.iter == 4
    bare = {'layer.weight': torch.full((1, 1), 7.), 'layer.bias': torch.ones(1)}
    torch.save(bare, tmp_path / 'bare.pth')
    runner = train(tmp_path, 0, 'third', load_from=str(tmp_path / 'bare.pth'))
    assert runner.model.layer.weight == 7

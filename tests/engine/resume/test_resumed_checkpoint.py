"""A resumed run deletes, overwrites and computes only its files and values, independent of paths in its checkpoint."""
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from mmpartref.engine.resume.resume_point import last_good
from mmpartref.engine.resume.resumed_checkpoint import optimizer_fault, own_checkpoint, scheduler_fault


class Net(BaseModel):

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def forward(self, inputs, mode='loss'):
        return {'loss': self.layer(inputs[:, None]).sum()} if mode == 'loss' else [inputs]


class Half(BaseMetric):

    def process(self, data_batch, data_samples) -> None:
        self.results.append(1)

    def compute_metrics(self, results) -> dict:
        return {'mIoU': 0.5}


def loader() -> DataLoader:
    samples = [{'inputs': torch.ones(())}] * 2
    return DataLoader(samples, 1, sampler=DefaultSampler(samples))


def resume(work_dir: Path, info: dict, kind: str = 'AtomicCheckpointHook') -> Runner:
    """Train an epoch on from a checkpoint with this runtime information in its message hub."""
    hub = {'log_scalars': {}, 'runtime_info': info, 'resumed_keys': dict.fromkeys(info, True)}
    net = Net()
    wrapper = OptimWrapper(torch.optim.SGD(net.parameters(), lr=0.1))
    torch.save({'meta': {'epoch': 1, 'iter': 2}, 'state_dict': net.state_dict(), 'message_hub': hub,
                'optimizer': wrapper.state_dict()},
               work_dir / 'epoch_1.pth')
    hook = dict(type=kind, interval=1, max_keep_ckpts=2, save_best='refer/mIoU', rule='greater')
    runner = Runner(
        Net(), str(work_dir), train_dataloader=loader(), val_dataloader=loader(), val_cfg={},
        val_evaluator=[Half(prefix='refer')], train_cfg={'by_epoch': True, 'max_epochs': 2, 'val_interval': 1},
        optim_wrapper={'optimizer': {'type': 'SGD', 'lr': 0.1}}, default_scope='mmpartref', log_level='ERROR',
        experiment_name=f'{work_dir.name}{kind}{work_dir.parent.name}', resume=True,
        load_from=str(work_dir / 'epoch_1.pth'),
        default_hooks={'safe_checkpoint': {'type': 'SafeCheckpointHook'}, 'checkpoint': hook})
    runner.train()
    return runner


@pytest.mark.parametrize('kind', ['CheckpointHook', 'AtomicCheckpointHook'])
def test_a_better_checkpoint_deletes_nothing_outside_the_work_dir(tmp_path, kind):
    work_dir, folder, file = tmp_path / 'run', tmp_path / 'home', tmp_path / 'best_refer_mIoU_epoch_9.pth'
    work_dir.mkdir()
    folder.mkdir()
    (folder / 'thesis.txt').write_text('x')
    file.write_text('x')
    for name in (str(folder), str(file), '../home', f'{work_dir}/../home'):
        info = {'best_ckpt': name, 'last_ckpt': name, 'best_score': 0.1, 'keep_ckpt_ids': [str(folder)]}
        resume(work_dir, info, kind)
        assert (folder / 'thesis.txt').exists()
        assert file.exists()
    assert (work_dir / 'best_refer_mIoU_epoch_2.pth').exists()


def test_the_best_checkpoint_in_the_runs_folder_is_replaced(tmp_path):
    best = tmp_path / 'best_refer_mIoU_epoch_1.pth'
    best.write_text('x')
    resume(tmp_path, {'best_ckpt': f'/where/it/was/before/{best.name}', 'best_score': 0.1})
    assert [file.name for file in tmp_path.glob('best_*.pth')] == ['best_refer_mIoU_epoch_2.pth']


def test_a_users_file_in_the_work_dir_is_not_the_best_checkpoint(tmp_path):
    (tmp_path / 'pretrained.pth').write_text('x')
    resume(tmp_path, {'best_ckpt': str(tmp_path / 'pretrained.pth'), 'best_score': 0.1})
    assert (tmp_path / 'pretrained.pth').exists()


def test_names_of_metrics_may_hold_any_character():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('os.path.isfile', lambda path: True)
        assert own_checkpoint('/x/best_refer_P@0.5_epoch_2.pth', ['run'], 'best_') == 'run/best_refer_P@0.5_epoch_2.pth'


@pytest.mark.parametrize('fused', [True, False])
def test_the_state_of_an_optimizer_is_loaded_and_its_switches_are_the_runs(fused):
    layer = nn.Linear(2, 3)
    wrapper = OptimWrapper(torch.optim.AdamW(layer.parameters(), fused=fused))
    runner: Any = SimpleNamespace(optim_wrapper=wrapper)
    layer(torch.ones(1, 2)).sum().backward()
    wrapper.step()
    meta = {'epoch': 0, 'iter': 1}
    assert optimizer_fault(runner, {'optimizer': wrapper.state_dict(), 'meta': meta}) == ''
    state = wrapper.state_dict()
    state['param_groups'][0]['fused'] = not fused
    assert optimizer_fault(runner, {'optimizer': state, 'meta': meta}) == ''
    assert state['param_groups'][0]['fused'] is fused
    group, one = state['param_groups'][0], state['state'][0]
    for changed in ({**state, 'param_groups': (group, )}, {**state, 'param_groups': [group, group]},
                    {**state, 'param_groups': [{**group, 'params': [1, 0]}]}, {**state, 'state': ()},
                    {**state, 'state': {0: {**one, 'exp_avg': torch.zeros(1)}}}, {**state, 'state': {2: one}},
                    {**state, 'state': {0: {**one, 'step': torch.zeros(2)}}}, (state, ), 'text'):
        assert 'resume with the config of that run' in optimizer_fault(
            runner, {'optimizer': changed, 'meta': meta})


def test_the_state_of_a_schedule_changes_nothing_else():
    optimizer = OptimWrapper(torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1))
    schedule = PARAM_SCHEDULERS.build(dict(type='LinearLR', end=3), default_args={'optimizer': optimizer})
    state = dict(schedule.state_dict())
    other = {**state, 'param_name': 'fused'}
    runner: Any = SimpleNamespace(param_schedulers=[schedule])
    assert scheduler_fault(runner, {'param_schedulers': [state]}) == ''
    for changed in (None, [other], [{**state, 'step': 1}], ['text'], (state, ), [state, other], [],
                    {(('param_name', 'fused'), ): 0, '': [state]}, [tuple(state.items())]):
        assert 'resume with the config of that run' in scheduler_fault(runner, {'param_schedulers': changed})
    runner.param_schedulers = {'a': [schedule]}
    assert scheduler_fault(runner, {'param_schedulers': {'a': [state]}}) == ''
    for changed in ([state], {'a': [other]}, {'a': [state], 'b': [state]}, {}):
        assert 'resume with the config of that run' in scheduler_fault(runner, {'param_schedulers': changed})


def test_stray_files_are_not_the_last_good_checkpoint(tmp_path):
    for name, content in (('no_meta', {'optimizer': {}}),
                          ('text', {'optimizer': {}, 'meta': {'epoch': 'a', 'iter': 1}})):
        torch.save(content, tmp_path / f'{name}.pth')
    assert last_good(tmp_path) is None

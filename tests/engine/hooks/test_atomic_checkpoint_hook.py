import errno
import os

import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.fileio import LocalBackend
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmpartref.engine.resume.write_checkpoint import AtomicBackend
from mmpartref.errors import CheckpointWriteError, ConfigError
from mmpartref.registry import HOOKS


class Net(BaseModel):

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def forward(self, inputs, mode='loss'):
        return {'loss': self.layer(inputs[:, None]).sum()}


def train(work_dir, epochs, **options):
    data = [{'inputs': torch.ones(())}] * 2
    Runner(
        Net(), str(work_dir), train_dataloader=DataLoader(data, 1, sampler=DefaultSampler(data)),
        train_cfg={'by_epoch': True, 'max_epochs': epochs},
        optim_wrapper={'optimizer': {'type': 'SGD', 'lr': 0.1}}, default_scope='mmpartref',
        default_hooks={'checkpoint': {'type': 'AtomicCheckpointHook', 'interval': 1, 'max_keep_ckpts': 1, **options}},
        experiment_name=f'{work_dir.name}{epochs}{work_dir.parent.name}').train()


def test_older_checkpoints_are_removed(tmp_path):
    train(tmp_path, 2)
    assert [file.name for file in tmp_path.glob('*.pth*')] == ['epoch_2.pth']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'epoch_2.pth')


def test_all_checkpoints_stay_without_a_limit(tmp_path):
    train(tmp_path, 2, max_keep_ckpts=-1)
    assert sorted(file.name for file in tmp_path.glob('*.pth*')) == ['epoch_1.pth', 'epoch_2.pth']


def test_another_folder_for_the_checkpoints(tmp_path):
    train(tmp_path / 'run', 1, out_dir=str(tmp_path / 'out'))
    written = tmp_path / 'out/run/epoch_1.pth'
    assert written.is_file()
    assert (tmp_path / 'run/last_checkpoint').read_text() == str(written)


def test_no_method_of_mmengine_is_replaced(tmp_path, monkeypatch):
    put, methods = LocalBackend.put, []
    write = AtomicBackend.put

    def watched(self, obj, filepath):
        methods.append(LocalBackend.put)
        write(self, obj, filepath)

    monkeypatch.setattr(AtomicBackend, 'put', watched)
    train(tmp_path, 1)
    assert len(methods) == 2
    assert set(methods) == {put}


def test_the_log_has_no_warnings(tmp_path):
    """Neither about registries that mmengine falls back to, nor about its deprecated classes."""
    train(tmp_path, 1)
    log, = tmp_path.glob('*/*.log')
    text = log.read_text(encoding='utf-8')
    assert 'Saving checkpoint at 1 epochs' in text
    # The data here is a plain list, and there is no schedule.
    known = ('Dataset list has no metainfo', 'so skip saving parameter schedulers')
    assert [line for line in text.splitlines() if 'WARNING' in line and not any(each in line for each in known)] == []


def test_a_disk_that_fills_up_leaves_the_last_good_checkpoint(tmp_path, monkeypatch):
    sync, calls = os.fsync, []

    def full(number: int) -> None:
        calls.append(number)
        # The first epoch's checkpoint and its name are synced, each with its folder; the second epoch's is not.
        if len(calls) == 5:
            raise OSError(errno.ENOSPC, 'No space left on device')
        sync(number)

    monkeypatch.setattr('os.fsync', full)
    with pytest.raises(CheckpointWriteError, match=r'epoch_2\.pth cannot be written .No space left'):
        train(tmp_path, 2)
    assert [file.name for file in tmp_path.glob('*.pth*')] == ['epoch_1.pth']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'epoch_1.pth')
    assert 'state_dict' in torch.load(tmp_path / 'epoch_1.pth', weights_only=False)


def test_a_metric_that_the_validation_lacks_is_named(tmp_path):
    hook = HOOKS.build({'type': 'AtomicCheckpointHook', 'save_best': 'refer/unseen_mIoU', 'rule': 'greater'})
    with pytest.raises(ConfigError, match="save_best='refer/unseen_mIoU' is not a metric"):
        hook._save_best_checkpoint(None, {'refer/mIoU': 0.5})

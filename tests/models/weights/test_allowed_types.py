import os
import pickle

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS
from torch import nn

from mmpartref.models.weights.allowed_types import FORCE_CHECK, mmengine_checkpoints_allowed
from mmpartref.models.weights.checkpoint_content import pack, restore
from mmpartref.models.weights.state_files import read_checkpoint


class Payload:
    """A pickle that would run code."""

    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.mkdir, (self.marker, )


def test_an_mmengine_message_hub_loads_under_torchs_check(tmp_path):
    hub = MessageHub('checkpoint types')
    hub.update_scalar('train/loss', 0.5)
    hub.update_scalar('train/loss', np.float64(0.25))
    hub.update_info('epoch', 3)
    hub.update_info('best_score', np.float32(0.5))
    path = tmp_path / 'epoch_1.pth'
    torch.save({'message_hub': hub.state_dict(), 'state_dict': {'w': torch.ones(2)}}, path)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path)
    loaded = read_checkpoint(path)
    history = loaded['message_hub']['log_scalars']['train/loss']
    assert isinstance(history, HistoryBuffer)
    assert history.mean() == 0.375
    assert loaded['message_hub']['runtime_info']['best_score'] == 0.5
    assert history.data[0].tolist() == [0.5, 0.25]
    assert history.data[1].tolist() == [1, 1]
    with pytest.raises(pickle.UnpicklingError):  # only inside the context
        torch.load(path)


@pytest.mark.parametrize('weights_only', [None, False])
def test_a_pickle_that_would_run_code_does_not(tmp_path, weights_only):
    """Not even where the caller passes weights_only=False, as forks of mmengine do."""
    marker = tmp_path / 'ran'
    path = tmp_path / 'evil.pth'
    torch.save({'state_dict': Payload(str(marker))}, path)
    with mmengine_checkpoints_allowed(), pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=weights_only)
    assert not marker.exists()


def test_the_environment_is_put_back(monkeypatch):
    monkeypatch.delenv(FORCE_CHECK, raising=False)
    with mmengine_checkpoints_allowed():
        assert os.environ[FORCE_CHECK] == '1'
    assert FORCE_CHECK not in os.environ


@pytest.mark.parametrize('schedule', [
    dict(type='MultiStepLR', milestones=[1]),
    dict(type='OneCycleLR', eta_max=0.1, total_steps=4),
    dict(type='OneCycleLR', eta_max=0.1, total_steps=4, anneal_strategy='linear'),
    dict(type='CosineAnnealingLR', T_max=4),
    dict(type='CosineRestartLR', periods=[2, 2], restart_weights=[1, 0.5], eta_min=0.0),
    dict(type='LinearLR', end=3),
    dict(type='PolyLR', end=3),
    dict(type='ExponentialLR', gamma=0.5),
], ids=lambda schedule: '-'.join([schedule['type'], schedule.get('anneal_strategy', '')]))
def test_every_schedulers_state_loads(tmp_path, schedule):
    """As a run saves it: next to the optimiser's state."""
    optimizer = OptimWrapper(torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1, momentum=0.9))
    scheduler = PARAM_SCHEDULERS.build(schedule, default_args={'optimizer': optimizer})
    optimizer.step()
    scheduler.step()
    state = {'optimizer': optimizer.state_dict(), 'param_schedulers': [scheduler.state_dict()]}
    for name, content in (('mmengine.pth', state), ('ours.pth', pack(state))):
        torch.save(content, tmp_path / name)
        loaded = read_checkpoint(tmp_path / name)
        assert loaded['param_schedulers'][0] == scheduler.state_dict()
        assert loaded['optimizer'] == state['optimizer']
    # Ours need no permission.
    assert torch.load(tmp_path / 'ours.pth', weights_only=True)['optimizer'] == state['optimizer']


def test_it_may_be_nested(tmp_path):
    torch.save({'hub': HistoryBuffer([1.0], [1])}, tmp_path / 'hub.pth')
    with mmengine_checkpoints_allowed():
        with mmengine_checkpoints_allowed():
            pass
        assert restore(torch.load(tmp_path / 'hub.pth', weights_only=True))['hub'].current() == 1


@pytest.mark.gpu
def test_a_log_history_comes_back_from_a_gpu(tmp_path):
    """mmengine loads a checkpoint onto the device of the run."""
    torch.save(pack({'hub': HistoryBuffer([1.0, 3.0], [1, 1])}), tmp_path / 'hub.pth')
    assert read_checkpoint(tmp_path / 'hub.pth', 'cuda')['hub'].mean() == 2

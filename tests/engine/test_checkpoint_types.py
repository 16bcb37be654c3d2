import os
import pickle

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub

from mmpartref.engine.checkpoint_types import FORCE_CHECK, mmengine_checkpoints_allowed


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
    with mmengine_checkpoints_allowed():
        loaded = torch.load(path)
    history = loaded['message_hub']['log_scalars']['train/loss']
    assert isinstance(history, HistoryBuffer)
    assert history.mean() == 0.375
    assert loaded['message_hub']['runtime_info']['best_score'] == 0.5
    with pytest.raises(pickle.UnpicklingError):  # only inside the context
        torch.load(path)


@pytest.mark.parametrize('weights_only', [None, False])
def test_a_pickle_that_would_run_code_does_not(tmp_path, weights_only):
    """Not even where the caller asks for an unchecked load, as forks of mmengine do."""
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

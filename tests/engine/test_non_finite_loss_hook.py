import logging
from types import SimpleNamespace

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper

from mmpartref.engine import NonFiniteLossHook
from mmpartref.engine.non_finite_loss_hook import NonFiniteLossError


class Net(BaseModel):

    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(2)

    def forward(self, inputs, data_samples=None, mode='loss'):
        return {'loss_mask': self.norm(inputs).pow(2).sum() + inputs.sum()}


def run(hook, value):
    model = Net()
    runner = SimpleNamespace(model=model, iter=6, logger=logging.getLogger('t'))
    hook.before_train(runner)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    inputs = torch.tensor([[1., 2.], [value, 5.]])
    data = {'inputs': inputs, 'data_samples': [{'img_path': 'a.jpg', 'expressions': ['the tire of the car']}]}
    optim = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    out = model.train_step(data, optim)
    same = all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    hook.after_train(runner)
    return out, same


def test_a_loss_that_is_no_number_ends_the_run_with_the_batch():
    with pytest.raises(NonFiniteLossError, match=r"iteration 7: .*loss_mask.* a\.jpg \['the tire of the car'\]"):
        run(NonFiniteLossHook(), float('nan'))


def test_a_skipped_step_changes_neither_weights_nor_statistics(caplog):
    hook = NonFiniteLossHook('skip')
    assert run(hook, float('inf')) == ({}, True)
    assert hook.skipped == 1
    assert '1 steps were skipped' in caplog.text


def test_a_finite_loss_trains():
    out, same = run(NonFiniteLossHook('skip'), 3.)
    assert 'loss_mask' in out
    assert not same


def test_another_word_is_refused():
    with pytest.raises(ValueError, match='on_nonfinite'):
        NonFiniteLossHook('ignore')

from types import SimpleNamespace

import torch
from mmengine.model import BaseModel
from torch import nn

from mmpartref.engine.hooks.model_cost_hook import ModelCostHook
from mmpartref.evaluation.metrics.referring_dump import ReferringDump
from mmpartref.structures import ReferringDataSample


class Attending(BaseModel):
    """One matrix product of 2 * 4 * 8 * 8 operations, and attention of one head over 4 tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)
        self.attention = nn.MultiheadAttention(8, 1, batch_first=True)

    def forward(self, inputs: list[torch.Tensor], data_samples: list, mode: str = 'tensor') -> list:
        x = self.linear(inputs[0])
        self.attention(x, x, x, need_weights=False)
        return data_samples


def test_the_header_gets_size_operations_and_time(tmp_path):
    model = Attending().eval()
    dump = ReferringDump(out_file=str(tmp_path / 'dump.json'), header={'config': 'x.py'})
    runner = SimpleNamespace(model=model, test_evaluator=SimpleNamespace(metrics=[dump]))
    sample = ReferringDataSample()
    sample.expressions = ['a', 'b']
    batch = {'inputs': [torch.randn(1, 4, 8)], 'data_samples': [sample]}
    hook = ModelCostHook()
    hook.before_test(runner)
    for index in range(2):
        hook.before_test_iter(runner, index, batch)
        hook.after_test_iter(runner, index, batch, [sample])
    assert dump.header['parameters'] == 8 * 8 + 8 + 3 * (8 * 8 + 8) + 8 * 8 + 8
    assert dump.header['config'] == 'x.py'
    assert dump.header['device'].startswith('CPU')
    assert dump.header['seconds_per_image'] >= 0
    # Linear, three projections in one, scores, mixing, output; two expressions share it.
    operations = 2 * 4 * 8 * 8 + 2 * 4 * 8 * 24 + 2 * 4 * 4 * 8 * 2 + 2 * 4 * 8 * 8
    assert hook.count(runner, batch) == operations
    assert dump.header['gflops_per_expression'] == round(operations / 1e9 / 2, 6)
    assert torch.backends.mha.get_fastpath_enabled()

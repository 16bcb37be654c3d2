import pytest
import torch
from mmengine.model import BaseModule
from mmengine.registry import DefaultScope
from torch import nn

from mmpartref.errors import WeightsError


class Part(BaseModule):

    def __init__(self, init_cfg: dict) -> None:
        super().__init__(init_cfg)
        self.conv = nn.Conv2d(3, 2, 1)
        self.norm = nn.BatchNorm2d(2)


def start(**init) -> Part:
    with DefaultScope.overwrite_default_scope('mmpartref'):
        part = Part({'type': 'Pretrained', **init})
        part.init_weights()
    return part


@pytest.fixture
def checkpoint(tmp_path):
    """A detector's checkpoint: the part under ``backbone.``, a classifier, no BatchNorm counter."""
    state = {f'backbone.{name}': value for name, value in Part({}).state_dict().items() if 'tracked' not in name}
    torch.save({'state_dict': {**state, 'backbone.fc.weight': torch.zeros(2, 2)}}, tmp_path / 'detector.pth')
    return tmp_path / 'detector.pth', state


def test_weights_load_with_and_without_a_prefix(checkpoint, tmp_path):
    path, state = checkpoint
    part = start(checkpoint=str(path), prefix='backbone.')
    torch.save({f'module.{name.removeprefix("backbone.")}': value for name, value in state.items()},
               tmp_path / 'plain.pth')
    for each in (part, start(checkpoint=str(tmp_path / 'plain.pth'))):
        assert torch.equal(each.conv.weight, state['backbone.conv.weight'])


def test_missing_or_misshapen_weights_are_an_error_unless_named(checkpoint, tmp_path):
    _, state = checkpoint
    del state['backbone.norm.weight']
    torch.save(state, tmp_path / 'lacking.pth')
    with pytest.raises(WeightsError, match=r'(?s)does not fit this Part; .*1 missing:\s+norm\.weight'):
        start(checkpoint=str(tmp_path / 'lacking.pth'), prefix='backbone.')
    part = start(checkpoint=str(tmp_path / 'lacking.pth'), prefix='backbone.', allow_missing=['norm.'])
    assert torch.equal(part.conv.weight, state['backbone.conv.weight'])
    state['backbone.conv.bias'] = torch.zeros(5)
    torch.save(state, tmp_path / 'misshapen.pth')
    with pytest.raises(WeightsError, match=r'conv\.bias: \(5,\) instead of \(2,\)'):
        start(checkpoint=str(tmp_path / 'misshapen.pth'), prefix='backbone.', allow_missing=['norm.'])
    part = start(checkpoint=str(tmp_path / 'misshapen.pth'), prefix='backbone.', allow_missing=['norm.', 'conv.bias'])
    assert part.conv.bias.shape == (2, )
    assert torch.equal(part.conv.weight, state['backbone.conv.weight'])

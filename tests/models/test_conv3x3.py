import copy
import io

import pytest
import torch
import torch.nn.functional as F
from torch.optim.swa_utils import AveragedModel

from mmpartref.models.layers.cpu import conv3x3
from mmpartref.models.layers.cpu.conv3x3 import Conv3x3, transform_kernel, winograd
from mmpartref.models.layers.cpu.cpu_fast_paths import disable_cpu_fast_paths

# For two ways of summing up, and for two runs of one way.
EXACT = {'rtol': 1e-5, 'atol': 1e-5}


@pytest.fixture
def calls(monkeypatch) -> list[int]:
    """Let narrow layers be fast too; one entry per map that was."""
    seen = []

    def counting(x, kernel):
        seen.append(len(x))
        return winograd(x, kernel)

    monkeypatch.setattr(conv3x3, 'MIN_CHANNELS', 1)
    monkeypatch.setattr(conv3x3, 'winograd', counting)
    return seen


@pytest.mark.parametrize('shape', [(1, 3, 1, 1),
                                   (2, 3, 2, 2), (2, 5, 3, 4), (1, 4, 13, 13), (3, 2, 8, 5), (0, 3, 4, 4)])
@pytest.mark.parametrize('channels_last', [False, True])
def test_it_is_the_convolution(shape, channels_last):
    x = torch.randn(shape, dtype=torch.float64)
    x = x.contiguous(memory_format=torch.channels_last) if channels_last else x
    weight = torch.randn(6, shape[1], 3, 3, dtype=torch.float64)
    before = x.clone()
    kernel = transform_kernel(weight)
    # The tables are float32, and exact there: their entries are 0, 1 and -1.
    found = winograd(x.float(), kernel.float())
    torch.testing.assert_close(found, F.conv2d(x, weight, padding=1).float(), rtol=1e-4, atol=1e-4)
    assert torch.equal(x, before)


def test_it_rounds_no_worse_than_the_direct_sum():
    x, weight = torch.randn(1, 256, 13, 13), torch.randn(128, 256, 3, 3) / 48
    exact = F.conv2d(x.double(), weight.double(), padding=1)
    # One product after the other: what F.conv2d adds first, and so how it rounds, depends on the processor.
    direct = torch.zeros(128, 169)
    for column, values in zip(weight.flatten(1).T, F.unfold(x, 3, padding=1)[0], strict=True):
        direct += column[:, None] * values
    errors = [(each.double() - exact).square().mean().sqrt()
              for each in (winograd(x, transform_kernel(weight)), direct.reshape(exact.shape))]
    assert errors[0] < errors[1]


def test_a_row_does_not_depend_on_the_others():
    x, kernel = torch.randn(3, 8, 7, 6), transform_kernel(torch.randn(4, 8, 3, 3))
    together = winograd(x, kernel)
    for row in range(3):
        torch.testing.assert_close(winograd(x[row:row + 1], kernel)[0], together[row], **EXACT)


@pytest.mark.parametrize('bias', [False, True])
def test_inference_on_a_cpu_is_fast_and_nothing_else(calls, bias):
    layer, x = Conv3x3(4, 5, bias=bias).eval(), torch.randn(2, 4, 6, 7)
    expected = F.conv2d(x, layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(x), expected)
    with torch.no_grad(), disable_cpu_fast_paths():
        layer(x)
    with torch.no_grad(), torch.autocast('cpu', dtype=torch.bfloat16):
        layer(x)
    layer.fast = False
    with torch.no_grad():
        layer(x)
    layer.fast = True
    with torch.no_grad():
        copy.deepcopy(layer).double()(x.double())
    assert calls == []
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected, **EXACT)
    with torch.inference_mode():
        torch.testing.assert_close(layer(x), expected, **EXACT)
    assert calls == [2, 2]


def test_few_channels_are_not_worth_it(calls, monkeypatch):
    monkeypatch.setattr(conv3x3, 'MIN_CHANNELS', 4)
    with torch.no_grad():
        for channels in (3, 4):
            Conv3x3(channels, 4).eval()(torch.ones(1, channels, 2, 2))
    assert calls == [1]


def test_a_changed_weight_is_noticed(calls):
    layer, x = Conv3x3(3, 4).eval(), torch.randn(1, 3, 5, 5)

    def check():
        with torch.no_grad():
            torch.testing.assert_close(layer(x), F.conv2d(x, layer.weight, padding=1), **EXACT)

    check()
    kept = layer._kernel
    check()
    assert layer._kernel is kept
    with torch.no_grad():
        layer.weight.mul_(2)
    check()
    layer.load_state_dict(Conv3x3(3, 4).state_dict())
    check()
    layer.weight = torch.nn.Parameter(torch.randn(4, 3, 3, 3))
    check()
    # As mmengine's EMA swaps: past the version, and then the mode is set.
    layer.weight.data.copy_(torch.randn(4, 3, 3, 3))
    layer.eval()
    check()
    layer.to(torch.float64).to(torch.float32)
    assert layer._kernel is None
    check()
    assert len(calls) == 7


def test_copies_and_files_hold_the_weight_alone(calls):
    layer, x = Conv3x3(3, 4).eval(), torch.randn(1, 3, 5, 5)
    with torch.no_grad():
        expected = layer(x)
    assert set(layer.state_dict()) == {'weight'}
    twin = copy.deepcopy(layer)
    assert twin._kernel is None
    assert AveragedModel(layer).module._kernel is None
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    with torch.no_grad():
        torch.testing.assert_close(twin(x), expected, **EXACT)
        torch.testing.assert_close(torch.load(file, weights_only=False)(x), expected, **EXACT)


def test_graphs_keep_the_convolution(calls):
    layer = Conv3x3(3, 4).eval()
    with torch.no_grad():
        program = torch.export.export(layer, (torch.randn(1, 3, 5, 5), ))
    assert calls == []
    assert any('conv2d' in str(node.target) for node in program.graph.nodes)

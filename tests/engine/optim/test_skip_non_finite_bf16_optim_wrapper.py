"""Training in bfloat16 autocast."""
import pytest
import torch
from torch import nn

from mmpartref.engine import SkipNonFiniteBf16OptimWrapper
from mmpartref.models.decode_heads import VisionLanguageDecodeHead


def test_the_forward_pass_is_bfloat16_and_the_rest_float32():
    net = nn.Linear(8, 4)
    wrapper = SkipNonFiniteBf16OptimWrapper(torch.optim.SGD(net.parameters(), lr=0.5))
    x, before = torch.randn(3, 8), net.weight.detach().clone()
    with wrapper.optim_context(net):
        y = net(x)
    assert y.dtype == torch.bfloat16
    assert not torch.is_autocast_enabled('cpu')
    wrapper.update_params(y.float().sum())
    assert net.weight.dtype == torch.float32
    torch.testing.assert_close(before - net.weight, 0.5 * x.sum(dim=0).expand(4, 8), rtol=1e-2, atol=1e-2)


def test_a_cpu_trains_in_mixed_precision(tiny_config, odd_toyparts, tmp_path, run_script, monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    seen, forward = set(), VisionLanguageDecodeHead.forward

    def record(head, *args):
        seen.add((head.training, torch.is_autocast_enabled('cpu')))
        return forward(head, *args)

    monkeypatch.setattr(VisionLanguageDecodeHead, 'forward', record)
    run_script('train', tiny_config('train_cfg = dict(max_epochs=1, val_interval=2)'), '--amp', '--data-root',
               odd_toyparts, '--work-dir', tmp_path / 'run', '--seed', 0)
    assert seen == {(True, True), (False, False)}
    weights = torch.load(tmp_path / 'run/epoch_1.pth', weights_only=False)['state_dict']
    assert {each.dtype for each in weights.values() if each.is_floating_point()} == {torch.float32}
    assert all(torch.isfinite(each).all() for each in weights.values())


@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
def test_an_update_that_is_not_finite_is_skipped(bad):
    net = nn.Linear(2, 1)
    wrapper = SkipNonFiniteBf16OptimWrapper(torch.optim.SGD(net.parameters(), lr=0.5))
    before = net.weight.detach().clone()
    with wrapper.optim_context(net):
        loss = net(torch.ones(1, 2)).float().sum() * bad
    wrapper.update_params(loss)
    assert wrapper.skipped
    assert torch.equal(net.weight, before)

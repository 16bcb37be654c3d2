"""Losses of mask logits against values worked out by hand."""
import math

import pytest
import torch
import torch.nn.functional as F

from mmpartref.errors import InputError
from mmpartref.models.losses import FocalLoss, TextToPixelContrastiveLoss, TverskyLoss
from mmpartref.registry import MODELS

LOSSES = [TextToPixelContrastiveLoss(), FocalLoss(), FocalLoss(gamma=0, alpha=None), TverskyLoss(),
          TverskyLoss(alpha=0.3, beta=0.7)]


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def test_focal_loss_by_hand() -> None:
    logits = torch.tensor([[[[logit(0.9), logit(0.2)]]]])
    target = torch.tensor([[[[1.0, 0.0]]]])
    expected = (0.25 * 0.1**2 * -math.log(0.9) + 0.75 * 0.2**2 * -math.log(0.8)) / 2
    assert float(FocalLoss()(logits, target)) == pytest.approx(expected, rel=1e-5)
    plain = F.binary_cross_entropy_with_logits(logits, target)
    torch.testing.assert_close(FocalLoss(gamma=0, alpha=None)(logits, target), plain)
    # At its target of a half a pixel has no loss.
    assert float(FocalLoss(alpha=None)(torch.zeros(1, 1, 1, 1), torch.full((1, 1, 1, 1), 0.5))) < 1e-9
    sure = torch.tensor([[[[20.0, -20.0]]]], requires_grad=True)
    FocalLoss(gamma=0.5)(sure, torch.tensor([[[[1.0, 0.0]]]])).backward()
    assert sure.grad.isfinite().all()


def test_tversky_loss_by_hand() -> None:
    logits = torch.tensor([[[[logit(0.9), logit(0.2), logit(0.5)]]]])
    target = torch.tensor([[[[1.0, 0.0, 1.0]]]])
    hits, false, missing = 1.4, 0.2, 0.6
    for alpha, beta in ((0.5, 0.5), (0.3, 0.7), (1, 1)):
        expected = 1 - (hits + 1) / (hits + alpha * false + beta * missing + 1)
        assert float(TverskyLoss(alpha, beta)(logits, target)) == pytest.approx(expected, rel=1e-5)
    dice = 1 - (2 * hits + 2) / (0.9 + 0.2 + 0.5 + 2 + 2)
    assert float(TverskyLoss()(logits, target)) == pytest.approx(dice, rel=1e-5)


def test_a_small_part_weighs_as_much_as_a_large_one_in_the_tversky_loss() -> None:
    target = torch.zeros(2, 1, 40, 40)
    target[0, :, :2, :2], target[1, :, :20, :20] = 1, 1
    logits = torch.full((2, 1, 40, 40), -20.0)  # both are missed
    loss = TverskyLoss(smooth=1e-6)
    assert float(loss(logits[:1], target[:1])) == pytest.approx(float(loss(logits[1:], target[1:])), abs=1e-4)
    cross_entropy = TextToPixelContrastiveLoss()
    assert float(cross_entropy(logits[1:], target[1:])) == pytest.approx(
        100 * float(cross_entropy(logits[:1], target[:1])), rel=1e-3)


@pytest.mark.parametrize('loss', LOSSES, ids=['published', 'focal', 'plain', 'dice', 'tversky'])
def test_every_loss_is_the_mean_over_rows_and_right_at_the_ends(loss: torch.nn.Module) -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(3, 1, 6, 8, requires_grad=True), (torch.rand(3, 1, 6, 8) > 0.7).float()
    whole = loss(logits, target)
    rows = torch.stack([loss(logits[row:row + 1], target[row:row + 1]) for row in range(3)])
    torch.testing.assert_close(whole, rows.mean())
    whole.backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    for row in range(3):
        assert logits.grad[row].abs().sum() > 0
    perfect, wrong = 40 * (target - 0.5), 40 * (0.5 - target)
    assert float(loss(perfect, target)) < 1e-6 < 0.1 < float(loss(wrong, target))
    # An absent part that is not predicted.
    assert float(loss(torch.full((1, 1, 4, 4), -40.0), torch.zeros(1, 1, 4, 4))) < 1e-6
    with torch.autocast('cpu', torch.bfloat16):
        assert loss(logits.bfloat16(), target).dtype == torch.float32


def test_a_head_sums_several_losses_of_different_names() -> None:
    settings = dict(type='VisionLanguageDecodeHead', in_channels=16, word_channels=8, sentence_channels=8, num_layers=1,
                    num_heads=2, feedforward_channels=8)
    kinds = [dict(type='TextToPixelContrastiveLoss'), dict(type='TverskyLoss', loss_weight=0.5)]
    head = MODELS.build({**settings, 'loss': kinds})
    logits, target = torch.randn(2, 1, 4, 4), torch.ones(2, 1, 4, 4)
    losses = head.loss(logits, target)
    assert list(losses) == ['loss_text_to_pixel', 'loss_tversky']
    torch.testing.assert_close(losses['loss_tversky'], 0.5 * TverskyLoss()(logits, target))
    assert head.state_dict().keys() == MODELS.build({**settings, 'loss': kinds[0]}).state_dict().keys()
    for wrong in ([], [kinds[1], kinds[1]]):
        with pytest.raises(InputError, match='give one or several different ones'):
            MODELS.build({**settings, 'loss': wrong})


@pytest.mark.parametrize('make', [lambda: FocalLoss(gamma=-1), lambda: FocalLoss(alpha=2),
                                  lambda: TverskyLoss(alpha=-1), lambda: TverskyLoss(smooth=0),
                                  lambda: TverskyLoss(0, 0)])
def test_settings_out_of_range(make) -> None:
    with pytest.raises(InputError, match='must be'):
        make()

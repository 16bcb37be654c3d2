"""Whether the part is there: the word of the map, and of a head that learns it."""
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from mmpartref.models.decode_heads import PresenceHead
from mmpartref.models.segmentors import ReferringSegmentor
from mmpartref.registry import MODELS
from mmpartref.structures import ReferringDataSample

TEXTS = ['quadruped head', 'snake foot', 'bird wing']


@pytest.fixture
def build(tiny_model_cfg) -> Callable[..., ReferringSegmentor]:
    def build_model(head: bool = False, **changes) -> ReferringSegmentor:
        cfg = {**tiny_model_cfg, **changes}
        if head:
            cfg['decode_head'] = {**cfg['decode_head'], 'presence_head': {'type': 'PresenceHead'}}
        torch.manual_seed(0)
        return MODELS.build(cfg)
    return build_model


def sample(expressions: list[str], absent: tuple[int, ...] = ()) -> ReferringDataSample:
    out = ReferringDataSample(
        metainfo={'img_path': 'image.jpg', 'ori_shape': (50, 70), 'img_shape': (64, 64),
                  'letterbox_matrix': np.array([[64 / 70, 0, 0], [0, 64 / 50, 0]])})
    out.expressions = expressions
    out.refs = [{'absent': 'other'} if number in absent else {} for number in range(len(expressions))]
    out.gt_masks = torch.full((len(expressions), 64, 64), 255, dtype=torch.uint8)
    out.gt_masks[list(absent)] = 0
    return out


def prepare(model: ReferringSegmentor, *samples: ReferringDataSample, training: bool = False) -> dict:
    torch.manual_seed(1)
    images = [torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8) for _ in samples]
    return model.data_preprocessor({'inputs': images, 'data_samples': list(samples)}, training)


def shared_state(model: ReferringSegmentor, other: ReferringSegmentor) -> dict[str, torch.Tensor]:
    """The first model's weights for the second, except for its presence head."""
    return {**other.state_dict(), **model.state_dict()}


def test_the_head_is_off_by_default_and_changes_nothing_but_presence(build):
    plain, headed = build(), build(head=True)
    assert not any('presence' in name for name in plain.state_dict())
    assert [name for name in headed.state_dict() if name not in plain.state_dict()] == [
        f'decode_head.presence_head.classifier.{layer}.{kind}' for layer in (0, 2) for kind in ('weight', 'bias')]
    headed.load_state_dict(shared_state(plain, headed))
    found = [model.eval()(**prepare(model, sample(TEXTS)), mode='predict')[0] for model in (plain, headed)]
    # Rounding may move pixels across the threshold.
    assert (found[0].pred_masks != found[1].pred_masks).float().mean() < 1e-3
    assert (found[0].pred_presence - found[1].pred_presence).abs().max() > 1e-3
    logits = [model(**prepare(model, sample(TEXTS)), mode='tensor') for model in (plain, headed)]
    torch.testing.assert_close(*logits, rtol=1e-4, atol=1e-5)


def test_without_a_head_presence_is_the_highest_probability(build):
    model = build().eval()
    batch = prepare(model, sample(TEXTS))
    logits = model(**batch, mode='tensor')
    found = model(**batch, mode='predict')[0]
    presence = found.pred_presence
    torch.testing.assert_close(presence, logits[:, 0].sigmoid().amax(dim=(1, 2)), rtol=1e-4, atol=1e-5)
    assert presence.shape == (3, )
    # At every threshold, hence also for masks that become empty.
    strict = build(threshold=0.999).eval()
    strict.load_state_dict(model.state_dict())
    other = strict(**prepare(strict, sample(TEXTS)), mode='predict')[0]
    assert other.pred_masks.sum() < found.pred_masks.sum()
    torch.testing.assert_close(other.pred_presence, presence, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('changes', [{}, {'row_multiple': 4}])
def test_the_head_has_one_probability_per_row(build, changes):
    model = build(head=True, **changes).eval()
    seen = []
    model.decode_head.presence_head.register_forward_hook(lambda module, inputs, output: seen.append(output))
    together = model(**prepare(model, sample(TEXTS), sample(TEXTS[:1])), mode='predict')
    assert [each.pred_presence.shape for each in together] == [(3, ), (1, )]
    torch.testing.assert_close(torch.cat([each.pred_presence for each in together]), seen[0].sigmoid()[:4])
    assert len(seen[0]) == 4
    alone = model(**prepare(model, sample(TEXTS[1:])), mode='predict')[0]
    torch.testing.assert_close(alone.pred_presence, together[0].pred_presence[1:], rtol=1e-4, atol=1e-5)
    assert (alone.pred_presence[0] - alone.pred_presence[1]).abs() > 1e-4


def test_the_head_pools_over_places():
    head = PresenceHead(in_channels=2, sentence_channels=3)
    pixels, sentence = torch.randn(4, 2, 5, 6), torch.randn(4, 3)
    moved = pixels.flatten(2)[..., torch.randperm(30)].unflatten(2, (5, 6))
    torch.testing.assert_close(head(pixels, sentence), head(moved, sentence))
    assert head(pixels, sentence).shape == (4, )
    for changed in ((pixels.clone().index_fill_(2, torch.tensor([3]), 9.0), sentence), (pixels, sentence + 1)):
        assert (head(*changed) - head(pixels, sentence)).abs().min() > 1e-4


def test_its_loss_is_the_weighted_cross_entropy_of_all_ranks(monkeypatch):
    head = PresenceHead(in_channels=2, sentence_channels=3, loss_weight=0.5)
    logits = torch.tensor([2.0, -1.0, 0.0])
    present = torch.tensor([True, True, False])
    expected = 0.5 * (math.log1p(math.exp(-2)) + math.log1p(math.exp(1)) + math.log(2)) / 3
    assert head.loss(logits, present).item() == pytest.approx(expected, rel=1e-6)
    # The ranks hold five rows on average: DDP's mean of gradients is then one over all rows.
    monkeypatch.setattr('mmpartref.models.losses.mean_over_ranks.all_reduce', lambda rows, op: rows.fill_(5.0))
    assert head.loss(logits, present).item() == pytest.approx(expected * 3 / 5, rel=1e-6)


def test_training_gives_the_head_its_targets(build):
    model = build(head=True).train()
    seen = []
    head = model.decode_head.presence_head
    head.loss = lambda logits, present: seen.append(present) or PresenceHead.loss(head, logits, present)
    losses = model(**prepare(model, sample(TEXTS, absent=(1, )), sample(TEXTS[:2], absent=(0, 1)), training=True),
                   mode='loss')
    assert seen[0].tolist() == [True, False, True, False, False]
    assert set(losses) == {'loss_text_to_pixel', 'loss_presence', 'train_mIoU'}
    total, logged = model.parse_losses(losses)
    assert total.item() == pytest.approx((losses['loss_text_to_pixel'] + losses['loss_presence']).item())
    total.backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    assert 'loss_presence' in logged


def test_a_head_is_not_trained_blindly(build):
    model = build(head=True)
    bare = sample(TEXTS)
    del bare.refs
    with pytest.raises(ValueError, match=r"image image.jpg has no refs.*train it on a PartReferDataset"):
        model(**prepare(model, bare, training=True), mode='loss')
    plain = build()
    assert set(plain(**prepare(plain, bare, training=True), mode='loss')) == {'loss_text_to_pixel', 'train_mIoU'}


def test_the_loss_of_an_empty_target_pushes_every_pixel_down(build, monkeypatch):
    model = build()
    logits = torch.randn(1, 1, 16, 16, requires_grad=True)
    monkeypatch.setattr(model, 'encode_decode', lambda *args: logits)
    loss = model(**prepare(model, sample(TEXTS[:1], absent=(0, )), training=True), mode='loss')['loss_text_to_pixel']
    assert loss.item() == pytest.approx(torch.nn.functional.softplus(logits).mean().item(), rel=1e-5)
    loss.backward()
    assert (logits.grad > 0).all()


@pytest.mark.parametrize(('value', 'expected'), [(-9.0, (0 + 1) / 2), (9.0, (1 + 0) / 2)])
def test_the_logged_iou_of_nothing_with_nothing_is_one(build, monkeypatch, value, expected):
    """Of a whole image and of an absent part: predicting nothing misses the one, everything the other."""
    model = build()
    monkeypatch.setattr(model, 'encode_decode', lambda *args: torch.full((2, 1, 16, 16), value))
    losses = model(**prepare(model, sample(TEXTS[:2], absent=(1, )), training=True), mode='loss')
    assert losses['train_mIoU'].item() == expected


def test_channels_of_the_head_are_filled_in(build):
    head = build(head=True).decode_head.presence_head
    assert head.classifier[0].weight.shape == (16, 2 * 16 + 40)
    assert head.loss_weight == 0.1

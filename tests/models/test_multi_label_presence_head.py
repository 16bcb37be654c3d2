"""Which parts an image shows: targets, losses, gradients, and no trace without the head."""
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmpartref.models.decode_heads import MultiLabelPresenceHead
from mmpartref.models.losses import AsymmetricLoss
from mmpartref.models.segmentors import ReferringSegmentor
from mmpartref.registry import MODELS
from mmpartref.structures import ReferringDataSample

LABELS = ['car tire', 'car body', 'bird head']


@pytest.fixture
def build(tiny_model_cfg) -> Callable[..., ReferringSegmentor]:
    def build_model(**head) -> ReferringSegmentor:
        torch.manual_seed(0)
        more = {'auxiliary_head': {'type': 'MultiLabelPresenceHead', **head}} if head else {}
        return MODELS.build({**tiny_model_cfg, **more})
    return build_model


def sample(presence: dict[str, bool] | None, count: int = 2) -> ReferringDataSample:
    out = ReferringDataSample(
        metainfo={'img_path': 'image.jpg', 'ori_shape': (64, 64), 'img_shape': (64, 64),
                  'letterbox_matrix': np.eye(2, 3)})
    out.expressions = ['car tire', 'bird head'][:count]
    out.refs = [{}] * count
    out.gt_masks = torch.full((count, 64, 64), 255, dtype=torch.uint8)
    if presence is not None:
        out.part_presence = presence
    return out


def prepare(model: ReferringSegmentor, *samples: ReferringDataSample, training: bool = True) -> dict:
    torch.manual_seed(1)
    images = [torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8) for _ in samples]
    return model.data_preprocessor({'inputs': images, 'data_samples': list(samples)}, training)


def test_no_focusing_and_no_margin_is_cross_entropy():
    logits, target = torch.randn(50, 3) * 20, torch.rand(50, 3) > .7
    expected = F.binary_cross_entropy_with_logits(logits, target.float(), reduction='none')
    torch.testing.assert_close(AsymmetricLoss(0, 0, 0)(logits, target), expected)


def test_the_asymmetric_loss_is_the_papers_and_its_gradients_are_finite():
    logits = torch.tensor([-200., -3, -1, 0, 2, 200], dtype=torch.float32, requires_grad=True)
    loss = AsymmetricLoss(gamma_neg=4, gamma_pos=1, margin=.05)
    probability = logits.detach().double().sigmoid()
    shifted = (probability - .05).clamp(min=0)
    there, absent = (loss(logits, torch.full((6, ), value)) for value in (True, False))
    tolerance = {'atol': 1e-6, 'rtol': 1e-4}
    torch.testing.assert_close(absent.double(), -shifted**4 * torch.log(1 - shifted), **tolerance)
    torch.testing.assert_close(there[1:].double(), -((1 - probability) * torch.log(probability))[1:], **tolerance)
    (there.sum() + absent.sum()).backward()
    assert logits.grad.isfinite().all()
    assert absent[1] == 0  # below the margin
    assert absent[3] < F.softplus(torch.tensor(0.))


@pytest.mark.parametrize('settings', [{'gamma_neg': .5}, {'gamma_pos': -1}, {'margin': 1}, {'margin': -.1}])
def test_losses_out_of_range_are_rejected(settings):
    with pytest.raises(ValueError, match='AsymmetricLoss'):
        AsymmetricLoss(**settings)


def test_unknown_labels_are_ignored_in_the_mean_loss():
    head = MultiLabelPresenceHead(in_channels=4, labels=LABELS, loss={'type': 'AsymmetricLoss', 'gamma_neg': 0,
                                                                      'margin': 0}, loss_weight=.5)
    logits = torch.randn(2, 3)
    samples = [sample({'car tire': True, 'car body': False, 'boat sail': True}), sample({'bird head': True})]
    present, known = head.targets(samples, torch.device('cpu'))
    assert present.tolist() == [[True, False, False], [False, False, True]]
    assert known.tolist() == [[True, True, False], [False, False, True]]
    expected = .5 * F.binary_cross_entropy_with_logits(logits[known], torch.tensor([1., 0, 1]))
    torch.testing.assert_close(head.loss(logits, samples), expected)
    assert head.loss(logits, [sample({}), sample({})]) == 0
    with pytest.raises(ValueError, match=r'set entries=dict\(labels=dict\(\)\) on the dataset'):
        head.loss(logits, [sample(None), sample({})])


def test_every_parameter_gets_a_gradient_also_where_nothing_is_known(build):
    """What DDP without find_unused_parameters needs."""
    model = build(labels=LABELS).train()
    for presence in ({'car tire': True, 'bird head': False}, {}):
        model.zero_grad()
        losses = model(**prepare(model, sample(presence), sample(presence)), mode='loss')
        loss, log = model.parse_losses(losses)
        loss.backward()
        assert (log['loss_image_labels'] > 0) == bool(presence)
        assert [name for name, value in model.named_parameters() if value.requires_grad and value.grad is None] == []
        # The encoder learns from it.
        assert model.auxiliary_head.classifier.weight.grad.abs().sum() > 0 or not presence


def test_the_label_loss_reaches_the_image_encoder_and_not_the_text(build):
    model = build(labels=LABELS).train()
    losses = model(**prepare(model, sample({'car tire': True, 'bird head': False}), sample({'car body': True})),
                   mode='loss')
    losses['loss_image_labels'].backward()
    reached = {name.split('.')[0] for name, value in model.named_parameters()
               if value.grad is not None and value.grad.abs().sum() > 0}
    assert reached == {'backbone', 'auxiliary_head'}


def test_it_changes_no_masks_or_other_weights_and_predicts_only_on_request(build):
    plain, silent, predicting = build(), build(labels=LABELS), build(labels=LABELS, in_evaluation=True)
    assert set(silent.state_dict()) - set(plain.state_dict()) == {
        'auxiliary_head.classifier.weight', 'auxiliary_head.classifier.bias'}
    state = {**predicting.state_dict(), **plain.state_dict()}
    for model in (silent, predicting):
        model.load_state_dict(state)
    logits, found = [], []
    for model in (plain, silent, predicting):
        batch = prepare(model.eval(), sample(None), sample(None, 1), training=False)
        with torch.no_grad():
            logits.append(model(**batch, mode='tensor'))
        found.append(model(**batch, mode='predict'))
    for other in logits[1:]:
        torch.testing.assert_close(other, logits[0], rtol=1e-4, atol=1e-5)
    assert 'pred_part_presence' not in found[1][0]
    first, second = found[2]
    assert list(first.pred_part_presence) == LABELS
    assert first.pred_part_presence != second.pred_part_presence
    assert all(0 < value < 1 for value in first.pred_part_presence.values())


def test_images_of_two_sizes_get_separate_predictions(build):
    model = build(labels=LABELS, in_evaluation=True).eval()
    samples = [sample(None) for _ in range(3)]
    torch.manual_seed(2)
    images = [torch.randint(0, 256, (3, side, 64), dtype=torch.uint8) for side in (64, 96, 64)]
    together = model(**model.data_preprocessor({'inputs': images, 'data_samples': samples}), mode='predict')
    for image, one in zip(images, together, strict=True):
        alone = model(**model.data_preprocessor({'inputs': [image], 'data_samples': [sample(None)]}), mode='predict')[0]
        assert one.pred_part_presence == pytest.approx(alone.pred_part_presence, rel=1e-4)


def test_partimagenets_labels_and_names_that_are_not_labels():
    head = MultiLabelPresenceHead(in_channels=4, labels='partimagenet')
    assert len(head.labels) == 40
    assert {'car tire', 'bicycle tire', 'quadruped head'} <= set(head.labels)
    for labels in (None, [], 'car tire', ['a', 'a']):
        with pytest.raises(ValueError, match="should be 'partimagenet' or a list of labels, each once"):
            MultiLabelPresenceHead(in_channels=4, labels=labels)

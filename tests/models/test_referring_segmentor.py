import copy
import pickle

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope

from mmpartref.models.segmentors import ReferringSegmentor
from mmpartref.registry import MODELS
from mmpartref.structures import ReferringDataSample

TEXTS = ['quadruped head', 'car tire', 'bird wing']


def build(cfg: dict) -> ReferringSegmentor:
    model = MODELS.build(cfg)
    # Random running statistics, so that nothing hides behind the identity that a fresh BatchNorm is.
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    return model


def sample(expressions: list[str], size: tuple[int, int] = (64, 64), masks: bool = False) -> ReferringDataSample:
    out = ReferringDataSample(
        metainfo={
            'img_id': 1,
            'img_path': 'image.jpg',
            'ori_shape': (50, 70),
            'img_shape': size,
            'letterbox_matrix': np.array([[size[1] / 70, 0, 0], [0, size[0] / 50, 0]])
        })
    out.expressions = expressions
    if masks:
        out.gt_masks = (torch.rand(len(expressions), *size) > 0.5).to(torch.uint8) * 255
    return out


def prepare(model: ReferringSegmentor, images: list, samples: list, training: bool = False) -> dict:
    return model.data_preprocessor({'inputs': images, 'data_samples': samples}, training)


def test_logits_are_a_quarter_of_the_input_for_odd_and_oblong_sizes(tiny_model_cfg):
    model = build(tiny_model_cfg).eval()
    tokens = model.text_encoder.tokenizer(TEXTS)
    for height, width in ((64, 64), (100, 60), (33, 47), (32, 96)):
        logits = model.encode_decode(torch.randn(1, 3, height, width), tokens, torch.zeros(3, dtype=torch.long))
        assert logits.shape == (3, 1, -(-height // 4), -(-width // 4))
        assert torch.isfinite(logits).all()


@pytest.mark.parametrize('low_resolution', [True, False])
def test_logits_of_half_the_input(tiny_model_cfg, low_resolution):
    tiny_model_cfg['decode_head'].update(logit_stride=2, low_resolution=low_resolution)
    torch.manual_seed(0)
    model = build(tiny_model_cfg).eval()
    samples = [sample(TEXTS[:2], (33, 47), masks=True), sample(TEXTS[2:], (33, 47), masks=True)]
    images = [torch.randint(0, 256, (3, 33, 47), dtype=torch.uint8) for _ in samples]
    data = prepare(model, images, samples)
    logits = model(**data, mode='tensor')
    assert logits.shape == (3, 1, 17, 24)
    one = prepare(model, images[1:], samples[1:])
    torch.testing.assert_close(model(**one, mode='tensor'), logits[2:], rtol=0, atol=1e-5)
    for each in model(**data, mode='predict'):
        assert len(each.pred_masks) == len(each.expressions)
    model.train()
    losses = model(**prepare(model, images, samples, training=True), mode='loss')
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    tiny_model_cfg['decode_head']['logit_stride'] = 3
    with pytest.raises(ValueError, match='logit_stride=3 of VisionLanguageDecodeHead should be one of'):
        MODELS.build(tiny_model_cfg)


def test_both_projections_agree_at_half_the_input(tiny_model_cfg):
    tiny_model_cfg['decode_head']['logit_stride'] = 2
    model = build(tiny_model_cfg).eval()
    tokens, images = model.text_encoder.tokenizer(TEXTS), torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        fast = model.encode_decode(images, tokens, torch.zeros(3, dtype=torch.long))
        model.decode_head.projector.low_resolution = False
        slow = model.encode_decode(images, tokens, torch.zeros(3, dtype=torch.long))
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-4)


@pytest.mark.parametrize('laterals', [1, 2])
def test_lateral_maps_reach_the_logits_of_their_own_image(tiny_model_cfg, laterals):
    tiny_model_cfg['decode_head']['laterals'] = laterals
    tiny_model_cfg['backbone'] = {'type': 'EfficientNetLite', 'out_indices': (0, 1, 2, 3)}
    del tiny_model_cfg['neck']['in_channels']
    model = build(tiny_model_cfg).eval()
    images, tokens = torch.randn(2, 3, 33, 47), model.text_encoder.tokenizer(TEXTS)
    index = torch.tensor([1, 0, 1])
    with torch.no_grad():
        logits = model.encode_decode(images, tokens, index)
        assert logits.shape == (3, 1, 9, 12)
        for row in range(3):
            alone = model.encode_decode(images[index[row]][None], tokens[row:row + 1], torch.tensor([0]))
            torch.testing.assert_close(logits[row:row + 1], alone, rtol=1e-4, atol=1e-4)
        # The detail is that of the finest lateral map: without it the logits change.
        weight = (model.decode_head.projector.conv1, model.decode_head.projector.conv2)[laterals - 1][0].weight
        weight[:, -model.backbone.out_channels[-2 - laterals]:] = 0
        assert (model.encode_decode(images, tokens, index) - logits).abs().max() > 1e-3


@pytest.mark.parametrize(('laterals', 'message'), [
    (2, 'laterals=2 of VisionLanguageDecodeHead needs 4 maps of the image encoder, which has 3: use a backbone'),
    (3, r'laterals=3 of VisionLanguageDecodeHead should be 0, 1 \(C3\) or 2'),
    ('1', "laterals='1' of VisionLanguageDecodeHead should be 0"),
    (True, 'laterals=True of VisionLanguageDecodeHead should be 0'),
])
def test_lateral_maps_that_the_backbone_lacks(tiny_model_cfg, laterals, message):
    tiny_model_cfg['decode_head']['laterals'] = laterals
    with pytest.raises(ValueError, match=message):
        MODELS.build(tiny_model_cfg)


def test_grouped_form_gives_the_logits_of_the_one_by_one_form(tiny_model_cfg):
    model = build(tiny_model_cfg).eval()
    images = torch.randn(2, 3, 64, 96)
    tokens = model.text_encoder.tokenizer([TEXTS[0], TEXTS[1], TEXTS[0], TEXTS[2]])
    image_index = torch.tensor([0, 0, 1, 1])
    grouped = model.encode_decode(images, tokens, image_index)
    for row in range(4):
        alone = model.encode_decode(images[image_index[row]][None], tokens[row:row + 1], torch.tensor([0]))
        torch.testing.assert_close(grouped[row:row + 1], alone, rtol=1e-4, atol=1e-5)
    assert (grouped[0] - grouped[1]).abs().max() > 1e-3  # the words decide


@pytest.mark.parametrize('train', [False, True])
def test_grouped_form_gives_the_loss_and_gradients_of_the_one_by_one_form(tiny_model_cfg, train):
    """In training mode too: with equally many expressions per image, repeating images changes no statistic."""
    grouped = build(tiny_model_cfg).double()
    single = copy.deepcopy(grouped)
    images = [torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8) for _ in range(2)]
    samples = [sample(TEXTS[:2], masks=True), sample([TEXTS[0], TEXTS[2]], masks=True)]
    pairs = [(image, row) for image in range(2) for row in range(2)]
    single_samples = []
    for image, row in pairs:
        each = sample([samples[image].expressions[row]])
        each.gt_masks = samples[image].gt_masks[row:row + 1]
        single_samples.append(each)
    losses = []
    for model, items, labels in ((grouped, images, samples), (single, [images[p] for p, _ in pairs], single_samples)):
        model.train(train)
        loss = model(**double_inputs(prepare(model, items, labels, True)), mode='loss')['loss_text_to_pixel']
        loss.backward()
        losses.append(loss.detach())
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-6, atol=0)
    for (name, one), (_, other) in zip(grouped.named_parameters(), single.named_parameters(), strict=True):
        assert one.grad is not None, name
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: name + text)


def double_inputs(batch: dict) -> dict:
    # BatchNorm over few pixels is steep; double precision makes rounding negligible in the comparison of gradients.
    for each in batch['data_samples']:
        each.gt_masks = each.gt_masks.double()
    return {**batch, 'inputs': batch['inputs'].double()}


def encode(model: ReferringSegmentor, images: torch.Tensor) -> torch.Tensor:
    tokens = model.text_encoder.tokenizer([*TEXTS, TEXTS[0]])
    return model.encode_decode(images, tokens, torch.tensor([0, 0, 1, 1]))


@torch.no_grad()
def test_channels_last_changes_nothing(tiny_model_cfg):
    model = build(tiny_model_cfg).eval()
    images = torch.randn(2, 3, 64, 96)
    expected = encode(model, images)
    model.channels_last = True
    seen = []
    model.neck.c3_conv.register_forward_hook(lambda module, inputs, output: seen.append(
        inputs[0].is_contiguous(memory_format=torch.channels_last)))
    torch.testing.assert_close(encode(model, images), expected, rtol=1e-4, atol=1e-5)
    assert seen == [True]


def test_mixed_precision_changes_predictions_by_rounding(tiny_model_cfg):
    model = build({**tiny_model_cfg, 'decode': 'aligned'}).eval()
    image = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
    seen, found = [], []
    model.decode_head.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    for amp in (False, True):
        model.amp = amp
        found += model(**prepare(model, [image], [sample(TEXTS)]), mode='predict')
    plain, mixed = found
    assert seen == [torch.float32, torch.bfloat16]
    assert mixed.pred_probabilities.dtype == torch.float32
    torch.testing.assert_close(mixed.pred_probabilities, plain.pred_probabilities, rtol=0, atol=0.03)
    assert not torch.equal(mixed.pred_probabilities, plain.pred_probabilities)
    assert (mixed.pred_masks == plain.pred_masks).float().mean() > 0.9


@pytest.mark.slow
def test_the_compiled_network_trains_and_predicts_like_the_plain_one(tiny_model_cfg):
    """Traced by torch.compile, without its C++ compiler; with a presence head."""
    tiny_model_cfg['decode_head'].update(num_layers=1, presence_head={'type': 'PresenceHead'})
    plain = build(tiny_model_cfg)
    compiled = MODELS.build({**tiny_model_cfg, 'compile': {'backend': 'eager'}})
    compiled.load_state_dict(plain.state_dict())
    images = [torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8) for _ in range(2)]
    samples = [sample(TEXTS, masks=True), sample(TEXTS[:1], masks=True)]
    for each in samples:
        each.refs = [{}] * len(each.expressions)
    found = []
    for model in (plain, compiled):
        losses = model.train()(**prepare(model, images, samples, True), mode='loss')
        sum(losses[name] for name in ('loss_text_to_pixel', 'loss_presence')).backward()
        batch = prepare(model.eval(), images, samples)
        presence = torch.cat([each.pred_presence for each in model(**batch, mode='predict')])
        with torch.no_grad():
            logits = model(**batch, mode='tensor')
        found.append([losses['loss_text_to_pixel'].detach(), losses['loss_presence'].detach(), presence, logits,
                      *(each.grad for each in model.parameters())])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
@torch.no_grad()
def test_copies_of_a_compiled_model_use_their_own_weights(tiny_model_cfg):
    model = MODELS.build({**tiny_model_cfg, 'compile': {'backend': 'eager'}}).eval()
    images = torch.randn(2, 3, 64, 64)
    copies = copy.deepcopy(model), pickle.loads(pickle.dumps(model))
    expected = encode(model, images)
    for weight in model.parameters():
        torch.nn.init.zeros_(weight)
    assert (encode(model, images) - expected).abs().max() > 0.01
    for each in copies:
        torch.testing.assert_close(encode(each, images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('rows', [1, 3, 4])
def test_filled_up_rows_leave_no_trace_and_few_shapes(tiny_model_cfg, rows):
    model = build(tiny_model_cfg).eval()
    seen = []
    model.neck.register_forward_hook(lambda module, inputs, output: seen.append([len(each) for each in inputs[1:]]))
    images, tokens = torch.randn(2, 3, 64, 64), model.text_encoder.tokenizer((TEXTS * rows)[:rows])
    index = torch.arange(rows) % 2
    with torch.no_grad():
        expected = model.encode_decode(images, tokens, index)
        model.row_multiple = 4
        torch.testing.assert_close(model.encode_decode(images, tokens, index), expected, rtol=1e-4, atol=1e-5)
    assert seen[-1] == [4, 4, 4]
    model.train().encode_decode(images, tokens, index)
    assert seen[-1][1] == rows


def test_a_row_multiple_of_zero_is_rejected(tiny_model_cfg):
    with pytest.raises(ValueError, match='row_multiple=0 should be at least 1'):
        MODELS.build({**tiny_model_cfg, 'row_multiple': 0})


def test_every_parameter_gets_a_gradient(tiny_model_cfg):
    model = build(tiny_model_cfg).train()
    batch = prepare(model, [torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)], [sample(TEXTS, masks=True)], True)
    model(**batch, mode='loss')['loss_text_to_pixel'].backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_one_image_with_one_expression_trains(tiny_model_cfg):
    model = build(tiny_model_cfg).train()
    batch = prepare(model, [torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)], [sample(TEXTS[:1], masks=True)],
                    True)
    loss = model(**batch, mode='loss')['loss_text_to_pixel']
    loss.backward()
    assert torch.isfinite(loss)


def test_the_text_encoder_sees_each_distinct_string_once_and_the_backbone_each_image(tiny_model_cfg):
    model = build(tiny_model_cfg).eval()
    seen = {}
    model.text_encoder.register_forward_hook(
        lambda module, args, output: seen.setdefault('strings', []).append(len(args[0])))
    model.backbone.register_forward_hook(
        lambda module, args, output: seen.setdefault('images', []).append(len(args[0])))
    samples = [sample([TEXTS[0], TEXTS[1], TEXTS[0]]), sample([TEXTS[1], TEXTS[1]])]
    batch = prepare(model, [torch.zeros(3, 64, 64, dtype=torch.uint8)] * 2, samples)
    model(**batch, mode='tensor')
    assert seen == {'strings': [2], 'images': [2]}

    seen.clear()  # the same through rows of tokens, without a text index
    tokens = model.text_encoder.tokenizer([TEXTS[0], TEXTS[1], TEXTS[0]])
    model.encode_decode(torch.zeros(1, 3, 64, 64), tokens, torch.zeros(3, dtype=torch.long))
    assert seen == {'strings': [2], 'images': [1]}


def test_an_images_masks_do_not_depend_on_what_shares_its_batch(tiny_model_cfg):
    model = build(tiny_model_cfg).eval()
    images = [torch.randint(0, 256, (3, *size), dtype=torch.uint8) for size in ((64, 64), (64, 64), (96, 40))]
    sizes = [(64, 64), (64, 64), (96, 40)]
    texts = [TEXTS, TEXTS[1:], [TEXTS[2], TEXTS[0]]]

    def predict(chosen: list[int]) -> dict[int, ReferringDataSample]:
        samples = [sample(texts[i], sizes[i]) for i in chosen]
        predicted = model(**prepare(model, [images[i] for i in chosen], samples), mode='predict')
        return dict(zip(chosen, predicted, strict=True))

    together = predict([2, 0, 1])
    for image in range(3):
        alone = predict([image])[image]
        # Rounding may move only pixels on the threshold.
        assert (alone.pred_masks != together[image].pred_masks).float().mean() < 1e-3
        torch.testing.assert_close(alone.pred_scores, together[image].pred_scores, rtol=1e-3, atol=1e-3)
        assert alone.pred_masks.shape == (len(texts[image]), 50, 70)
        assert alone.pred_masks.dtype == torch.bool


def test_images_of_two_sizes_train_together(tiny_model_cfg):
    model = build(tiny_model_cfg).train()
    images = [torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8), torch.zeros(3, 40, 72, dtype=torch.uint8)]
    samples = [sample(TEXTS, masks=True), sample(TEXTS[:1], (40, 72), masks=True)]
    batch = prepare(model, images, samples, True)
    assert batch['inputs'].shape == (2, 3, 64, 72)
    assert torch.isfinite(model(**batch, mode='loss')['loss_text_to_pixel'])


def test_an_image_without_expressions_is_rejected(tiny_model_cfg):
    model = build(tiny_model_cfg)
    with pytest.raises(ValueError, match=r'image.jpg.*has no expression'):
        prepare(model, [torch.zeros(3, 64, 64, dtype=torch.uint8)], [sample([])])
    with pytest.raises(ValueError, match='no expression'):
        model.encode_decode(
            torch.zeros(1, 3, 64, 64), torch.zeros(0, 17, dtype=torch.long), torch.zeros(0, dtype=torch.long))


@pytest.mark.parametrize(('part', 'key', 'value', 'message'), [
    ('neck', 'in_channels', (64, 128, 32), r'backbone.out_channels is \(64, 128, 24\) but neck.in_channels'),
    ('neck', 'sentence_channels', 24, 'text_encoder.sentence_channels is 40 but neck.sentence_channels is 24'),
    ('decode_head', 'word_channels', 24, 'text_encoder.word_channels is 16 but decode_head.word_channels is 24'),
    ('decode_head', 'sentence_channels', 24, 'but decode_head.sentence_channels is 24'),
    ('decode_head', 'in_channels', 32, 'neck.out_channels is 16 but decode_head.in_channels is 32'),
])
def test_channels_that_do_not_fit_are_reported_with_both_values(tiny_model_cfg, part, key, value, message):
    tiny_model_cfg[part][key] = value
    with pytest.raises(ValueError, match=message):
        MODELS.build(tiny_model_cfg)


def test_an_unknown_decode_is_rejected(tiny_model_cfg):
    with pytest.raises(ValueError, match=r"decode='exact' is unknown; choose one of \['aligned', 'cris'\]"):
        MODELS.build({**tiny_model_cfg, 'decode': 'exact'})


def test_parts_are_found_by_scope(tiny_model_cfg):
    from mmengine.registry import MODELS as ROOT
    with DefaultScope.overwrite_default_scope('mmpartref'):
        assert ROOT.get('mmpartref.CRISNeck') is MODELS.get('CRISNeck')


def test_the_threshold_defaults_to_the_decodes(tiny_model_cfg):
    image = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
    areas = []
    for threshold in (None, 0.35, 0.999):
        torch.manual_seed(0)
        model = build({**tiny_model_cfg, 'threshold': threshold}).eval()
        areas.append(int(model(**prepare(model, [image], [sample(TEXTS)]), mode='predict')[0].pred_masks.sum()))
    # Rounding may move pixels on the threshold.
    assert areas[0] == pytest.approx(areas[1], rel=1e-3)
    assert areas[1] > 1.1 * areas[2]
    assert MODELS.build(tiny_model_cfg).decode.threshold == 0.35
    with pytest.raises(ValueError, match=r'threshold=1\.5 should be a probability'):
        MODELS.build({**tiny_model_cfg, 'threshold': 1.5})

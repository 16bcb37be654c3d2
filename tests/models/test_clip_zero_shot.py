import pytest
import torch

from mmpartref.models.segmentors import CLIPZeroShotSegmentor
from mmpartref.models.segmentors.mask_decode import get_decode
from mmpartref.structures import ReferringDataSample

# By how much sums of values about 1 may differ in two forward passes.
ROUNDING = 1e-4


@pytest.fixture
def model(tiny_clip) -> CLIPZeroShotSegmentor:
    """A zero-shot segmentor around the tiny CLIP's towers; its embedding is random, so it competes warmly."""
    text = {'type': 'CLIPTextEncoder', 'width': 64, 'layers': 2, 'heads': 1, 'embed_channels': 24, 'word_length': 9,
            'context_length': 9}
    image = {'type': 'CLIPResNet', 'layers': (1, 1, 1, 1), 'width': 8, 'embed_channels': 24, 'num_heads': 4,
             'pretrain_grid': 2}
    if hasattr(tiny_clip.backbone, 'patch_size'):
        image = {'type': 'CLIPVisionTransformer', 'patch_size': 8, 'width': 64, 'layers': 3, 'num_heads': 1,
                 'embed_channels': 24, 'pretrain_grid': 4}
    built = CLIPZeroShotSegmentor(backbone=image, text_encoder=text, background=['sky', 'grass'], temperature=5.0,
                                  threshold=0.3)
    built.backbone.load_state_dict(tiny_clip.backbone.state_dict())
    built.text_encoder.load_state_dict(tiny_clip.text_encoder.state_dict())
    return built.eval()


def sample(expressions: list[str], size: tuple[int, int]) -> ReferringDataSample:
    made = ReferringDataSample(metainfo={'ori_shape': size, 'img_shape': (64, 96), 'img_id': 1,
                                         'letterbox_matrix': [[96 / size[1], 0, 0], [0, 64 / size[0], 0]]})
    made.expressions = expressions
    return made


@torch.no_grad()
def test_places_compete_between_expression_and_background(model):
    images = torch.randn(2, 3, 64, 96)
    probs = model.probabilities(images, ['car tire', 'bird wing', 'sky'], torch.tensor([0, 1, 1]))
    assert probs.shape[0] == 3
    assert 0 < probs.min() < probs.max() < 1
    dense = model.backbone.dense(images)
    place = dense[1, :, 0, 1] / dense[1, :, 0, 1].norm()
    words = model.embed_texts(['bird wing', 'sky', 'grass'])
    expected = (5 * words @ place).softmax(0)[0]
    torch.testing.assert_close(probs[1, 0, 1], expected, rtol=1e-4, atol=1e-5)
    # Against itself among the background an expression wins half at most.
    assert probs[2].max() <= 0.5


@torch.no_grad()
def test_dense_features_stay_where_they_are(model):
    """Without attention, a change in one corner leaves the values of the far corner's places as they were."""
    pool = getattr(model.backbone, 'attnpool', None)
    if pool is not None:
        maps = torch.randn(1, 256, 3, 4)
        changed = maps.clone()
        changed[..., 0, 0] += 1
        moved = (pool.values(changed) - pool.values(maps)).abs().sum(dim=1)[0]
        assert moved[0, 0] > 0.1
        assert moved.flatten()[1:].max() < ROUNDING
    else:
        block = model.backbone.transformer.resblocks[-1]
        tokens = torch.randn(1, 5, 64)
        changed = tokens.clone()
        changed[:, 0] += torch.linspace(-1, 1, 64)
        moved = (block(changed, self_only=True) - block(tokens, self_only=True)).abs().sum(dim=2)[0]
        assert moved[0] > 0.1
        assert moved[1:].max() < ROUNDING
        # A token alone attends to itself with weight one.
        torch.testing.assert_close(block(tokens[:, :1], self_only=True), block(tokens[:, :1]), rtol=1e-4, atol=1e-5)


def test_predictions_have_the_images_size_and_do_not_depend_on_the_batch(model):
    images = torch.randn(2, 3, 64, 96)
    samples = [sample(['car tire', 'bird wing'], (32, 48)), sample(['car body'], (50, 75))]
    model.keep_candidates = True
    # Where random weights put their probabilities is anybody's guess: cut in the middle of them.
    with torch.no_grad():
        probs = model.probabilities(images, ['car tire', 'bird wing'], torch.tensor([0, 0]))
    model.decode = get_decode('aligned', probs.median().item())
    found = model(images, samples, mode='predict', tokens=None)
    assert [each.pred_masks.shape for each in found] == [(2, 32, 48), (1, 50, 75)]
    assert found[0].pred_masks.dtype == torch.bool
    assert 0 < found[0].pred_masks.float().mean() < 1
    assert len(found[0].pred_candidates) == 2
    torch.testing.assert_close(found[0].pred_presence, probs.amax(dim=(1, 2)))
    alone = model(images[:1], [sample(['bird wing'], (32, 48))], mode='predict')[0]
    # Another batch rounds otherwise, which may move pixels across the threshold.
    assert (alone.pred_masks[0] != found[0].pred_masks[1]).float().mean() < 0.01
    torch.testing.assert_close(alone.pred_presence[0], found[0].pred_presence[1], rtol=1e-4, atol=1e-5)


def test_the_background_is_encoded_once_until_the_text_encoder_changes(model, monkeypatch):
    images, index = torch.randn(1, 3, 64, 96), torch.tensor([0])
    tokenizer, encoded = model.text_encoder.tokenizer, []
    monkeypatch.setattr(model.text_encoder, 'tokenizer', lambda texts: encoded.extend(texts) or tokenizer(texts))

    def probabilities() -> tuple[torch.Tensor, int]:
        """Return the probabilities, and how often the background's first string was encoded."""
        encoded.clear()
        return model.probabilities(images, ['car tire'], index), encoded.count('a photo of sky.')

    with torch.no_grad():
        first, count = probabilities()
        assert count == 1
        again, count = probabilities()
        assert count == 0
        torch.testing.assert_close(again, first, rtol=1e-4, atol=1e-5)
        model.text_encoder.token_embedding.weight.add_(torch.randn(64))
        changed, count = probabilities()
        assert count == 1
        assert (changed - first).abs().max() > 1e-3
        model.background = ('sky', 'lake')
        assert probabilities()[1] == 1
        # An EMA swaps weights past the version counter and switches to evaluation then.
        model.text_encoder.token_embedding.weight.data.mul_(2)
        model.eval()
        assert probabilities()[1] == 1
    # With gradients nothing is cached.
    assert [probabilities()[1], probabilities()[1]] == [1, 1]


@torch.no_grad()
def test_one_background_serves_all_images_of_a_prediction(model, monkeypatch):
    tokenizer, encoded = model.text_encoder.tokenizer, []
    monkeypatch.setattr(model.text_encoder, 'tokenizer', lambda texts: encoded.extend(texts) or tokenizer(texts))
    for _ in range(2):
        model(torch.randn(2, 3, 64, 96), [sample(['car tire'], (32, 48)), sample(['car body'], (50, 75))],
              mode='predict')
    assert [encoded.count(f'a photo of {word}.') for word in ('sky', 'grass', 'car tire')] == [1, 1, 2]


def test_it_does_not_train_and_rejects_wrong_settings(model):
    with pytest.raises(TypeError, match="got 'loss'"):
        model(torch.zeros(1, 3, 32, 32), [], mode='loss')
    kinds = {'backbone': {'type': 'CLIPResNet', 'layers': (1, 1, 1, 1), 'width': 8, 'embed_channels': 24,
                          'num_heads': 4}, 'text_encoder': {'type': 'CLIPTextEncoder', 'width': 64, 'layers': 1,
                                                            'embed_channels': 24}}
    with pytest.raises(ValueError, match='at least one prompt and one background'):
        CLIPZeroShotSegmentor(**kinds, background=())
    kinds['text_encoder']['embed_channels'] = 32
    with pytest.raises(ValueError, match='they have to be equal'):
        CLIPZeroShotSegmentor(**kinds)

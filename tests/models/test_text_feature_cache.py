import pickle

import torch
from torch import nn

from mmpartref.models.segmentors.text_feature_cache import TextFeatureCache
from mmpartref.registry import MODELS


class Counting(nn.Module):
    """Replaces a text encoder; records its rows. Its features are small whole numbers, which are exact."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.register_buffer('shift', torch.zeros(1))
        self.rows: list[list[int]] = []

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.rows += tokens.tolist()
        words = tokens[..., None] * self.weight + self.shift
        return words, words.sum(dim=1)


TOKENS = torch.tensor([[1, 2], [3, 4], [5, 6]])


@torch.no_grad()
def test_each_string_is_encoded_once_and_comes_back_in_place():
    encoder, cache = Counting(), TextFeatureCache()
    cache.encode(encoder, TOKENS[:2])
    words, sentence = cache.encode(encoder, TOKENS[[2, 0, 1]])
    assert encoder.rows == [[1, 2], [3, 4], [5, 6]]
    expected = encoder(TOKENS[[2, 0, 1]])
    assert torch.equal(words, expected[0])
    assert torch.equal(sentence, expected[1])
    assert cache.encoded == 3


@torch.no_grad()
def test_features_are_made_again_when_a_weight_changes():
    encoder, cache = Counting(), TextFeatureCache()
    changes = {
        'written': lambda: encoder.weight.mul_(2),
        'loaded': lambda: encoder.load_state_dict({'weight': torch.full((3, ), 5.), 'shift': torch.zeros(1)}),
        'a buffer': lambda: encoder.shift.add_(1),
        'replaced': lambda: setattr(encoder, 'weight', nn.Parameter(torch.full((3, ), 7.))),
        'another precision': lambda: encoder.double(),
    }
    for name, change in changes.items():
        cache.encode(encoder, TOKENS)
        change()
        assert torch.equal(cache.encode(encoder, TOKENS)[0], encoder(TOKENS)[0]), name
    with torch.autocast('cpu', dtype=torch.bfloat16):
        count = len(encoder.rows)
        cache.encode(encoder, TOKENS)
        assert len(encoder.rows) == count + 3


@torch.no_grad()
def test_it_forgets_the_longest_unused_first():
    encoder, cache = Counting(), TextFeatureCache(max_strings=2)
    for row in (0, 1, 0, 2):
        cache.encode(encoder, TOKENS[[row]])
    encoder.rows.clear()
    cache.encode(encoder, TOKENS[[0]])
    assert encoder.rows == []
    cache.encode(encoder, TOKENS[[1]])
    assert encoder.rows == [[3, 4]]
    # More strings than it caches still get all features.
    assert torch.equal(cache.encode(encoder, TOKENS)[0], encoder(TOKENS)[0])


def test_weights_made_in_inference_mode_are_not_trusted():
    with torch.inference_mode():
        encoder, cache = Counting(), TextFeatureCache()
        cache.encode(encoder, TOKENS)
        encoder.weight.mul_(2)
        assert torch.equal(cache.encode(encoder, TOKENS)[0], encoder(TOKENS)[0])


class Lookup(nn.Module):
    """Replaces a text encoder with neither parameters nor buffers."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.rows: list[list[int]] = []

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.rows += tokens.tolist()
        words = tokens[..., None] * torch.full((3, ), float(self.factor))
        return words, words.sum(dim=1)


@torch.no_grad()
def test_an_encoder_without_parameters_is_cached():
    first, second, cache = Lookup(2), Lookup(3), TextFeatureCache()
    for encoder in (first, first, second):
        words, sentence = cache.encode(encoder, TOKENS)
        assert torch.equal(words, TOKENS[..., None] * torch.full((3, ), float(encoder.factor)))
        assert torch.equal(sentence, words.sum(dim=1))
    assert first.rows == second.rows == TOKENS.tolist()


def test_the_segmentor_caches_text_in_evaluation_only(tiny_model_cfg):
    model = MODELS.build(tiny_model_cfg).eval()
    images = torch.randn(1, 3, 64, 64)
    tokens = model.text_encoder.tokenizer(['a tire', 'a body'])
    index = torch.zeros(2, dtype=torch.long)
    with torch.no_grad():
        first = model.encode_decode(images, tokens, index)
        torch.testing.assert_close(model.encode_decode(images, tokens, index), first, rtol=1e-4, atol=1e-5)
    assert model.text_cache.encoded == 2
    # With gradients nothing is cached.
    model.encode_decode(images, tokens, index).sum().backward()
    assert model.text_encoder.text_projection.grad.abs().sum() > 0
    # An EMA writes past the version counter; training and evaluation take turns around it.
    with torch.no_grad():
        model.text_encoder.text_projection.data.mul_(3)
        changed = model.eval().encode_decode(images, tokens, index)
    assert (changed - first).abs().max() > 1e-3
    assert model.text_cache.encoded == 4
    tiny_model_cfg['cache_text'] = False
    plain = MODELS.build(tiny_model_cfg).eval()
    plain.load_state_dict(model.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(plain.encode_decode(images, tokens, index), changed, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_copy_starts_empty():
    encoder, cache = Counting(), TextFeatureCache()
    cache.encode(encoder, TOKENS)
    other = pickle.loads(pickle.dumps(cache))
    assert (other.max_strings, other.encoded) == (cache.max_strings, 3)
    assert len(pickle.dumps(cache)) < 500
    other.encode(encoder, TOKENS)
    assert encoder.rows == TOKENS.tolist() * 2

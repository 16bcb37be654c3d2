"""BatchFirstAttention computes what nn.MultiheadAttention computes, without copies of its weights."""
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from mmpartref.models.layers.batch_first_attention import BatchFirstAttention


class LargestOperand(TorchDispatchMode):
    """Remember the number of elements of the largest tensor that an operation reads."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.elements = max([self.elements, *(each.numel() for each in args if isinstance(each, torch.Tensor))])
        return func(*args, **(kwargs or {}))


def pair(word_channels=None):
    torch.manual_seed(0)
    ours = BatchFirstAttention(16, 4, word_channels=word_channels)
    for parameter in ours.parameters():
        nn.init.normal_(parameter, std=0.3)
    theirs = nn.MultiheadAttention(16, 4, kdim=word_channels, vdim=word_channels, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@pytest.mark.parametrize('same', ['all', 'query and key', 'key and value', 'none'])
@pytest.mark.parametrize('mask', ['none', 'bool', 'float'])
def test_attention_of_one_width(same, mask):
    ours, theirs = pair()
    first, second, third = torch.randn(3, 2, 5, 16)
    query, key, value = {'all': (first, first, first), 'query and key': (first, first, second),
                         'key and value': (first, second, second), 'none': (first, second, third)}[same]
    hidden = torch.ones(5, 5, dtype=torch.bool).triu(1)
    given = {'none': None, 'bool': hidden, 'float': torch.randn(5, 5)}[mask]
    wanted = theirs(query, key, value, need_weights=False, attn_mask=given)[0]
    torch.testing.assert_close(ours(query, key, value, attn_mask=given)[0], wanted, rtol=1e-4, atol=1e-5)


def test_attention_to_words_of_another_width_with_padding():
    ours, theirs = pair(word_channels=6)
    query, key, value = torch.randn(2, 7, 16), torch.randn(2, 5, 6), torch.randn(2, 5, 6)
    padding = torch.tensor([[False] * 5, [False, False, True, True, True]])
    wanted = theirs(query, key, value, padding, need_weights=False)[0]
    torch.testing.assert_close(ours(query, key, value, padding)[0], wanted, rtol=1e-4, atol=1e-5)


def test_dropout_is_of_the_training_only():
    attention = BatchFirstAttention(16, 4, dropout=0.5)
    x = torch.randn(1, 9, 16)
    assert not torch.equal(attention(x, x, x)[0], attention(x, x, x)[0])
    attention.eval()
    torch.testing.assert_close(attention(x, x, x)[0], attention(x, x, x)[0])


@pytest.mark.parametrize('word_channels', [None, 6])
@pytest.mark.parametrize('autocast', [False, True])
def test_weights_are_not_copied_for_each_position(word_channels, autocast):
    ours, theirs = (each.requires_grad_(False).eval() for each in pair(word_channels))
    query, words = torch.randn(2, 200, 16), torch.randn(2, 5, word_channels or 16)
    found = {}
    for name, layer in (('ours', ours), ('theirs', theirs)):
        with torch.no_grad(), torch.autocast('cpu', torch.bfloat16, enabled=autocast), LargestOperand() as seen:
            layer(query, words, words, need_weights=False)
        found[name] = seen.elements
    # At most the query's or result's elements, against 200 copies of 16 x 16.
    assert found['ours'] <= query.numel()
    assert found['theirs'] >= 200 * 16 * 16


def test_what_it_cannot_do_is_an_error():
    attention = BatchFirstAttention(8, 2)
    x = torch.zeros(1, 2, 8)
    hidden = torch.zeros(1, 2, dtype=torch.bool)
    with pytest.raises(ValueError, match='returns no weights'):
        attention(x, x, x, need_weights=True)
    with pytest.raises(ValueError, match='takes one mask'):
        attention(x, x, x, hidden, attn_mask=torch.zeros(2, 2))

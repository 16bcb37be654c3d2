"""UnfusedAttention computes what nn.MultiheadAttention computes."""
import pytest
import torch
from torch import nn

from mmpartref.models.layers.tuning.unfused_attention import UnfusedAttention


@pytest.mark.parametrize('kind', ['none', 'bool', 'float', 'per_head'])
def test_unfused_attention_equals_multihead_attention(kind):
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(16, 4, batch_first=True)
    nn.init.normal_(attention.in_proj_bias)
    nn.init.normal_(attention.out_proj.bias)
    x = torch.randn(2, 5, 16)
    hidden = torch.ones(5, 5, dtype=torch.bool).triu(1)
    mask = {'none': None, 'bool': hidden, 'float': torch.zeros(5, 5).masked_fill(hidden, float('-inf')),
            'per_head': torch.randn(8, 5, 5)}[kind]
    wanted = attention(x, x, x, need_weights=False, attn_mask=mask)[0]
    torch.testing.assert_close(UnfusedAttention(attention)(x, x, x, attn_mask=mask)[0], wanted, rtol=1e-4, atol=1e-5)


def test_unfused_attention_rejects_cross_attention():
    unfused = UnfusedAttention(nn.MultiheadAttention(8, 2, batch_first=True))
    with pytest.raises(ValueError, match='self-attention'):
        unfused(torch.zeros(1, 2, 8), torch.zeros(1, 2, 8), torch.zeros(1, 2, 8))

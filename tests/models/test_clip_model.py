"""CLIP's heads compared with its formulas, written out on the published names (Radford et al. 2021, section 2.4)."""
import pytest
import torch
import torch.nn.functional as F

from mmpartref.models.clip_model import CLIPModel
from mmpartref.models.weights.clip_weights import build_clip, convert_clip

TEXTS = ['quadruped head', 'the tire of the car', 'bird wing']


def layer_norm(x, state, name):
    return F.layer_norm(x, x.shape[-1:], state[f'{name}.weight'], state[f'{name}.bias'])


def attention(query, key, value, heads, mask=0.0):
    """Softmax(q k^T / sqrt(d) + mask) v, head by head."""
    width = query.shape[-1] // heads
    parts = []
    for head in range(heads):
        of = slice(head * width, (head + 1) * width)
        scores = query[..., of] @ key[..., of].transpose(-2, -1) / width**0.5
        parts.append((scores + mask).softmax(-1) @ value[..., of])
    return torch.cat(parts, dim=-1)


def transformer(x, state, prefix, layers, mask=0.0):
    for layer in range(layers):
        base = f'{prefix}.resblocks.{layer}'
        normed = layer_norm(x, state, f'{base}.ln_1')
        joined = F.linear(normed, state[f'{base}.attn.in_proj_weight'], state[f'{base}.attn.in_proj_bias'])
        mixed = attention(*joined.chunk(3, dim=-1), heads=1, mask=mask)
        x = x + F.linear(mixed, state[f'{base}.attn.out_proj.weight'], state[f'{base}.attn.out_proj.bias'])
        hidden = F.linear(layer_norm(x, state, f'{base}.ln_2'), state[f'{base}.mlp.c_fc.weight'],
                          state[f'{base}.mlp.c_fc.bias'])
        hidden = hidden * torch.sigmoid(1.702 * hidden)
        x = x + F.linear(hidden, state[f'{base}.mlp.c_proj.weight'], state[f'{base}.mlp.c_proj.bias'])
    return x


def text_embedding(state, tokens):
    length = tokens.shape[1]
    x = state['token_embedding.weight'][tokens] + state['positional_embedding'][:length]
    mask = torch.full((length, length), -torch.inf).triu(1)
    x = layer_norm(transformer(x, state, 'transformer', 2, mask), state, 'ln_final')
    ends = [row.tolist().index(49407) for row in tokens]
    return torch.stack([x[row, end] for row, end in enumerate(ends)]) @ state['text_projection']


def batch_norm(x, state, name):
    scale = state[f'{name}.weight'] / (state[f'{name}.running_var'] + 1e-5).sqrt()
    shift = state[f'{name}.bias'] - state[f'{name}.running_mean'] * scale
    return x * scale[:, None, None] + shift[:, None, None]


def resnet_embedding(state, x):
    for index, stride in ((1, 2), (2, 1), (3, 1)):
        x = F.conv2d(x, state[f'visual.conv{index}.weight'], stride=stride, padding=1)
        x = batch_norm(x, state, f'visual.bn{index}').relu()
    x = F.avg_pool2d(x, 2)
    for stage in (1, 2, 3, 4):
        base = f'visual.layer{stage}.0'
        stride = 1 if stage == 1 else 2
        y = batch_norm(F.conv2d(x, state[f'{base}.conv1.weight']), state, f'{base}.bn1').relu()
        y = batch_norm(F.conv2d(y, state[f'{base}.conv2.weight'], padding=1), state, f'{base}.bn2').relu()
        y = batch_norm(F.conv2d(F.avg_pool2d(y, stride), state[f'{base}.conv3.weight']), state, f'{base}.bn3')
        short = F.conv2d(F.avg_pool2d(x, stride), state[f'{base}.downsample.0.weight'])
        x = (y + batch_norm(short, state, f'{base}.downsample.1')).relu()
    tokens = x.flatten(2).permute(0, 2, 1)
    tokens = torch.cat([tokens.mean(1, keepdim=True), tokens], 1) + state['visual.attnpool.positional_embedding']
    query, key, value = (
        F.linear(tokens, state[f'visual.attnpool.{each}_proj.weight'], state[f'visual.attnpool.{each}_proj.bias'])
        for each in 'qkv')
    mixed = attention(query, key, value, heads=4)
    out = F.linear(mixed, state['visual.attnpool.c_proj.weight'], state['visual.attnpool.c_proj.bias'])
    return out[:, 0]


def vit_embedding(state, x):
    x = F.conv2d(x, state['visual.conv1.weight'], stride=8).flatten(2).permute(0, 2, 1)
    first = state['visual.class_embedding'].expand(len(x), 1, -1)
    x = layer_norm(torch.cat([first, x], 1) + state['visual.positional_embedding'], state, 'visual.ln_pre')
    x = transformer(x, state, 'visual.transformer', 3)
    return layer_norm(x[:, 0], state, 'visual.ln_post') @ state['visual.proj']


@torch.no_grad()
def test_similarity_of_converted_weights_is_clips_formula(openai_state):
    ours, architecture = convert_clip(openai_state)
    model = build_clip(architecture).eval()
    model.load_state_dict(ours, strict=False)
    state = {name: value.float() for name, value in openai_state.items()}
    is_vit = 'visual.proj' in state
    # At the pretrained size, 64 px for the ResNet's 2 x 2 grid and 32 px for the ViT's 4 x 4.
    images = torch.randn(2, 3, 32, 32) if is_vit else torch.randn(2, 3, 64, 64)
    tokens = model.text_encoder.tokenizer(TEXTS)
    image = vit_embedding(state, images) if is_vit else resnet_embedding(state, images)
    text = text_embedding(state, tokens)
    torch.testing.assert_close(model.backbone.embed(images), image, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.text_encoder(tokens)[1], text, rtol=1e-4, atol=1e-5)
    cosine = (image / image.norm(dim=1, keepdim=True)) @ (text / text.norm(dim=1, keepdim=True)).T
    logits = model(images, TEXTS)
    torch.testing.assert_close(logits, torch.tensor(2.0).exp() * cosine, rtol=1e-4, atol=1e-5)
    assert logits.std() > 0.01
    torch.testing.assert_close(model(images, tokens), logits, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_an_image_of_another_size_is_embedded_too_and_batching_changes_nothing(tiny_clip):
    images = torch.randn(3, 3, 96, 128)
    together = tiny_clip.encode_image(images)
    assert together.shape == (3, 24)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(3))
    alone = torch.cat([tiny_clip.encode_image(images[index:index + 1]) for index in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('tiny_clip', ['vit'], indirect=True)
@torch.no_grad()
def test_the_vision_transformer_gives_three_maps_on_the_patches_grid(tiny_clip):
    backbone = tiny_clip.backbone
    maps = backbone(torch.randn(2, 3, 40, 56))
    assert tuple(each.shape[1] for each in maps) == backbone.out_channels == (64, 64, 24)
    assert {each.shape[2:] for each in maps} == {(5, 7)}
    assert not torch.equal(maps[0], maps[1])
    with pytest.raises(ValueError, match='two ascending numbers of blocks from 1 to 3'):
        type(backbone)(layers=3, width=64, num_heads=1, out_layers=(2, 1))
    with pytest.raises(ValueError, match='not divisible by 5 heads'):
        type(backbone)(width=64, num_heads=5)
    with pytest.raises(ValueError, match=r"activation='relu' is unknown; choose one of \['gelu', 'quick_gelu'\]"):
        type(backbone)(width=64, num_heads=1, activation='relu')


def test_gelu_and_quick_gelu_differ(tiny_clip):
    cfg = {'type': 'CLIPTextEncoder', 'width': 64, 'layers': 2, 'heads': 1, 'embed_channels': 24}
    tower = type(tiny_clip.text_encoder)
    del cfg['type']
    plain = tower(**cfg, activation='gelu').eval()
    quick = tower(**cfg).eval()
    quick.load_state_dict(plain.state_dict())
    tokens = plain.tokenizer(TEXTS)
    with torch.no_grad():
        difference = (plain(tokens)[1] - quick(tokens)[1]).abs().max()
    assert 1e-5 < difference < 0.1


def test_towers_have_to_share_their_embedding(tiny_clip):
    with pytest.raises(ValueError, match=r'embed_channels is 24 but text_encoder\.sentence_channels is 32'):
        CLIPModel(
            backbone={'type': 'CLIPVisionTransformer', 'width': 64, 'num_heads': 1, 'layers': 1, 'embed_channels': 24},
            text_encoder={'type': 'CLIPTextEncoder', 'width': 64, 'heads': 1, 'layers': 1, 'embed_channels': 32})

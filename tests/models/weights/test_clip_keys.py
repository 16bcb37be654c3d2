import pytest
import torch

from mmpartref.errors import WeightsError
from mmpartref.models.weights.clip_architecture import read_architecture
from mmpartref.models.weights.clip_keys import to_openai
from mmpartref.models.weights.cris_keys import to_published
from mmpartref.registry import MODELS


def hugging_face_layer(prefix: str, width: int) -> dict[str, torch.Tensor]:
    state = {}
    for part, shape in (('self_attn.q_proj', (width, width)), ('self_attn.k_proj', (width, width)),
                        ('self_attn.v_proj', (width, width)), ('self_attn.out_proj', (width, width)),
                        ('mlp.fc1', (4 * width, width)), ('mlp.fc2', (width, 4 * width)), ('layer_norm1', (width, )),
                        ('layer_norm2', (width, ))):
        state[f'{prefix}.{part}.weight'] = torch.randn(*shape)
        state[f'{prefix}.{part}.bias'] = torch.randn(shape[0])
    return state


@pytest.fixture
def hugging_face() -> dict[str, torch.Tensor]:
    """A CLIPModel's state dict: 2 text layers 64 wide, 1 image layer 128 wide, patches of 4, a 3 x 3 grid."""
    state = {
        'logit_scale': torch.tensor(1.0),
        'text_model.embeddings.position_ids': torch.arange(9)[None],
        'text_model.embeddings.token_embedding.weight': torch.randn(50, 64),
        'text_model.embeddings.position_embedding.weight': torch.randn(9, 64),
        'text_model.final_layer_norm.weight': torch.randn(64),
        'text_model.final_layer_norm.bias': torch.randn(64),
        'vision_model.embeddings.class_embedding': torch.randn(128),
        'vision_model.embeddings.patch_embedding.weight': torch.randn(128, 3, 4, 4),
        'vision_model.embeddings.position_embedding.weight': torch.randn(10, 128),
        'vision_model.pre_layrnorm.weight': torch.randn(128),
        'vision_model.pre_layrnorm.bias': torch.randn(128),
        'vision_model.post_layernorm.weight': torch.randn(128),
        'vision_model.post_layernorm.bias': torch.randn(128),
        'text_projection.weight': torch.randn(32, 64),
        'visual_projection.weight': torch.randn(32, 128),
    }
    for layer in range(2):
        state |= hugging_face_layer(f'text_model.encoder.layers.{layer}', 64)
    return state | hugging_face_layer('vision_model.encoder.layers.0', 128)


def test_hugging_face_names_become_openais(hugging_face):
    state = to_openai(hugging_face)
    prefix = 'text_model.encoder.layers.1.self_attn.'
    joined = torch.cat([hugging_face[f'{prefix}{each}_proj.weight'] for each in 'qkv'])
    assert torch.equal(state['transformer.resblocks.1.attn.in_proj_weight'], joined)
    assert torch.equal(state['text_projection'], hugging_face['text_projection.weight'].T)
    assert torch.equal(state['visual.proj'], hugging_face['visual_projection.weight'].T)
    assert torch.equal(state['visual.transformer.resblocks.0.mlp.c_fc.bias'],
                       hugging_face['vision_model.encoder.layers.0.mlp.fc1.bias'])
    assert not any('position_ids' in name for name in state)
    # 16 single entries less the position ids, and per layer 4 of attention, 4 of the MLP, 4 of the norms.
    assert len(state) == 14 + 3 * 12


def test_the_converted_text_tower_gives_hugging_faces_attention(hugging_face):
    """The order of query, key and value is right: the layer computes what separate projections compute."""
    state = to_openai(hugging_face)
    attention = torch.nn.MultiheadAttention(64, 1, batch_first=True)
    prefix = 'transformer.resblocks.0.attn.'
    attention.load_state_dict({name.removeprefix(prefix): value for name, value in state.items()
                               if name.startswith(prefix)})
    x = torch.randn(1, 5, 64) / 8
    query, key, value = (
        torch.nn.functional.linear(x, hugging_face[f'text_model.encoder.layers.0.self_attn.{each}_proj.weight'],
                                   hugging_face[f'text_model.encoder.layers.0.self_attn.{each}_proj.bias'])
        for each in 'qkv')
    mixed = ((query @ key.transpose(1, 2)) / 8).softmax(-1) @ value
    expected = torch.nn.functional.linear(mixed,
                                          hugging_face['text_model.encoder.layers.0.self_attn.out_proj.weight'],
                                          hugging_face['text_model.encoder.layers.0.self_attn.out_proj.bias'])
    torch.testing.assert_close(attention(x, x, x)[0], expected, rtol=1e-3, atol=1e-3)


def test_open_clips_text_prefix_and_buffers_are_dropped(hugging_face):
    openai = to_openai(hugging_face)
    text = {name: value for name, value in openai.items() if not name.startswith('visual.')}
    image = {name: value for name, value in openai.items() if name.startswith('visual.')}
    wrapped = {f'text.{name}': value for name, value in text.items()} | image | {'text.attn_mask': torch.zeros(9, 9)}
    again = to_openai(wrapped)
    assert again.keys() == openai.keys()
    assert to_openai({**openai, 'input_resolution': torch.tensor(12)}).keys() == openai.keys()


def test_the_architecture_is_read_from_the_weights(hugging_face, tiny_model_cfg):
    architecture = read_architecture(to_openai(hugging_face))
    assert architecture.name == 'custom vit, depth 1, width 128, embedding 32'
    assert architecture.backbone['patch_size'] == 4
    assert architecture.backbone['pretrain_grid'] == 3
    assert architecture.text_encoder['layers'] == 2
    assert architecture.text_encoder['vocab_size'] == 50
    with torch.device('meta'):
        full = MODELS.build({**tiny_model_cfg, 'backbone': {'type': 'CLIPResNet'},
                             'text_encoder': {'type': 'CLIPTextEncoder'},
                             'neck': {'type': 'CRISNeck', 'out_channels': (8, 16, 32)},
                             'decode_head': {**tiny_model_cfg['decode_head'], 'word_channels': 512,
                                             'sentence_channels': 1024}})
    published = to_published(full.state_dict())
    clip = {name.removeprefix('backbone.'): value for name, value in published.items() if name.startswith('backbone.')}
    architecture = read_architecture(clip)
    assert architecture.name == 'RN50'
    assert architecture.backbone == {
        'type': 'CLIPResNet',
        'layers': (3, 4, 6, 3),
        'width': 64,
        'embed_channels': 1024,
        'num_heads': 32,
        'pretrain_grid': 7
    }
    assert architecture.text_encoder['heads'] == 8


def test_weights_other_than_clips_are_rejected(hugging_face):
    with pytest.raises(WeightsError, match='these are not CLIP weights'):
        to_openai({'layer1.weight': torch.zeros(1)})
    with pytest.raises(WeightsError, match='is not a weight of Hugging Face'):
        to_openai({**hugging_face, 'text_model.encoder.layers.0.extra.weight': torch.zeros(1)})
    lacking = dict(hugging_face)
    del lacking['text_model.encoder.layers.0.self_attn.k_proj.bias']
    with pytest.raises(WeightsError, match=r"only \['q', 'v'\] are there"):
        to_openai(lacking)
    openai = to_openai(hugging_face)
    with pytest.raises(WeightsError, match='covers no square'):
        read_architecture({**openai, 'visual.positional_embedding': torch.zeros(9, 128)})
    del openai['ln_final.weight']
    with pytest.raises(WeightsError, match=r'lack .ln_final\.weight'):
        read_architecture(openai)


def test_odd_shapes_have_a_sentence(hugging_face):
    openai = to_openai(hugging_face)
    for name, shape in (('text_projection', (3, )), ('ln_final.weight', (2, 2)), ('visual.conv1.weight', ()),
                        ('positional_embedding', (0, 64)), ('visual.positional_embedding', (0, 128))):
        with pytest.raises(WeightsError, match=rf'{name} has the shape .* instead of \d dimensions'):
            read_architecture({**openai, name: torch.zeros(shape)})
    with pytest.raises(WeightsError, match=r"'text_projection\.weight' has 1 dimensions instead of 2"):
        to_openai({**hugging_face, 'text_projection.weight': torch.zeros(3)})
    query = 'text_model.encoder.layers.0.self_attn.q_proj.weight'
    with pytest.raises(WeightsError, match='which have different shapes or types'):
        to_openai({**hugging_face, query: torch.zeros(3, 3)})

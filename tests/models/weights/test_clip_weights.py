
import pytest
import torch

from mmpartref.errors import WeightsError
from mmpartref.models.clip_model import CLIPModel
from mmpartref.models.weights.clip_weights import build_clip, convert_clip, load_clip, read_clip
from mmpartref.models.weights.state_files import read_tensors


def hugging_face_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The inverse of what the converter does, written apart from it."""
    renamed = {}
    for name, value in state.items():
        if name in ('input_resolution', 'context_length', 'vocab_size'):
            continue
        tower = 'vision_model' if name.startswith('visual.') else 'text_model'
        short = name.removeprefix('visual.')
        if 'resblocks' in short:
            layer, part = short.removeprefix('transformer.resblocks.').split('.', 1)
            base = f'{tower}.encoder.layers.{layer}'
            if 'in_proj' in part:
                for letter, third in zip('qkv', value.chunk(3), strict=True):
                    renamed[f'{base}.self_attn.{letter}_proj.{part.rsplit("_", 1)[1]}'] = third
                continue
            for ours, theirs in (('attn.out_proj', 'self_attn.out_proj'), ('mlp.c_fc', 'mlp.fc1'),
                                 ('mlp.c_proj', 'mlp.fc2'), ('ln_', 'layer_norm')):
                part = part.replace(ours, theirs)
            renamed[f'{base}.{part}'] = value
        elif short == 'proj':
            renamed['visual_projection.weight'] = value.T.contiguous()
        elif short == 'text_projection':
            renamed['text_projection.weight'] = value.T.contiguous()
        elif short == 'logit_scale':
            renamed[short] = value
        elif short == 'positional_embedding':
            renamed[f'{tower}.embeddings.position_embedding.weight'] = value
            renamed[f'{tower}.embeddings.position_ids'] = torch.arange(len(value))[None]
        else:
            table = {'conv1': 'embeddings.patch_embedding', 'class_embedding': 'embeddings.class_embedding',
                     'token_embedding': 'embeddings.token_embedding', 'ln_pre': 'pre_layrnorm',
                     'ln_post': 'post_layernorm', 'ln_final': 'final_layer_norm'}
            first, _, rest = short.partition('.')
            renamed[f'{tower}.{table[first]}' + (f'.{rest}' if rest else '')] = value
    return renamed


def similarity(model, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(images, ['quadruped head', 'the tire of the car', 'bird wing'])


def test_an_archive_gives_the_model_it_was_made_of(tiny_clip, openai_archive):
    expected = tiny_clip.half().float()
    images = torch.randn(2, 3, 64, 64)
    found = load_clip(openai_archive)
    assert not found.training
    assert {value.dtype for value in found.state_dict().values()} <= {torch.float32, torch.int64}
    torch.testing.assert_close(similarity(found, images), similarity(expected, images))
    assert found.logit_scale.item() == 2.0


@pytest.mark.parametrize(('tiny_clip', 'family'), [(tower, family) for tower in ('resnet', 'vit') for family in
                                                ('openai fp16', 'openai fp32', 'open_clip', 'open_clip text tower')] +
                         [('vit', 'hugging face')], indirect=['tiny_clip'])  # Hugging Face's CLIP has no ResNet
@pytest.mark.parametrize('suffix', ['.pth', '.bin', '.safetensors'])
def test_every_family_and_file_format_gives_the_same_weights(openai_state, tmp_path, family, suffix):
    expected, architecture = convert_clip(openai_state)
    state = openai_state
    if family == 'openai fp32':
        state = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    elif family == 'open_clip':
        state = {**state, 'attn_mask': torch.zeros(9, 9)}
    elif family == 'open_clip text tower':
        state = {name if name.startswith(('visual.', 'logit_scale')) else f'text.{name}': value
                 for name, value in state.items()}
    elif family == 'hugging face':
        state = hugging_face_names(state)
    path = tmp_path / f'clip{suffix}'
    if suffix == '.safetensors':
        from safetensors.torch import save_file
        save_file({name: value.contiguous() for name, value in state.items()}, path)
    else:
        torch.save(state, path)
    found, same = read_clip(path)
    assert same == architecture
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def test_every_fault_is_listed_except_for_the_named_keys(openai_state):
    state = dict(openai_state)
    del state['logit_scale']
    assert 'logit_scale' not in convert_clip(state)[0]
    del state['transformer.resblocks.1.ln_2.bias']
    state['visual.extra'] = torch.zeros(1)
    state['transformer.resblocks.0.mlp.c_fc.bias'] = torch.zeros(7)
    with pytest.raises(WeightsError) as caught:
        convert_clip(state)
    text = str(caught.value)
    for line in ('1 missing:\n  text_encoder.transformer.resblocks.1.ln_2.bias', '1 unexpected:\n  backbone.extra',
                 'text_encoder.transformer.resblocks.0.mlp.c_fc.bias: (7,) instead of (256,)'):
        assert line in text, text


def test_towers_of_different_embeddings_are_rejected(openai_state):
    with pytest.raises(WeightsError, match='embeds in 24 channels but text_projection in 20'):
        convert_clip({**openai_state, 'text_projection': openai_state['text_projection'][:, :20]})


def test_the_tool_names_the_architecture_and_its_output_converts_to_itself(openai_archive, tmp_path, run_tool):
    first, second = tmp_path / 'first.pth', tmp_path / 'second.pth'
    printed = ''.join(run_tool('convert_clip', *files) for files in ((openai_archive, first), (first, second)))
    assert 'CLIP custom ' in printed
    assert "backbone=dict(type='CLIP" in printed
    one, two = read_tensors(first), read_tensors(second)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    with pytest.raises(SystemExit, match=r'there is no CLIP checkpoint .*RN50_missing\.pt'):
        run_tool('convert_clip', tmp_path / 'RN50_missing.pt', second)


def test_the_built_model_has_the_architecture_read(openai_state, tiny_clip):
    model = build_clip(convert_clip(openai_state)[1])
    assert type(model.backbone) is type(tiny_clip.backbone)
    assert {name: value.shape for name, value in model.state_dict().items()} == {
        name: value.shape for name, value in tiny_clip.state_dict().items()}


@pytest.mark.parametrize(('name', 'backbone', 'text_width', 'embed'), [
    ('RN50', {'type': 'CLIPResNet'}, 512, 1024),
    ('RN101', {'type': 'CLIPResNet', 'layers': (3, 4, 23, 3), 'embed_channels': 512}, 512, 512),
    ('RN50x4', {'type': 'CLIPResNet', 'layers': (4, 6, 10, 6), 'width': 80, 'embed_channels': 640, 'num_heads': 40,
                'pretrain_grid': 9}, 640, 640),
    ('ViT-B/32', {'type': 'CLIPVisionTransformer', 'patch_size': 32, 'pretrain_grid': 7}, 512, 512),
    ('ViT-B/16', {'type': 'CLIPVisionTransformer'}, 512, 512),
    ('ViT-L/14', {'type': 'CLIPVisionTransformer', 'patch_size': 14, 'width': 1024, 'layers': 24, 'num_heads': 16,
                  'embed_channels': 768, 'pretrain_grid': 16}, 768, 768),
])
def test_openais_architectures_are_named_from_their_shapes(published_clip, name, backbone, text_width, embed):
    """At full size, on the meta device, which holds shapes and no memory."""
    text = {'type': 'CLIPTextEncoder', 'width': text_width, 'heads': text_width // 64, 'embed_channels': embed}
    with torch.device('meta'):
        model = CLIPModel(backbone=backbone, text_encoder=text)
        state = {key: value for key, value in published_clip(model).state_dict().items() if 'connect' not in key}
    ours, architecture = convert_clip(state)
    assert architecture.name == name
    assert {**model.state_dict(), **ours}.keys() == model.state_dict().keys()
    assert architecture.backbone['num_heads'] == backbone.get('num_heads', 32 if 'RN' in name else 12)


def test_a_wrapped_clip_with_prefixes_is_read_and_extras_may_be_infinite(openai_state, tmp_path):
    expected, path = convert_clip(openai_state)[0], tmp_path / 'clip.pth'
    extras = {'attn_mask': torch.full((4, 4), -torch.inf), 'input_resolution': torch.tensor(24)}
    state = {f'module.clip._orig_mod.{name}': value for name, value in {**openai_state, **extras}.items()}
    torch.save({'best_acc1': torch.tensor(0.6), 'model_state_dict': state}, path)
    found = read_clip(path)[0]
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize('other', [lambda value: value * torch.nan, lambda value: value.long(),
                                   lambda value: value.to(torch.complex64), lambda value: value / 0])
def test_a_clip_of_other_values_is_rejected(openai_state, other):
    name = 'token_embedding.weight'
    with pytest.raises(WeightsError, match=r'1 with unusable values:\n  text_encoder\.token_embedding\.weight '):
        convert_clip({**openai_state, name: other(openai_state[name])})

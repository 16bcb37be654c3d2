"""SigLIP's text encoder compared with transformers' model, weights loaded from a file."""
import torch
import transformers
from mmengine.registry import DefaultScope
from safetensors.torch import save_file
from tokenizers import Tokenizer, models

from mmpartref.registry import MODELS


def test_siglip_gives_the_outputs_of_transformers(tmp_path):
    words = {'<pad>': 0, '<eos>': 1, 'tire': 2}
    Tokenizer(models.WordLevel(words, unk_token='<pad>')).save(str(tmp_path / 'tokenizer.json'))
    theirs = transformers.SiglipTextModel(transformers.SiglipTextConfig(
        vocab_size=8, hidden_size=16, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=6, projection_size=12, pad_token_id=0, bos_token_id=None, eos_token_id=1)).eval()
    tower = getattr(theirs, 'text_model', theirs)
    save_file({f'text_model.{name}': value.clone() for name, value in tower.state_dict().items()},
              str(tmp_path / 'model.safetensors'))
    ours = MODELS.build(dict(
        type='SiglipTextEncoder', tokenizer=dict(file=str(tmp_path / 'tokenizer.json')), width=16, layers=2, heads=2,
        embed_channels=12, context_length=6, vocab_size=8,
        init_cfg=dict(type='PackagePretrained', checkpoint=str(tmp_path))))
    with DefaultScope.overwrite_default_scope('mmpartref'):
        ours.init_weights()
    ours.eval()
    tokens = ours.tokenizer(['tire'])
    with torch.no_grad():
        sentence = theirs(input_ids=tokens).pooler_output
        torch.testing.assert_close(ours(tokens)[1], sentence, rtol=1e-4, atol=1e-5)

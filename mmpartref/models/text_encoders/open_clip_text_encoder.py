"""Text encoders of the package open_clip."""
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.logging import print_log

from mmpartref.errors import InputError, MissingWeightsError, WeightsError
from mmpartref.models.layers.optional_package import import_package
from mmpartref.models.layers.tuning.tunable_encoder import TunableEncoder
from mmpartref.models.text_encoders.fixed_length_tokenizer import FixedLengthTokenizer
from mmpartref.models.text_encoders.subword_tokenizer import SubwordTokenizer, is_after_end
from mmpartref.models.weights.archives import check_hub_access, expand_path
from mmpartref.models.weights.state_files import read_tensors
from mmpartref.registry import MODELS

POSITIONS, TOKENS = 'positional_embedding', 'token_embedding.weight'
# Names of the weights in open_clip's repositories on Hugging Face's hub.
HUB_FILES = ('open_clip_model.safetensors', 'open_clip_pytorch_model.bin', 'model.safetensors')
# Prefixes of a checkpoint's other entries, where those of the text encoder have no prefix.
NOT_TEXT = ('visual.', 'logit_scale', 'logit_bias')


class OpenCLIPTokenizer(FixedLengthTokenizer):
    """Byte-pair tokenizer of open_clip; rows have L tokens, [SOS] and [EOS] included."""

    def __init__(self, length: int) -> None:
        super().__init__(length, ('[SOS]', '[EOS]'))
        self._tokenizer = import_package('open_clip', 'OpenCLIPTextEncoder').SimpleTokenizer(context_length=length)
        self.start = (self._tokenizer.sot_token_id, )
        self.end = self._tokenizer.eot_token_id

    def _encode(self, text: str) -> list[int]:
        return self._tokenizer.encode(text)


@MODELS.register_module()
class OpenCLIPTextEncoder(TunableEncoder):
    """Text encoder of an open_clip model (LAION's CLIPs, EVA-02 CLIP, SigLIP, ...), except Hugging Face's and CoCa's.

    ::

        tokens (U, L) -> embedding + positions -> blocks -> LayerNorm = words (U, L, D)
                                                 the model's pooling and projection = sentence (U, E)

    Source: open_clip's ``TextTransformer`` and ``model_configs``.

    Weights: ``init_cfg=dict(type='PackagePretrained', checkpoint='laion2b_s34b_b79k')``, with a tag of open_clip or the
    path of a checkpoint of the whole model.

    Args:
        model_name: of open_clip, e.g. ``'ViT-B-32'``, ``'EVA02-B-16'``, ``'ViT-B-16-SigLIP2'``.
        word_length: tokens L of a row; default the model's context length. A model without causal mask needs all.
        tokenizer: None for CLIP's tokenizer, which is part of open_clip; arguments of ``SubwordTokenizer`` for a model
            with another tokenizer (SigLIP).
        text_args: changes to the model's text config, e.g. ``dict(layers=6)``.
        freeze, frozen_stages, lora, adapter: see ``TunableEncoder``. Depths are the embeddings, the
            blocks and the projection.
        init_cfg: mmengine's initialisation config.

    Attributes:
        word_channels: D.
        sentence_channels: E.
        tokenizer: ``list[str] -> (len, L)`` int64.

    Raises:
        ImportError: open_clip, or torchvision, which open_clip imports, is missing.
        ValueError: open_clip has no such model, its text encoder is not supported, or an argument does not fit it.
    """
    # As published, position embeddings learn at the head's rate.
    lr_mults = {'model.positional_embedding': 1.0}
    block_prefix = 'model.transformer.resblocks.'
    embedding_prefixes = ('model.token_embedding', f'model.{POSITIONS}')

    def __init__(self,
                 *,
                 model_name: str,
                 word_length: int | None = None,
                 tokenizer: Mapping[str, Any] | None = None,
                 text_args: Mapping[str, Any] | None = None,
                 freeze: bool = False,
                 frozen_stages: int = -1,
                 lora: dict | None = None,
                 adapter: dict | None = None,
                 init_cfg: dict | list | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.model_name = model_name
        open_clip = import_package('open_clip', 'OpenCLIPTextEncoder')
        config = open_clip.get_model_config(model_name)
        if config is None:
            raise InputError(f"open_clip has no model '{model_name}'; choose one of open_clip.list_models()")
        text = {**config['text_cfg'], **(text_args or {}), 'output_tokens': True}
        length = self._check(text, word_length, tokenizer)
        text['context_length'] = length
        self.tokenizer = OpenCLIPTokenizer(length) if tokenizer is None else SubwordTokenizer(
            **{'length': length, **tokenizer})
        self.model = open_clip.model._build_text_tower(config['embed_dim'], text, config.get('quick_gelu', False))
        self.word_channels = self.model.width
        self.sentence_channels = self.model.output_dim
        self.num_layers = len(self.model.transformer.resblocks)
        self.set_trainable(freeze=freeze, frozen_stages=frozen_stages, lora=lora, adapter=adapter)

    def _check(self, text: Mapping[str, Any], word_length: int | None, tokenizer: Mapping[str, Any] | None) -> int:
        """Return L; raise a ValueError where the model is not supported or an argument does not fit it."""
        if text.get('hf_model_name'):
            raise InputError(f"the text encoder of open_clip's {self.model_name} is Hugging Face's "
                             f"{text['hf_model_name']}; choose a model with a text encoder of open_clip")
        if text.get('embed_cls'):
            raise InputError(f"the text encoder of open_clip's {self.model_name} has a class token (CoCa); choose a "
                             'model without')
        if text.get('hf_tokenizer_name') and tokenizer is None:
            raise InputError(f"open_clip's {self.model_name} has the tokenizer of {text['hf_tokenizer_name']}: "
                             'download its file and set tokenizer=dict(file=...)')
        positions = text.get('context_length', 77)
        length = positions if word_length is None else word_length
        if length > positions or (text.get('no_causal_mask') and length != positions):
            where = ' and reads the sentence at the last' if length < positions else ''
            raise InputError(f"word_length={word_length} does not fit open_clip's {self.model_name}, which has "
                             f'{positions} positions{where}')
        return length

    def padding_mask(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return (U, L) bool, true where a token is padding."""
        return is_after_end(tokens, self.tokenizer.end)

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode token rows (U, L) to words (U, L, D) and sentence (U, E)."""
        sentence, words = self.model(tokens)
        return words, sentence

    def read_pretrained(self, checkpoint: str) -> dict[str, torch.Tensor]:
        """Return the text encoder's weights of an open_clip checkpoint, with this module's parameter names.

        Args:
            checkpoint: path of a checkpoint of the whole model, or a tag of open_clip, which is downloaded.

        Raises:
            MissingWeightsError: the checkpoint does not exist or cannot be downloaded.
            WeightsError: it contains no text encoder of open_clip.
        """
        path = expand_path(checkpoint)
        state = read_tensors(path if path.is_file() else self._fetch(checkpoint))
        if any(name.startswith('text.') for name in state):
            text = {name.removeprefix('text.'): value for name, value in state.items() if name.startswith('text.')}
        else:
            text = {name: value for name, value in state.items() if not name.startswith(NOT_TEXT)}
        text.pop('attn_mask', None)
        # A checkpoint of an image encoder has positions but no tokens.
        lacking = [name for name in (TOKENS, POSITIONS) if name not in text]
        if lacking:
            raise WeightsError(f"{checkpoint} has no '{lacking[0]}' of a text encoder; give a checkpoint of open_clip")
        used, there = len(self.model.positional_embedding), len(text[POSITIONS])
        if used < there:
            print_log(f'{POSITIONS}: {used} of {there} positions are used', 'current')
            text[POSITIONS] = text[POSITIONS][:used]
        return {f'model.{name}': value.float() for name, value in text.items()}

    def _fetch(self, tag: str) -> str:
        open_clip = import_package('open_clip', 'OpenCLIPTextEncoder')
        published = open_clip.get_pretrained_cfg(self.model_name, tag)
        if not published:
            tags = ', '.join(open_clip.list_pretrained_tags_by_model(self.model_name)) or 'none'
            raise MissingWeightsError(f"{tag} is neither a file nor a tag of open_clip's {self.model_name} ({tags})")
        try:
            if repository := published.get('hf_hub', '').strip('/'):
                check_hub_access('/'.join(repository.split('/')[:2]), HUB_FILES)
            return open_clip.download_pretrained(published)
        except Exception as error:  # of any type, depending on the network failure
            url = published.get('hf_hub') or published.get('url')
            raise MissingWeightsError(
                f"open_clip's {self.model_name} {tag} could not be fetched ({type(error).__name__}): download {url} "
                'elsewhere and give the path of its file as checkpoint') from error

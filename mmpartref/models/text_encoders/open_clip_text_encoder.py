"""The text transformers of the package open_clip."""
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.logging import print_log

from mmpartref.errors import InputError, MissingWeightsError, WeightsError
from mmpartref.models.layers.optional_package import import_package
from mmpartref.models.layers.tuning.tunable_encoder import TunableEncoder
from mmpartref.models.text_encoders.subword_tokenizer import SubwordTokenizer, behind_end
from mmpartref.models.text_encoders.token_rows import MAX_CHARACTERS, check_texts
from mmpartref.models.weights.state_files import expand_path, read_tensors
from mmpartref.registry import MODELS

POSITIONS, TOKENS = 'positional_embedding', 'token_embedding.weight'
# What a checkpoint holds besides its text half, where that is not under 'text.'.
NOT_TEXT = ('visual.', 'logit_scale', 'logit_bias')


class OpenCLIPTokenizer:
    """open_clip's byte-pair tokenizer with a fixed length.

    Args:
        length: tokens L of a row, [SOS] and [EOS] included.

    Raises:
        ValueError: there is no room for a word.
    """

    def __init__(self, length: int) -> None:
        if length < 3:
            raise InputError(f'a row holds [SOS], a word and [EOS], so length must be at least 3, got {length}')
        self.length = length
        self._tokenizer = import_package('open_clip', 'OpenCLIPTextEncoder').SimpleTokenizer(context_length=length)
        self.end = self._tokenizer.eot_token_id

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """Return token rows (len(texts), L) int64.

        Raises:
            TypeError: an expression is not a string.
        """
        check_texts(texts)
        return self._tokenizer([' '.join(text.split())[:MAX_CHARACTERS] for text in texts])


@MODELS.register_module()
class OpenCLIPTextEncoder(TunableEncoder):
    """The text half of any of open_clip's models whose layers are its own: LAION's CLIPs, EVA-02 CLIP, SigLIP, ...

    ::

        tokens (U, L) -> embedding + positions -> blocks -> LayerNorm = words (U, L, D)
                                                 pooled and projected as the model has it = sentence (U, E)

    Source: open_clip's ``TextTransformer`` and ``model_configs``.

    Weights: ``init_cfg=dict(type='PackagePretrained', checkpoint='laion2b_s34b_b79k')``, a tag of open_clip's, or the
    path of a checkpoint of the whole model.

    Args:
        model_name: open_clip's, e.g. ``'ViT-B-32'``, ``'EVA02-B-16'``, ``'ViT-B-16-SigLIP2'``.
        word_length: tokens L of a row; default all of the model's positions. Fewer only where a token does not see
            those behind it.
        tokenizer: None for CLIP's own, which open_clip brings; arguments of ``SubwordTokenizer`` for a model with
            another (SigLIP), which open_clip would fetch.
        text_args: changes to the model's text config, e.g. ``dict(layers=6)``.
        freeze, frozen_stages, lora, adapter: what of it learns, see ``TunableEncoder``. Depths are the embeddings, the
            blocks and the projection.
        init_cfg: mmengine's initialisation config.

    Attributes:
        word_channels: D. sentence_channels: E.
        tokenizer: ``list[str] -> (len, L)`` int64.

    Raises:
        ImportError: open_clip, or torchvision, which open_clip imports, is missing.
        ValueError: open_clip has no such model, its text half is another package's, or a setting does not fit it.
    """

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
            raise InputError(f"open_clip has no model '{model_name}'; open_clip.list_models() names them")
        text = {**config['text_cfg'], **(text_args or {}), 'output_tokens': True}
        length = self._check(text, word_length, tokenizer)
        text['context_length'] = length
        self.tokenizer = OpenCLIPTokenizer(length) if tokenizer is None else SubwordTokenizer(
            **{'length': length, **tokenizer})
        self.model = open_clip.model._build_text_tower(config['embed_dim'], text, config.get('quick_gelu', False))
        self.word_channels = self.model.width
        self.sentence_channels = self.model.output_dim
        self.num_layers = len(self.model.transformer.resblocks)
        self.tune(freeze=freeze, frozen_stages=frozen_stages, lora=lora, adapter=adapter)

    def _check(self, text: Mapping[str, Any], word_length: int | None, tokenizer: Mapping[str, Any] | None) -> int:
        """Return L, or say what does not fit together."""
        if text.get('hf_model_name'):
            raise InputError(f"the text half of open_clip's {self.model_name} is Hugging Face's "
                             f"{text['hf_model_name']}; only open_clip's own are taken")
        if text.get('embed_cls'):
            raise InputError(f"the text half of open_clip's {self.model_name} has a class token (CoCa); only those "
                             'without are taken')
        if text.get('hf_tokenizer_name') and tokenizer is None:
            raise InputError(f"open_clip's {self.model_name} has the tokenizer of {text['hf_tokenizer_name']}: "
                             'download its file and give tokenizer=dict(file=...)')
        positions = text.get('context_length', 77)
        length = positions if word_length is None else word_length
        if length > positions or (text.get('no_causal_mask') and length != positions):
            where = ' and reads the sentence at the last' if length < positions else ''
            raise InputError(f"word_length={word_length} does not fit open_clip's {self.model_name}, which has "
                             f'{positions} positions{where}')
        return length

    def layer_id(self, name: str) -> int:
        """Return 0 for the embeddings, then the number of the block, ``num_layers + 1`` for what follows."""
        if name.startswith('model.transformer.resblocks.'):
            return int(name.split('.')[3]) + 1
        return 0 if name.startswith(('model.token_embedding', f'model.{POSITIONS}')) else self.num_layers + 1

    def padding_mask(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return (U, L) bool, true where a token is padding."""
        return behind_end(tokens, self.tokenizer.end)

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode token rows (U, L) to words (U, L, D) and sentence (U, E)."""
        sentence, words = self.model(tokens)
        return words, sentence

    def read_pretrained(self, checkpoint: str) -> dict[str, torch.Tensor]:
        """Return the text half of an open_clip checkpoint under this module's names.

        Args:
            checkpoint: the path of a checkpoint of the whole model, or one of open_clip's tags for it, which is
                fetched.

        Raises:
            MissingWeightsError: they are nowhere, or cannot be fetched.
            WeightsError: the file holds no such model.
        """
        path = expand_path(checkpoint)
        state = read_tensors(path if path.is_file() else self._fetch(checkpoint))
        if any(name.startswith('text.') for name in state):
            text = {name.removeprefix('text.'): value for name, value in state.items() if name.startswith('text.')}
        else:
            text = {name: value for name, value in state.items() if not name.startswith(NOT_TEXT)}
        text.pop('attn_mask', None)
        # Image halves have positions too.
        lacking = [name for name in (TOKENS, POSITIONS) if name not in text]
        if lacking:
            raise WeightsError(f"{checkpoint} has no '{lacking[0]}' of a text half, so it is none of open_clip's")
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
            raise MissingWeightsError(f"{tag} is no file here and no tag of open_clip's {self.model_name} ({tags})")
        try:
            return open_clip.download_pretrained(published)
        except Exception as error:  # as many kinds as there are ways for a network to fail
            where = published.get('hf_hub') or published.get('url')
            raise MissingWeightsError(
                f"open_clip's {self.model_name} {tag} could not be fetched ({type(error).__name__}): download {where} "
                'elsewhere and give the path of its file as checkpoint') from error

"""Text encoder of SigLIP and SigLIP 2, from the package transformers."""
from collections.abc import Mapping
from typing import Any

import torch

from mmpartref.errors import InputError, MissingWeightsError, WeightsError
from mmpartref.models.layers.optional_package import import_package
from mmpartref.models.layers.tuning.tunable_encoder import TunableEncoder
from mmpartref.models.text_encoders.subword_tokenizer import SubwordTokenizer, is_after_end
from mmpartref.models.weights.archives import check_hub_access, expand_path
from mmpartref.models.weights.state_files import read_tensors
from mmpartref.registry import MODELS

WEIGHTS_FILE = 'model.safetensors'
TOWER = 'text_model.'


@MODELS.register_module()
class SiglipTextEncoder(TunableEncoder):
    """SigLIP's text transformer without causal mask; every token attends to every token, padding included.

    ::

        tokens (U, L) -> embedding + positions -> blocks -> LayerNorm = words (U, L, D)
                                                           last token -> head = sentence (U, E)

    The sentence is the state at the last position, so a row always has the full context length. Sources: Zhai et al.,
    "Sigmoid loss for language image pre-training", ICCV 2023; Tschannen et al., "SigLIP 2", 2025; the layers are those
    of transformers' ``SiglipTextModel``. Defaults are the base size of SigLIP 2.

    Weights: ``init_cfg=dict(type='PackagePretrained', checkpoint='google/siglip2-base-patch16-224')``, or the path of
    that repository's ``model.safetensors``.

    Args:
        tokenizer: arguments of ``SubwordTokenizer``: ``dict(file='.../tokenizer.json')`` for SigLIP 2,
            ``dict(file='.../spiece.model', eos='</s>', pad='</s>', clean='canonicalize')`` for SigLIP.
        width: D, the transformer's width.
        layers: number of blocks.
        heads: attention heads.
        feedforward_channels: hidden width of the feed-forward parts; default 4 D.
        embed_channels: E, width of the sentence; default D.
        context_length: L, tokens of a row and rows of the position table.
        vocab_size: rows of the token table: 256000 in SigLIP 2, 32000 in SigLIP.
        freeze, frozen_stages, lora, adapter: see ``TunableEncoder``. Depths are the embeddings, the
            blocks and the head.
        init_cfg: mmengine's initialisation config.

    Attributes:
        word_channels: D.
        sentence_channels: E.
        tokenizer: ``list[str] -> (len, L)`` int64.

    Raises:
        ImportError: transformers, or the tokenizer's package, is missing.
        FileNotFoundError: the tokenizer file does not exist.
        ValueError: the tokenizer has more tokens than ``vocab_size``.
    """
    block_prefix = 'model.encoder.layers.'
    embedding_prefixes = ('model.embeddings.', )

    def __init__(self,
                 *,
                 tokenizer: Mapping[str, Any],
                 width: int = 768,
                 layers: int = 12,
                 heads: int = 12,
                 feedforward_channels: int | None = None,
                 embed_channels: int | None = None,
                 context_length: int = 64,
                 vocab_size: int = 256000,
                 freeze: bool = False,
                 frozen_stages: int = -1,
                 lora: dict | None = None,
                 adapter: dict | None = None,
                 init_cfg: dict | list | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.tokenizer = SubwordTokenizer(**{'length': context_length, **tokenizer})
        if self.tokenizer.size > vocab_size:
            raise InputError(f'{tokenizer["file"]} has {self.tokenizer.size} tokens but vocab_size is {vocab_size}: '
                             'give the tokenizer of this model')
        transformers = import_package('transformers', 'SiglipTextEncoder')
        model = transformers.SiglipTextModel(
            transformers.SiglipTextConfig(
                vocab_size=vocab_size,
                hidden_size=width,
                intermediate_size=feedforward_channels or 4 * width,
                num_hidden_layers=layers,
                num_attention_heads=heads,
                max_position_embeddings=context_length,
                projection_size=embed_channels or width,
                # The defaults are CLIP's ids, which may exceed vocab_size.
                pad_token_id=self.tokenizer.pad,
                bos_token_id=None,
                eos_token_id=self.tokenizer.end))
        # Before transformers 5 the transformer was a submodule, text_model, as in the checkpoints.
        self.model = getattr(model, 'text_model', model)
        # Prevents mmengine from calling transformers' init_weights, which would replace the loaded weights.
        self.model.is_init = True
        self.word_channels = width
        self.sentence_channels = embed_channels or width
        self.num_layers = layers
        self.set_trainable(freeze=freeze, frozen_stages=frozen_stages, lora=lora, adapter=adapter)

    def padding_mask(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return (U, L) bool, true where a token is padding."""
        return is_after_end(tokens, self.tokenizer.end)

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode token rows (U, L) to words (U, L, D) and sentence (U, E)."""
        output = self.model(input_ids=tokens)
        return output.last_hidden_state, output.pooler_output

    def read_pretrained(self, checkpoint: str) -> dict[str, torch.Tensor]:
        """Return the text encoder's weights of a SigLIP checkpoint, with this module's parameter names.

        Args:
            checkpoint: path of a ``model.safetensors`` of Hugging Face's ``SiglipModel`` or of its folder, or the name
                of a repository (``'google/siglip2-base-patch16-224'``), which is downloaded.

        Raises:
            MissingWeightsError: the checkpoint does not exist or cannot be downloaded.
            WeightsError: it contains no SigLIP text encoder.
        """
        path = expand_path(checkpoint)
        if path.is_dir():
            path = path / WEIGHTS_FILE
        elif not path.is_file():
            path = expand_path(self._fetch(checkpoint))
        state = {name.removeprefix(TOWER): value for name, value in read_tensors(path).items()
                 if name.startswith(TOWER) and not name.endswith('position_ids')}
        if not state:
            raise WeightsError(f"{path} has no entry '{TOWER}...'; give a checkpoint of Hugging Face's SiglipModel")
        return {f'model.{name}': value.float() for name, value in state.items()}

    @staticmethod
    def _fetch(checkpoint: str) -> str:
        hub = import_package('huggingface_hub', 'SiglipTextEncoder')
        try:
            check_hub_access(checkpoint, [WEIGHTS_FILE])
            return hub.hf_hub_download(checkpoint, WEIGHTS_FILE)
        except Exception as error:  # of any type, depending on the network failure
            raise MissingWeightsError(
                f'{checkpoint} is not a file and could not be fetched as a repository ({type(error).__name__}): '
                f'download https://huggingface.co/{checkpoint}/resolve/main/{WEIGHTS_FILE} elsewhere and give its path '
                'as checkpoint') from error

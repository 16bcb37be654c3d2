"""Zero-shot segmentation with CLIP, the baseline of CLIP-based models."""
from collections.abc import Hashable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel

from mmpartref.errors import InputError, InputTypeError
from mmpartref.models.clip_model import check_embed_channels
from mmpartref.models.segmentors.mask_decode import LOGIT_STRIDE, get_decode
from mmpartref.models.segmentors.probability_masks import heat_map, write_prediction
from mmpartref.models.segmentors.text_feature_cache import TextFeatureCache
from mmpartref.registry import MODELS
from mmpartref.structures import ReferringDataSample

# Source: the background set of Lin et al., "CLIP is also an efficient segmenter" (CLIP-ES), CVPR 2023.
BACKGROUND = ('ground', 'land', 'grass', 'tree', 'building', 'wall', 'sky', 'lake', 'water', 'river', 'sea', 'railway',
              'railroad', 'keyboard', 'helmet', 'cloud', 'house', 'mountain', 'ocean', 'road', 'rock', 'street',
              'valley', 'bridge', 'sign')


@MODELS.register_module()
class CLIPZeroShotSegmentor(BaseModel):
    """Classify each position of an image as the expression or background, by similarity in CLIP's embedding.

    ::

        images --backbone.dense--> (N, E, h', w') --+
                                                    +--> temperature * cosine --softmax--> P(expression) per position
        expression, background --text encoder-------+

    The dense features are the projected values of the attention pool without its attention (Zhou et al., "Extract free
    dense labels from CLIP" (MaskCLIP), ECCV 2022). The softmax is over one expression and the background words, so
    results do not depend on the other expressions of an image.

    Args:
        backbone: config of an image encoder with ``dense(images)`` and ``embed_channels``.
        text_encoder: config of a text encoder with ``sentence_channels``.
        data_preprocessor: config of the ``ReferringDataPreprocessor``.
        prompts: format strings for expressions and background words; their embeddings are averaged.
        background: background words.
        temperature: factor on the cosine; 100 is the value at the end of CLIP's training.
        threshold: a pixel belongs to the mask when its probability is greater.
        keep_candidates: also return the masks at other thresholds, for ``tools/evaluate.py --sweep``.
        init_cfg: mmengine's initialisation config.

    Raises:
        ValueError: the encoders' embeddings differ in width, or there is no prompt or background word.
    """

    def __init__(self,
                 *,
                 backbone: dict,
                 text_encoder: dict,
                 data_preprocessor: dict | None = None,
                 prompts: Sequence[str] = ('a photo of {}.', ),
                 background: Sequence[str] = BACKGROUND,
                 temperature: float = 100.0,
                 threshold: float = 0.5,
                 keep_candidates: bool = False,
                 init_cfg: dict | list | None = None) -> None:
        preprocessor = MODELS.build(data_preprocessor or {'type': 'ReferringDataPreprocessor'})
        super().__init__(data_preprocessor=preprocessor, init_cfg=init_cfg)
        self.backbone = MODELS.build(backbone)
        self.text_encoder = MODELS.build(text_encoder)
        check_embed_channels(self.backbone, self.text_encoder)
        if not prompts or not background:
            raise InputError('CLIPZeroShotSegmentor needs at least one prompt and one background word')
        self.prompts = tuple(prompts)
        self.background = tuple(background)
        self.temperature = temperature
        self.decode = get_decode('aligned', threshold)
        self.keep_candidates = keep_candidates
        self.data_preprocessor.tokenizer = self.text_encoder.tokenizer
        # Cached background vectors (B, E), and what they were computed from.
        self._background_vectors: torch.Tensor | None = None
        self._background_key: Hashable = None

    def embed_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Return unit vectors (len(texts), E), averaged over the prompts."""
        filled = [prompt.format(text) for text in texts for prompt in self.prompts]
        device = next(self.text_encoder.parameters()).device
        vectors = F.normalize(self.text_encoder(self.text_encoder.tokenizer(filled).to(device))[1], dim=1)
        return F.normalize(vectors.unflatten(0, (len(texts), len(self.prompts))).mean(dim=1), dim=1)

    def truncated(self, text: str) -> str:
        """Return the words that the text encoder does not see with the longest of the prompts; '' for none."""
        tokenizer = self.data_preprocessor.tokenizer
        return max((tokenizer.truncated(prompt.format(text)) for prompt in self.prompts), key=len)

    def embed_background(self) -> torch.Tensor:
        """Return the background's unit vectors (B, E), cached in evaluation until a weight or a string changes."""
        stamp = None
        if not (self.training or torch.is_grad_enabled() or torch.compiler.is_compiling()):
            stamp = TextFeatureCache.stamp(self.text_encoder, next(self.text_encoder.parameters()).device)
        if stamp is None:
            return self.embed_texts(self.background)
        key = (stamp, tuple(self.prompts), tuple(self.background))
        if self._background_vectors is None or key != self._background_key:
            self._background_vectors = self.embed_texts(self.background)
            self._background_key = key
        return self._background_vectors

    def train(self, mode: bool = True) -> 'CLIPZeroShotSegmentor':
        """Switch between training and evaluation, and clear the cached background, since an EMA swaps weights then."""
        self._background_vectors = None
        return super().train(mode)

    def probabilities(self, images: torch.Tensor, expressions: Sequence[str],
                      image_index: torch.Tensor) -> torch.Tensor:
        """Return (M, h', w') of M expressions and images (N, 3, H, W), at the backbone's resolution."""
        dense = F.normalize(self.backbone.dense(images), dim=1)  # (N, E, h', w')
        background = self.embed_background()  # (B, E)
        negative = torch.einsum('nehw,be->nbhw', dense, background)
        positive = torch.einsum('mehw,me->mhw', dense[image_index], self.embed_texts(expressions))
        scores = torch.cat([positive[:, None], negative[image_index]], dim=1)  # (M, 1 + B, h', w')
        return (self.temperature * scores).softmax(dim=1)[:, 0]  # (M, h', w')

    def forward(self,
                inputs: torch.Tensor | list[torch.Tensor],
                data_samples: list[ReferringDataSample] | None = None,
                mode: str = 'tensor',
                **index: Any) -> list[ReferringDataSample]:
        """Predict; the model has no loss.

        Raises:
            TypeError: ``mode`` is not ``'predict'``.
        """
        del index  # the preprocessor's tokens do not contain the prompts
        if mode != 'predict':
            raise InputTypeError(f"CLIPZeroShotSegmentor supports mode 'predict' only, got {mode!r}: evaluate it with "
                                 'tools/test.py, without training')
        return self.predict(inputs, data_samples or [])

    @torch.no_grad()
    def predict(self, inputs: torch.Tensor | list[torch.Tensor],
                data_samples: list[ReferringDataSample]) -> list[ReferringDataSample]:
        """Write ``pred_masks`` (K, h, w) bool and ``pred_scores`` (K,) on each sample, at the image's own size.

        ``pred_presence`` (K,) is the highest probability of any position.
        """
        for image, sample in zip(inputs, data_samples, strict=True):
            index = torch.zeros(len(sample.expressions), dtype=torch.long, device=image.device)
            probs = self.probabilities(image[None], sample.expressions, index)  # (K, h', w')
            sample.pred_presence = probs.amax(dim=(1, 2))
            if any(truncated := [self.truncated(text) for text in sample.expressions]):
                sample.truncated = truncated
            size = (-(-image.size(1) // LOGIT_STRIDE), -(-image.size(2) // LOGIT_STRIDE))
            probs = F.interpolate(probs[:, None], size=size, mode='bilinear', align_corners=False)[:, 0]
            write_prediction(sample, probs, self.decode, self.keep_candidates)
        return data_samples

    def heat_map(self, sample: ReferringDataSample, index: int) -> torch.Tensor:
        """Return the probabilities (h, w) float32 of one expression of a sample from ``predict``."""
        return heat_map(sample, index, self.decode)

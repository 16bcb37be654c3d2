"""CLIP without any training, pixel by pixel: the floor a CLIP-driven model has to rise from."""
from collections.abc import Hashable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel

from mmpartref.errors import InputError, InputTypeError
from mmpartref.models.segmentors.mask_decode import LOGIT_STRIDE, get_decode
from mmpartref.models.segmentors.probability_masks import heat_map, on_photo, write_prediction
from mmpartref.models.segmentors.text_feature_cache import TextFeatureCache
from mmpartref.registry import MODELS
from mmpartref.structures import ReferringDataSample

# Things that surround objects: what is none of the parts. Source: the background set of Lin et al., "CLIP is also an
# efficient segmenter" (CLIP-ES), CVPR 2023.
BACKGROUND = ('ground', 'land', 'grass', 'tree', 'building', 'wall', 'sky', 'lake', 'water', 'river', 'sea', 'railway',
              'railroad', 'keyboard', 'helmet', 'cloud', 'house', 'mountain', 'ocean', 'road', 'rock', 'street',
              'valley', 'bridge', 'sign')


@MODELS.register_module()
class CLIPZeroShotSegmentor(BaseModel):
    """Compare every place of a photo with the expression, in CLIP's own embedding.

    ::

        photos --backbone.dense--> (N, E, h', w') --+
                                                    +--> temperature * cosine --softmax--> P(expression) per place
        expression, background --text encoder-------+

    Places keep their own value features: the attention pool's mixing is left out, which is what makes CLIP's features
    dense (Zhou et al., "Extract free dense labels from CLIP" (MaskCLIP), ECCV 2022). An expression competes with
    background words, not with the photo's other expressions, so what else is asked changes nothing.

    Args:
        backbone: config of an image encoder with ``dense(images)`` and ``embed_channels``.
        text_encoder: config of a text encoder with ``sentence_channels``.
        data_preprocessor: config of the ``ReferringDataPreprocessor``.
        prompts: format strings around an expression; their embeddings are averaged.
        background: what an expression competes with.
        temperature: factor on the cosine; 100 is where CLIP's training ends.
        threshold: a pixel belongs to the mask when its probability is greater.
        keep_candidates: also return the masks at other thresholds, for ``tools/evaluate.py --sweep``.
        init_cfg: mmengine's initialisation config.

    Raises:
        ValueError: the towers differ in width, or there is no prompt or background.
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
        if self.backbone.embed_channels != self.text_encoder.sentence_channels:
            raise InputError(f'backbone.embed_channels is {self.backbone.embed_channels} but '
                             f'text_encoder.sentence_channels is {self.text_encoder.sentence_channels}: they have to '
                             'be equal')
        if not prompts or not background:
            raise InputError('CLIPZeroShotSegmentor needs at least one prompt and one background word')
        self.prompts = tuple(prompts)
        self.background = tuple(background)
        self.temperature = temperature
        self.decode = get_decode('aligned', threshold)
        self.keep_candidates = keep_candidates
        self.data_preprocessor.tokenizer = self.text_encoder.tokenizer
        # What the cached background vectors were made from, and these (B, E).
        self._background_key: Hashable = None
        self._background_vectors: torch.Tensor | None = None

    def embed_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Return unit vectors (len(texts), E), averaged over the prompts."""
        filled = [prompt.format(text) for text in texts for prompt in self.prompts]
        device = next(self.text_encoder.parameters()).device
        vectors = F.normalize(self.text_encoder(self.text_encoder.tokenizer(filled).to(device))[1], dim=1)
        return F.normalize(vectors.unflatten(0, (len(texts), len(self.prompts))).mean(dim=1), dim=1)

    def embed_background(self) -> torch.Tensor:
        """Return the background's unit vectors (B, E), in evaluation cached until a weight or a string changes."""
        if self.training or torch.is_grad_enabled() or torch.compiler.is_compiling():
            return self.embed_texts(self.background)
        device = next(self.text_encoder.parameters()).device
        stamp = TextFeatureCache.stamp(self.text_encoder, device)
        if stamp is None:
            return self.embed_texts(self.background)
        key = (stamp, tuple(self.prompts), tuple(self.background))
        if self._background_vectors is None or key != self._background_key:
            self._background_vectors = self.embed_texts(self.background)
            self._background_key = key
        return self._background_vectors

    def train(self, mode: bool = True) -> 'CLIPZeroShotSegmentor':
        """Switch between training and evaluation; clears the cached background, since an EMA swaps weights then."""
        self._background_vectors = None
        return super().train(mode)

    def probabilities(self, images: torch.Tensor, expressions: Sequence[str],
                      image_index: torch.Tensor) -> torch.Tensor:
        """Return (M, h', w') for M expressions of photos (N, 3, H, W), on the backbone's own grid."""
        dense = F.normalize(self.backbone.dense(images), dim=1)  # (N, E, h', w')
        background = self.embed_background()  # (B, E)
        against = torch.einsum('nehw,be->nbhw', dense, background)
        wanted = torch.einsum('mehw,me->mhw', dense[image_index], self.embed_texts(expressions))
        scores = torch.cat([wanted[:, None], against[image_index]], dim=1)  # (M, 1 + B, h', w')
        return (self.temperature * scores).softmax(dim=1)[:, 0]

    def forward(self,
                inputs: torch.Tensor | list[torch.Tensor],
                data_samples: list[ReferringDataSample] | None = None,
                mode: str = 'tensor',
                **index: Any) -> list[ReferringDataSample]:
        """Predict; there is nothing to train.

        Raises:
            TypeError: ``mode`` is not ``'predict'``.
        """
        del index  # the preprocessor's tokens have no prompts around them
        if mode != 'predict':
            raise InputTypeError(f"CLIPZeroShotSegmentor predicts and does nothing else, got mode '{mode}': test it "
                                 'with tools/test.py, without training')
        return self.predict(inputs, data_samples or [])

    @torch.no_grad()
    def predict(self, inputs: torch.Tensor | list[torch.Tensor],
                data_samples: list[ReferringDataSample]) -> list[ReferringDataSample]:
        """Write ``pred_masks`` (K, h, w) bool and ``pred_scores`` (K,) on each sample, at the photo's own size.

        ``pred_presence`` (K,) is the highest probability of any place.
        """
        for image, sample in zip(inputs, data_samples, strict=True):
            index = torch.zeros(len(sample.expressions), dtype=torch.long, device=image.device)
            probs = self.probabilities(image[None], sample.expressions, index)
            sample.pred_presence = probs.amax(dim=(1, 2))
            size = (-(-image.size(1) // LOGIT_STRIDE), -(-image.size(2) // LOGIT_STRIDE))
            probs = F.interpolate(probs[:, None], size=size, mode='bilinear', align_corners=False)[:, 0]
            sample.pred_probabilities = probs
            write_prediction(sample, on_photo(sample, probs, self.decode), self.decode.threshold, self.keep_candidates)
        return data_samples

    def heat_map(self, sample: ReferringDataSample, index: int) -> torch.Tensor:
        """Return (h, w) float32, 0 to 1, of one expression of a sample that ``predict`` has seen."""
        return heat_map(sample, index, self.decode)

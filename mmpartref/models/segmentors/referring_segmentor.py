"""Referring segmentation model: one mask per expression of an image."""
import inspect
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from operator import attrgetter
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel

from mmpartref.errors import InputError, InputTypeError
from mmpartref.models.backbones.select_maps import build_image_encoder
from mmpartref.models.decode_heads.presence_head import are_present
from mmpartref.models.segmentors.mask_decode import LOGIT_STRIDE, get_decode
from mmpartref.models.segmentors.probability_masks import heat_map, write_prediction
from mmpartref.models.segmentors.text_feature_cache import TextFeatureCache
from mmpartref.models.segmentors.zoom import Zoom, ZoomedWindow, plan_windows
from mmpartref.registry import MODELS, resolve
from mmpartref.run_log import log_detail
from mmpartref.structures import ReferringDataSample

# Logits of masks (M, 1, H/s, W/s), presence (M,) and the images' part labels (N, K); None without such a head.
Outputs = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]


def with_channels(cfg: Mapping[str, Any], **channels: Any) -> dict[str, Any]:
    """Return a module's config with those of ``channels`` that it does not give and its class takes."""
    kind = resolve(MODELS, cfg.get('type'))
    taken = inspect.signature(kind).parameters if callable(kind) else {}
    every = any(each.kind is each.VAR_KEYWORD for each in taken.values())
    return {**{name: value for name, value in channels.items() if every or name in taken}, **cfg}


@MODELS.register_module()
class ReferringSegmentor(BaseModel):
    """Predict one mask for each of M expressions of N images, by image encoder, text encoder, neck and decode head.

    Calls in training and evaluation::

        runner -> train_step(): data_preprocessor -> forward(mode='loss') -> loss() -> encode_decode() -> head.loss()
        runner -> val_step(): data_preprocessor -> forward(mode='predict') -> predict() -> encode_decode() -> decode

        encode_decode():  backbone(images) -> (C3, C4, C5) per image
                          text_encoder(tokens) -> words, sentence per distinct string
                          neck(features, sentence, image_index, text_index) -> (M, C, H/16, W/16)
                          decode_head(fused, words, padding, sentence) -> logits (M, 1, H/s, W/s)

    With a presence head, ``decode_head.with_presence`` is called instead and also returns its logits (M,). Each image
    is encoded once and each distinct string once; in evaluation text features are also cached across batches.

    Args:
        backbone: config of an image encoder ``(N, 3, H, W) -> (C3, C4, C5)`` with an attribute ``out_channels``; others
            (``dict(type='mmdet.MobileNetV2')``) are wrapped by ``SelectMaps``.
        text_encoder: config of a text encoder ``(U, L) -> words, sentence`` with ``word_channels``,
            ``sentence_channels``, ``tokenizer`` and ``padding_mask``.
        neck: config of the fusion neck. Channels that it does not give are those of the encoders.
        decode_head: config of the head, its loss included. Channels that it does not give are those of the neck and the
            text encoder.
        auxiliary_head: config of a head on the image encoder's last map that predicts the image's part categories
            (``MultiLabelPresenceHead``; its channels are filled in), used in training, and with its ``in_evaluation``
            also in evaluation.
        data_preprocessor: config of the ``ReferringDataPreprocessor``.
        decode: ``'cris'`` (as published) or ``'aligned'``; see ``mask_decode``.
        threshold: a pixel belongs to the mask when its probability is greater; None means the decode's.
        size_divisor: images are padded to a multiple of this many pixels inside the network, and logits cropped.
        keep_candidates: also return the masks at the thresholds 0.05, 0.10, ... 0.95, for
            ``tools/evaluate.py --sweep``.
        cache_text: cache text features across the batches of an evaluation, until a weight of the text encoder changes.
        channels_last: compute in channels-last memory, which is faster on most devices; the results differ by rounding.
            Ignored in training on a CPU, where torch's BatchNorm is less accurate on such maps.
        amp: predict in mixed precision, float16 on CUDA and bfloat16 elsewhere; masks differ by rounding, see
            ``docs/speed.md``. In training the optimiser wrapper has the precision.
        compile: compile the network by ``torch.compile``: True, or its keyword arguments.
        row_multiple: in evaluation, pad the expressions to a multiple of this with copies of the last, so that a
            compiled network (``compile=dict(mode='reduce-overhead')`` records CUDA graphs) has few input shapes.
        zoom: in evaluation, look at small predicted parts a second time, in windows of the image at a greater scale:
            arguments of ``Zoom``, ``{}`` for its defaults; None for one pass, as published. Needs the image's own
            pixels (``Letterbox(keep_original=True)``, which ``fill_zoom`` sets).
        init_cfg: mmengine's initialisation config.

    Raises:
        ValueError: channels of connected modules differ, or ``row_multiple`` is not positive.
    """

    def __init__(self,
                 *,
                 backbone: dict,
                 text_encoder: dict,
                 neck: dict,
                 decode_head: dict,
                 auxiliary_head: dict | None = None,
                 data_preprocessor: dict | None = None,
                 decode: str = 'cris',
                 threshold: float | None = None,
                 size_divisor: int = 32,
                 keep_candidates: bool = False,
                 cache_text: bool = True,
                 channels_last: bool = False,
                 amp: bool = False,
                 compile: bool | dict = False,
                 row_multiple: int = 1,
                 zoom: dict | None = None,
                 init_cfg: dict | list | None = None) -> None:
        preprocessor = MODELS.build(data_preprocessor or {'type': 'ReferringDataPreprocessor'})
        super().__init__(data_preprocessor=preprocessor, init_cfg=init_cfg)
        self.backbone = build_image_encoder(backbone)
        self.text_encoder = MODELS.build(text_encoder)
        channels: Any = self.backbone.out_channels
        sentence = self.text_encoder.sentence_channels
        self.neck = MODELS.build(with_channels(neck, in_channels=channels[-3:], sentence_channels=sentence))
        self.decode_head = MODELS.build(with_channels(
            decode_head, in_channels=self.neck.out_channels, sentence_channels=sentence,
            word_channels=self.text_encoder.word_channels, map_channels=channels))
        self.auxiliary_head = None
        if auxiliary_head is not None:
            self.auxiliary_head = MODELS.build({'in_channels': channels[-1], **auxiliary_head})
        self.decode = get_decode(decode, threshold, getattr(self.decode_head, 'logit_stride', LOGIT_STRIDE))
        self.zoom = None if zoom is None else Zoom(**zoom)
        self.size_divisor = size_divisor
        self.keep_candidates = keep_candidates
        self.text_cache = TextFeatureCache() if cache_text else None
        self.channels_last = channels_last
        self.amp = amp
        if row_multiple < 1:
            raise InputError(f'row_multiple={row_multiple} should be at least 1, which pads nothing')
        self.row_multiple = row_multiple
        self._compile_options = (compile if isinstance(compile, dict) else {}) if compile else None
        self._compile()
        self._check_channels()
        self.has_presence_head = getattr(self.decode_head, 'presence_head', None) is not None
        self.data_preprocessor.tokenizer = self.text_encoder.tokenizer
        log_detail(f"decode '{self.decode.name}': mask threshold {self.decode.threshold}")

    def _compile(self) -> None:
        if self._compile_options is not None:
            self._network = torch.compile(self._network, **self._compile_options)  # type: ignore[method-assign]

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for copies and pickles, without the compiled network, which has this object's weights."""
        return {name: value for name, value in super().__getstate__().items() if name != '_network'}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._compile()

    def _check_channels(self) -> None:
        for source, target in (('backbone.out_channels', 'neck.in_channels'),
                               ('text_encoder.sentence_channels', 'neck.sentence_channels'),
                               ('text_encoder.sentence_channels', 'decode_head.sentence_channels'),
                               ('text_encoder.word_channels', 'decode_head.word_channels'),
                               ('neck.out_channels', 'decode_head.in_channels')):
            given, expected = attrgetter(source)(self), attrgetter(target)(self)
            if source == 'backbone.out_channels':
                given = given[-3:]  # C2 may come before them
            if given != expected:
                raise InputError(f'{source} is {given} but {target} is {expected}: set the latter to {given}, or '
                                 'remove it')

    def forward(self,
                inputs: torch.Tensor | list[torch.Tensor],
                data_samples: list[ReferringDataSample] | None = None,
                mode: str = 'tensor',
                *,
                tokens: torch.Tensor | None = None,
                image_index: torch.Tensor | None = None,
                text_index: torch.Tensor | None = None) -> dict | list | torch.Tensor:
        """Compute losses, predictions or logits of a preprocessed batch.

        Args:
            inputs: normalised images (N, 3, H, W); in ``predict`` also a list of images of different sizes.
            data_samples: the N samples; with ``'tensor'`` used only where there are no ``tokens``.
            mode: ``'loss'``, ``'predict'`` or ``'tensor'``.
            tokens, image_index, text_index: as in ``encode_decode``; without them, as mmdet's ``get_flops.py`` calls
                the model, they are computed from ``data_samples``.

        Returns:
            ``'loss'``: the losses by name; ``'predict'``: the samples with predictions; ``'tensor'``: logits
            (M, 1, H/s, W/s).
        """
        if mode not in ('loss', 'predict', 'tensor'):
            raise InputError(f"mode must be 'loss', 'predict' or 'tensor', got {mode!r}")
        if tokens is None or image_index is None:
            if not data_samples:
                raise InputTypeError('forward needs tokens and image_index, or data samples with expressions')
            index = self.data_preprocessor.index_expressions(data_samples)
            tokens, image_index, text_index = index['tokens'], index['image_index'], index['text_index']
        if text_index is None:
            tokens, text_index = torch.unique(tokens, dim=0, return_inverse=True)
        if mode == 'predict':
            return self.predict(inputs, data_samples or [], tokens, image_index, text_index)
        if not isinstance(inputs, torch.Tensor):
            raise InputTypeError(f"mode '{mode}' needs images of one size as a tensor, got a {type(inputs).__name__}")
        if mode == 'loss':
            return self.loss(inputs, data_samples or [], tokens, image_index, text_index)
        return self.encode_decode(inputs, tokens, image_index, text_index)

    def encode_decode(self,
                      images: torch.Tensor,
                      tokens: torch.Tensor,
                      image_index: torch.Tensor,
                      text_index: torch.Tensor | None = None) -> torch.Tensor:
        """Return logits (M, 1, H/s, W/s), rounded up, with s the ``logit_stride`` of the decode head.

        Args:
            images: (N, 3, H, W), normalised.
            tokens: (M, L), one row per expression; or, with ``text_index``, (U, L), one row per distinct string.
            image_index: (M,), the image of each expression.
            text_index: (M,), the row of ``tokens`` of each expression.

        Raises:
            ValueError: there is no expression.
        """
        return self._encode_decode(images, tokens, image_index, text_index)[0]

    def _encode_decode(self, images: torch.Tensor, tokens: torch.Tensor, image_index: torch.Tensor,
                       text_index: torch.Tensor | None) -> Outputs:
        """Return the outputs of all heads; arguments and errors as in ``encode_decode``."""
        if image_index.numel() == 0:
            raise InputError('encode_decode got no expression; an image needs at least one')
        if text_index is None:
            tokens, text_index = torch.unique(tokens, dim=0, return_inverse=True)
        return self._pad_rows(images, *self._encode_text(tokens), image_index, text_index)

    def _encode_text(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return words (U, L, D), their padding (U, L) and sentence (U, E) of token rows (U, L)."""
        # The cache reads the tokens, which have no values on the device 'meta'.
        fresh = self.training or torch.is_grad_enabled() or torch.compiler.is_compiling() or tokens.is_meta
        if self.text_cache is None or fresh:
            words, sentence = self.text_encoder(tokens)
        else:
            words, sentence = self.text_cache.encode(self.text_encoder, tokens)
        return words, self.text_encoder.padding_mask(tokens), sentence

    def _pad_rows(self, images: torch.Tensor, words: torch.Tensor, padding: torch.Tensor, sentence: torch.Tensor,
                  image_index: torch.Tensor, text_index: torch.Tensor) -> Outputs:
        """Return ``_network``'s outputs, computed on a multiple of ``row_multiple`` expressions in evaluation."""
        count = len(image_index)
        if self.training or self.row_multiple == 1:
            return self._network(images, words, padding, sentence, image_index, text_index)
        rows = torch.arange(count + -count % self.row_multiple, device=image_index.device)
        filled = rows.clamp(max=count - 1)
        text = text_index[filled]
        # One text row per expression, so that the number of distinct strings is not an input shape.
        logits, presence, labels = self._network(images, words[text], padding[text], sentence[text],
                                                 image_index[filled], rows)
        return logits[:count], None if presence is None else presence[:count], labels

    def _network(self, images: torch.Tensor, words: torch.Tensor, padding: torch.Tensor, sentence: torch.Tensor,
                 image_index: torch.Tensor, text_index: torch.Tensor) -> Outputs:
        """Return the outputs of all heads for images (N, 3, H, W) and encoded texts."""
        # Once per image.
        padded = self._pad(images)
        if self.channels_last and (padded.is_cuda or not self.training):
            padded = padded.contiguous(memory_format=torch.channels_last)
        features = self.backbone(padded)  # (N, C, H/8, W/8), (N, C, H/16, W/16), (N, C, H/32, W/32); C2 may precede

        # One row per expression.
        fused = self.neck(features[-3:], sentence, image_index, text_index)  # (M, C, H/16, W/16)
        size = self.decode.logits_size(padded.shape[2:])
        texts = (words[text_index], padding[text_index], sentence[text_index])  # (M, L, D), (M, L), (M, E)
        laterals = (features, image_index) if getattr(self.decode_head, 'laterals', 0) else ()
        if self.has_presence_head:
            logits, presence = self.decode_head.with_presence(fused, *texts, size, *laterals)
        else:
            logits, presence = self.decode_head(fused, *texts, size, *laterals), None

        labels = None
        if self.auxiliary_head is not None and (self.training or self.auxiliary_head.in_evaluation):
            labels = self.auxiliary_head(features[-1])

        height, width = self.decode.logits_size(images.shape[2:])
        return logits[:, :, :height, :width], presence, labels  # (M, 1, H/s, W/s), (M,), (N, K)

    def train(self, mode: bool = True) -> 'ReferringSegmentor':
        """Switch between training and evaluation, and clear cached text features, since an EMA swaps weights then."""
        if self.text_cache is not None:
            self.text_cache.clear()
        return super().train(mode)

    def _pad(self, maps: torch.Tensor) -> torch.Tensor:
        """Pad (.., H, W) with zeros, the mean colour of a normalised image, at the right and the bottom."""
        height, width = (-side % self.size_divisor for side in maps.shape[-2:])
        return F.pad(maps, (0, width, 0, height)) if height or width else maps

    def loss(self, inputs: torch.Tensor, data_samples: list[ReferringDataSample], tokens: torch.Tensor,
             image_index: torch.Tensor, text_index: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the heads' losses, and the batch's mean IoU at the logits' size for the log.

        The target of an absent part is empty; with an empty prediction its IoU is 1, as in gIoU.

        Raises:
            InputError: the data samples have no masks.
        """
        if any('gt_masks' not in sample for sample in data_samples):
            raise InputError('the loss needs masks; put LoadReferringMasks into the pipeline of the training data')
        presence = labels = None
        if self.has_presence_head or self.auxiliary_head is not None:
            logits, presence, labels = self._encode_decode(inputs, tokens, image_index, text_index)
        else:
            logits = self.encode_decode(inputs, tokens, image_index, text_index)
        masks = torch.cat([sample.gt_masks for sample in data_samples])[:, None].float() / 255  # (M, 1, H, W)
        padded = self._pad(masks)
        size = self.decode.logits_size(padded.shape[2:])
        target = self.decode.shrink_target(padded, size)[:, :, :logits.size(2), :logits.size(3)]  # (M, 1, H/s, W/s)
        losses = self.decode_head.loss(logits, target)
        if presence is not None:
            losses['loss_presence'] = self.decode_head.presence_head.loss(presence, are_present(data_samples))
        if labels is not None and self.auxiliary_head is not None:
            losses['loss_image_labels'] = self.auxiliary_head.loss(labels, data_samples)
        if all('skipped' in sample for sample in data_samples):
            # No image of this batch could be read; the other ranks wait for this rank's step.
            losses = dict.fromkeys(losses, self._zero_loss(logits, presence, labels))
        return {**losses, 'train_mIoU': self._batch_iou(logits.detach(), target)}

    def _zero_loss(self, *outputs: torch.Tensor | None) -> torch.Tensor:
        """Return a zero () with gradient 0 for the network's outputs and for every trainable parameter.

        ``0 * loss`` would be NaN for an infinite loss, and so would its gradient. The outputs are part of the graph
        because SyncBN's backward pass waits for the other ranks, the parameters because DDP waits for all gradients.
        """
        zeros = [(0 * each.float().nan_to_num(0.0, 0.0, 0.0)).sum() for each in outputs if each is not None]
        # The sum of an empty slice reads no value.
        zeros += [each[None][:0].sum(dtype=torch.float32) for each in self.parameters() if each.requires_grad]
        return torch.stack(zeros).sum()

    def _batch_iou(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        predicted = logits.sigmoid() > self.decode.threshold
        truth = target > self.decode.threshold
        inter = (predicted & truth).sum(dim=(1, 2, 3))
        union = (predicted | truth).sum(dim=(1, 2, 3))
        return torch.where(union > 0, inter / union.clamp(min=1), 1.0).mean()

    @torch.no_grad()
    def predict(self, inputs: torch.Tensor | list[torch.Tensor], data_samples: list[ReferringDataSample],
                tokens: torch.Tensor, image_index: torch.Tensor,
                text_index: torch.Tensor) -> list[ReferringDataSample]:
        """Write ``pred_masks`` (K, h, w) bool and ``pred_scores`` (K,) on each sample, at the image's own size.

        The score is the mean probability inside the mask, 0 for an empty mask. ``pred_presence`` (K,) in [0, 1] is the
        presence head's probability, or without such a head the highest probability of the map (H/s, W/s). With
        ``keep_candidates`` also ``pred_candidates``: K pairs of thresholds (C,) and masks (C, h, w) bool.
        ``pred_probabilities`` (K, H/s, W/s) is the input of ``heat_map``.
        """
        with self._autocast(tokens.device):
            encoded = self._encode_text(tokens)
        # Numbers of rows are shapes, which the host has to know: one copy from the device for all images.
        rows: list[list[int]] = [[] for _ in inputs]
        for row, image in enumerate(image_index.tolist()):
            rows[image].append(row)
        for images in self._group_by_size(inputs):
            counts = [len(rows[image]) for image in images]
            pairs = [(row, local) for local, image in enumerate(images) for row in rows[image]]
            index = torch.tensor(pairs, dtype=torch.long, device=image_index.device).view(-1, 2)
            texts = text_index[index[:, 0]]  # (M,)
            with self._autocast(tokens.device):
                logits, presence, labels = self._pad_rows(
                    torch.stack([inputs[image] for image in images]), *encoded, index[:, 1], texts)
            probs = logits[:, 0].float().sigmoid()  # (M, H/s, W/s)
            present = probs.amax(dim=(1, 2)) if presence is None else presence.float().sigmoid()  # (M,)
            if labels is not None and self.auxiliary_head is not None:
                self.auxiliary_head.write_prediction([data_samples[image] for image in images], labels)
            if self.zoom is not None:
                self._look_again([data_samples[image] for image in images], probs.split(counts), encoded,
                                 texts.split(counts))
            for image, each, likely in zip(images, probs.split(counts), present.split(counts), strict=True):
                write_prediction(data_samples[image], each, self.decode, self.keep_candidates)
                data_samples[image].pred_presence = likely
        return data_samples

    def _look_again(self, samples: Sequence[ReferringDataSample], probs: Sequence[torch.Tensor],
                    encoded: tuple[torch.Tensor, torch.Tensor, torch.Tensor], texts: Sequence[torch.Tensor]) -> None:
        """Write ``pred_windows``, the second pass's probabilities, on each sample; raises as ``plan_windows``.

        Args:
            samples: of images of one size at the network's input.
            probs: (K, H/s, W/s) of each image in the first pass.
            encoded: texts.
            texts: (K,) indices of each image's expressions in ``encoded``.
        """
        assert self.zoom is not None
        words, padding, sentence = encoded
        planned: list[tuple[ZoomedWindow, torch.Tensor]] = []
        for sample, probability, text in zip(samples, probs, texts, strict=True):
            windows = plan_windows(sample, probability, self.decode, self.zoom)
            planned += [(each, text[each.rows]) for each in windows]
            sample.pred_windows = (self.zoom.weight, windows)
        for start in range(0, len(planned), len(samples)):  # no more images at once than in the first pass
            batch = planned[start:start + len(samples)]
            counts = [len(text) for _, text in batch]
            texts_of_rows = torch.cat([text for _, text in batch])
            index = torch.repeat_interleave(torch.arange(len(batch)), torch.tensor(counts)).to(texts_of_rows.device)
            pixels = torch.stack([torch.from_numpy(window.pixels) for window, _ in batch])  # (n, H, W, 3)
            images = ((pixels.to(index.device).permute(0, 3, 1, 2) - self.data_preprocessor.mean)
                      / self.data_preprocessor.std)
            with self._autocast(index.device):
                logits, *_ = self._pad_rows(images, words, padding, sentence, index, texts_of_rows)
            for (window, _), each in zip(batch, logits[:, 0].float().sigmoid().split(counts), strict=True):
                window.pixels, window.probabilities = window.pixels[:0], each

    def _autocast(self, device: torch.device) -> AbstractContextManager:
        """Return the context of the network in a prediction; what follows it (masks at the image's size) is float32."""
        dtype = torch.float16 if device.type == 'cuda' else torch.bfloat16
        return torch.autocast(device.type, dtype=dtype) if self.amp and device.type != 'meta' else nullcontext()

    @staticmethod
    def _group_by_size(inputs: torch.Tensor | Sequence[torch.Tensor]) -> list[list[int]]:
        """Return the indices of images of equal size, which share a forward pass."""
        groups: dict[torch.Size, list[int]] = {}
        for index, image in enumerate(inputs):
            groups.setdefault(image.shape, []).append(index)
        return list(groups.values())

    def heat_map(self, sample: ReferringDataSample, index: int) -> torch.Tensor:
        """Return the probabilities (h, w) float32 of one expression of a sample from ``predict``."""
        return heat_map(sample, index, self.decode)

"""Batch packed items into the tensors of one forward pass."""
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor

from mmpartref.errors import InputError
from mmpartref.models.text_encoders.fixed_length_tokenizer import FixedLengthTokenizer
from mmpartref.registry import MODELS
from mmpartref.structures import ReferringDataSample
from mmpartref.text import shown_name

CLIP_MEAN = (0.48145466 * 255, 0.4578275 * 255, 0.40821073 * 255)
CLIP_STD = (0.26862954 * 255, 0.26130258 * 255, 0.27577711 * 255)


def drop_skipped(data: dict) -> dict:
    """Return a training batch without the images that could not be read (``on_bad_image='skip'``).

    A batch of skipped images alone is returned unchanged, so that all ranks take the step; ``ReferringSegmentor.loss``
    then returns a zero loss.
    """
    good = [index for index, sample in enumerate(data['data_samples']) if 'skipped' not in sample]
    if len(good) in (0, len(data['data_samples'])):
        return data
    return {key: [values[index] for index in good] for key, values in data.items()}


@MODELS.register_module()
class ReferringDataPreprocessor(BaseDataPreprocessor):
    """Normalise images, tokenise the distinct expressions and index expressions by image and string.

    ::

        items (uint8 RGB (3, H, W), sample with K expressions)  x N
          -> inputs (N, 3, H, W), tokens (U, L), image_index (M,), text_index (M,), data_samples

    In training, images of different sizes are padded with the mean colour at the right and the bottom. In evaluation
    they are returned as a list instead, because padding changes the network's output at the margins, so that a result
    would depend on the other images of the batch. In evaluation a sample with expressions that are longer than the
    tokenizer's rows gets ``truncated``, a list of the words that the model does not see, '' where there are none.

    Args:
        mean, std: per RGB channel, in grey levels 0..255; CLIP's by default.
        non_blocking: whether copies to the device may overlap with computation.
    """

    def __init__(self,
                 *,
                 mean: Sequence[float] = CLIP_MEAN,
                 std: Sequence[float] = CLIP_STD,
                 non_blocking: bool = False) -> None:
        super().__init__(non_blocking=non_blocking)
        self.register_buffer('mean', torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).view(3, 1, 1), persistent=False)
        # Set by the segmentor, because the text encoder owns the tokenizer.
        self.tokenizer: Callable[[Sequence[str]], torch.Tensor] | None = None

    def forward(self, data: dict, training: bool = False) -> dict:
        """Return the batch as keyword arguments of the model's ``forward``.

        ``training`` drops skipped images and pads to one size; otherwise different sizes give a list.

        Raises:
            ValueError: an image has no expression.
        """
        data = self.cast_data(data)
        if training:
            data = drop_skipped(data)
        samples: list[ReferringDataSample] = data['data_samples']
        images = [(image.float() - self.mean) / self.std for image in data['inputs']]
        sizes = {image.shape for image in images}
        batch = {'inputs': images, 'data_samples': samples, **self.index_expressions(samples)}
        if len(sizes) == 1:
            batch['inputs'] = torch.stack(images)  # (N, 3, H, W)
        elif training:
            batch['inputs'] = self._pad_together(images, samples)  # (N, 3, H, W)
        if not training and isinstance(self.tokenizer, FixedLengthTokenizer):
            for sample in samples:
                truncated = [self.tokenizer.truncated(text) for text in sample.expressions]
                if any(truncated):
                    sample.truncated = truncated
        return batch

    def index_expressions(self, samples: Sequence[ReferringDataSample]) -> dict[str, torch.Tensor]:
        """Return ``tokens`` (U, L), ``image_index`` (M,) and ``text_index`` (M,) of the samples' expressions."""
        if self.tokenizer is None:
            raise RuntimeError('ReferringDataPreprocessor has no tokenizer; build it as part of a ReferringSegmentor')
        rows_of: dict[str, int] = {}
        image_index, text_index = [], []
        for index, sample in enumerate(samples):
            if not sample.expressions:
                raise InputError(f'image {shown_name(str(sample.get("img_path", index)))} has no expression; '
                                 'give at least one string that names a part')
            for expression in sample.expressions:
                image_index.append(index)
                text_index.append(rows_of.setdefault(expression, len(rows_of)))
        return {
            'tokens': self.tokenizer(list(rows_of)).to(self.device),
            'image_index': torch.tensor(image_index, device=self.device),
            'text_index': torch.tensor(text_index, device=self.device),
        }

    @staticmethod
    def _pad_together(images: list[torch.Tensor], samples: Sequence[ReferringDataSample]) -> torch.Tensor:
        height = max(image.size(1) for image in images)
        width = max(image.size(2) for image in images)

        def pad(maps: torch.Tensor) -> torch.Tensor:
            return F.pad(maps, (0, width - maps.size(-1), 0, height - maps.size(-2)))

        for sample in samples:
            if 'gt_masks' in sample:
                sample.gt_masks = pad(sample.gt_masks)
        return torch.stack([pad(image) for image in images])

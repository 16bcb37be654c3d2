"""Predicted masks, scores, candidates and heat maps from probabilities at the logits' resolution."""
from collections.abc import Iterator

import torch

from mmpartref.models.segmentors.mask_decode import MaskDecode
from mmpartref.models.segmentors.zoom import ZoomedWindow
from mmpartref.structures import ReferringDataSample

# Thresholds of candidate masks in descending order: 0.95, 0.90, ... 0.05.
CANDIDATE_LEVELS = tuple(level / 20 for level in range(19, 0, -1))
# Image pixels times expressions that are decoded together: their probabilities take 4 bytes each, twice.
MAX_PIXELS = 2**26


def decode_probabilities(sample: ReferringDataSample, probability: torch.Tensor, decode: MaskDecode,
                         first: int = 0) -> Iterator[torch.Tensor]:
    """Decode probabilities to the image's size, in chunks of expressions for very large images.

    In the windows of a second pass (``pred_windows``) the probabilities are the weighted mean of both passes.

    Args:
        sample: of one image.
        probability: (K, H/s, W/s) of expressions.
        decode: inverts the letterbox.
        first: index of the first of these expressions.

    Yields:
        Probabilities (k, h, w) of the next k expressions.
    """
    height, width = sample.ori_shape[:2]
    for chunk in probability.split(max(1, MAX_PIXELS // (height * width))):
        decoded = decode.to_image(chunk, sample.img_shape[:2], sample.letterbox_matrix, (height, width))
        weight, windows = sample.get('pred_windows') or (0.0, ())
        for each in windows:
            mix_window(decoded, each, first, weight, decode, sample.img_shape[:2])
        yield decoded
        first += len(chunk)


def mix_window(decoded: torch.Tensor, zoomed: ZoomedWindow, first: int, weight: float, decode: MaskDecode,
               input_size: tuple[int, int]) -> None:
    """Mix the second pass's probabilities into those of the image, in place.

    Args:
        decoded: (k, h, w) of the expressions ``first`` to ``first + k - 1``.
        zoomed: a window.
        first: see there.
        weight: of the second pass.
        decode: inverts the letterbox of the window.
        input_size: (H, W).
    """
    top, left, height, width = zoomed.window
    rows = [number for number, row in enumerate(zoomed.rows) if first <= row < first + len(decoded)]
    if not rows:
        return
    assert zoomed.probabilities is not None
    fine = decode.to_image(zoomed.probabilities[rows], input_size, zoomed.matrix, (height, width))
    for each, number in zip(fine, rows, strict=True):
        place = decoded[zoomed.rows[number] - first, top:top + height, left:left + width]
        place.lerp_(each.to(place), weight)


def write_prediction(sample: ReferringDataSample, probability: torch.Tensor, decode: MaskDecode,
                     keep_candidates: bool) -> None:
    """Write ``pred_probabilities``, ``pred_masks``, ``pred_scores`` and optionally ``pred_candidates`` on a sample.

    The score is the mean probability inside the mask, 0 for an empty mask.

    Args:
        sample: of one image.
        probability: (K, H/s, W/s).
        decode: inverts the letterbox, and has the threshold of the masks.
        keep_candidates: also write the masks at the thresholds 0.05, 0.10, ... 0.95.
    """
    sample.pred_probabilities = probability
    levels = torch.tensor(CANDIDATE_LEVELS, dtype=torch.float64)
    found, scores, candidates = [], [], []
    for chunk in decode_probabilities(sample, probability, decode):
        masks = chunk > decode.threshold  # (k, h, w)
        area = masks.sum(dim=(1, 2))
        found.append(masks)
        scores.append((chunk * masks).sum(dim=(1, 2)) / area.clamp(min=1))
        if keep_candidates:
            # Compared with Python floats one by one, as with the threshold, not with a float32 tensor.
            candidates += [(levels, torch.stack([each > level for level in CANDIDATE_LEVELS])) for each in chunk]
    sample.pred_masks, sample.pred_scores = torch.cat(found), torch.cat(scores)  # (K, h, w), (K,)
    if keep_candidates:
        sample.pred_candidates = candidates


@torch.no_grad()
def heat_map(sample: ReferringDataSample, index: int, decode: MaskDecode) -> torch.Tensor:
    """Return the probability (h, w) float32 of each pixel of the image to belong to one expression's part.

    Args:
        sample: with ``pred_probabilities``.
        index: of the expression.
        decode: inverts the letterbox; overshoot of its cubic interpolation is clamped to [0, 1].
    """
    (probability, ) = decode_probabilities(sample, sample.pred_probabilities[index:index + 1], decode, index)
    return probability[0].float().clamp(0, 1)

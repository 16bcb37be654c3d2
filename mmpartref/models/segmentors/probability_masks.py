"""From probabilities on the photo to what a sample carries."""
from collections.abc import Iterable, Iterator

import torch

from mmpartref.models.segmentors.mask_decode import MaskDecode
from mmpartref.structures import ReferringDataSample

# Best first, as a detector's instances.
CANDIDATE_LEVELS = tuple(level / 20 for level in range(19, 0, -1))


# Pixels of a photo times expressions that are undone at once: their probabilities take 4 bytes each, twice.
MOST_PIXELS = 2**26


def on_photo(sample: ReferringDataSample, probability: torch.Tensor, decode: MaskDecode) -> Iterator[torch.Tensor]:
    """Undo the letterbox, all expressions of an ordinary photo at once, those of a very large one in turn.

    Args:
        sample: the photo.
        probability: (K, H/4, W/4).
        decode: undoes it.

    Yields:
        (k, h, w), which together are (K, h, w).
    """
    height, width = sample.ori_shape[:2]
    for some in probability.split(max(1, MOST_PIXELS // (height * width))):
        yield decode.to_photo(some, sample.img_shape[:2], sample.letterbox_matrix, (height, width))


def write_prediction(sample: ReferringDataSample, probabilities: Iterable[torch.Tensor], threshold: float,
                     keep_candidates: bool) -> None:
    """Write ``pred_masks``, ``pred_scores`` and, if wanted, ``pred_candidates`` on a sample.

    Args:
        sample: one photo.
        probabilities: as ``on_photo`` yields them.
        threshold: a pixel belongs to the mask when its probability is greater.
        keep_candidates: also keep the masks at 0.05, 0.10, ... 0.95.
    """
    levels = torch.tensor(CANDIDATE_LEVELS, dtype=torch.float64)
    found, scores, candidates = [], [], []
    for probability in probabilities:
        masks = probability > threshold  # (k, h, w)
        area = masks.sum(dim=(1, 2))
        found.append(masks)
        scores.append((probability * masks).sum(dim=(1, 2)) / area.clamp(min=1))
        if keep_candidates:
            # One by one, so that a level cuts as the threshold of the same value does.
            candidates += [(levels, torch.stack([each > level for level in CANDIDATE_LEVELS])) for each in probability]
    sample.pred_masks, sample.pred_scores = torch.cat(found), torch.cat(scores)
    if keep_candidates:
        sample.pred_candidates = candidates


@torch.no_grad()
def heat_map(sample: ReferringDataSample, index: int, decode: MaskDecode) -> torch.Tensor:
    """Return the probability (h, w) float32, 0 to 1, that each pixel of the photo belongs to an expression's part.

    Args:
        sample: with ``pred_probabilities``.
        index: of the expression.
        decode: undoes the letterbox; where its cubic interpolation overshoots, the result is cut to 0 and 1.
    """
    (probability, ) = on_photo(sample, sample.pred_probabilities[index:index + 1], decode)
    return probability[0].float().clamp(0, 1)

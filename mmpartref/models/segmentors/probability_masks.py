"""From probabilities on the photo to what a sample carries."""
import torch

from mmpartref.structures import ReferringDataSample

# Best first, as a detector's instances.
CANDIDATE_LEVELS = tuple(level / 20 for level in range(19, 0, -1))


def write_prediction(sample: ReferringDataSample, probability: torch.Tensor, threshold: float,
                     keep_candidates: bool) -> None:
    """Write ``pred_masks``, ``pred_scores`` and, if wanted, ``pred_candidates`` on a sample.

    Args:
        sample: one photo.
        probability: (K, h, w), at the photo's own size.
        threshold: a pixel belongs to the mask when its probability is greater.
        keep_candidates: also keep the masks at 0.05, 0.10, ... 0.95.
    """
    masks = probability > threshold  # (K, h, w)
    area = masks.sum(dim=(1, 2))
    sample.pred_masks = masks
    sample.pred_scores = (probability * masks).sum(dim=(1, 2)) / area.clamp(min=1)
    if keep_candidates:
        levels = torch.tensor(CANDIDATE_LEVELS, dtype=torch.float64)
        # One by one, so that a level cuts as the threshold of the same value does.
        sample.pred_candidates = [(levels, torch.stack([each > level for level in CANDIDATE_LEVELS]))
                                  for each in probability]

"""Focal loss on the pixels of masks."""
import torch
import torch.nn.functional as F
from torch import nn

from mmpartref.argument_checks import check_number
from mmpartref.models.losses.mean_over_ranks import mean_over_ranks
from mmpartref.registry import MODELS


@MODELS.register_module()
class FocalLoss(nn.Module):
    """Binary cross-entropy that weighs down the pixels that are right already.

    With p the probability of a pixel and y its target, which may be between 0 and 1 (a pixel partly covered)::

        loss = mean of a_t |y - p|^gamma BCE(p, y),    a_t = alpha y + (1 - alpha) (1 - y)

    For y of 0 and 1 it is equation 5 of Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017; the form for
    other y is that of the quality focal loss (Li et al., NeurIPS 2020, equation 4). The mean is over pixels and over
    the expressions of all ranks.

    Args:
        gamma: exponent, 0 for no weights.
        alpha: weight of the pixels inside, 0 to 1; None weighs both sides by 1.
        loss_weight: factor on the loss.

    Attributes:
        name: of the loss in the log.

    Raises:
        InputTypeError, InputError: an argument is not a number in its range.
    """
    name = 'loss_focal'

    def __init__(self, gamma: float = 2.0, alpha: float | None = 0.25, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.gamma = check_number(gamma, 'FocalLoss gamma', 0, 10)
        self.alpha = None if alpha is None else check_number(alpha, 'FocalLoss alpha', 0, 1)
        self.loss_weight = loss_weight

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the scalar loss for logits (M, 1, h, w) and targets of the same shape in [0, 1]."""
        logits = logits.float()  # also under autocast
        loss = F.binary_cross_entropy_with_logits(logits, target, reduction='none')
        if self.gamma:
            # Not 0, where the power of an exponent below 1 has no finite gradient.
            loss = loss * (target - logits.sigmoid()).abs().clamp(min=1e-6)**self.gamma
        if self.alpha is not None:
            loss = loss * (self.alpha * target + (1 - self.alpha) * (1 - target))
        return self.loss_weight * mean_over_ranks(loss.mean(dim=(1, 2, 3)))

"""Tversky loss, of which the Dice loss is a case: a mask's overlap, whatever its size."""
import torch
from torch import nn

from mmpartref.argument_checks import check_number
from mmpartref.errors import InputError
from mmpartref.models.losses.mean_over_ranks import mean_over_ranks
from mmpartref.registry import MODELS


@MODELS.register_module()
class TverskyLoss(nn.Module):
    """One minus the Tversky index of each mask, so that a small part weighs as much as a large one.

    With p the probabilities and y the targets of an expression's pixels::

        TP = sum p y    FP = sum p (1 - y)    FN = sum (1 - p) y
        loss = 1 - (TP + smooth) / (TP + alpha FP + beta FN + smooth)

    ``alpha=beta=0.5`` is the Dice loss (Milletari et al., 3DV 2016, with p instead of p squared), ``alpha=beta=1`` that
    of the IoU. With a greater ``beta`` missing pixels cost more than false ones. An absent part with an empty
    prediction has the loss 0. The mean is over the expressions of all ranks.

    Source: Salehi et al., "Tversky loss function for image segmentation", MLMI 2017, equation 3.

    Args:
        alpha, beta: weights of false and of missing pixels, 0 to 10, not both 0.
        smooth: pixels added to both sums; the loss of an absent part rises to half at smooth / alpha false pixels.
        loss_weight: factor on the loss.

    Attributes:
        name: of the loss in the log.

    Raises:
        InputTypeError, InputError: an argument is not a number in its range.
    """
    name = 'loss_tversky'

    def __init__(self, alpha: float = 0.5, beta: float = 0.5, smooth: float = 1.0, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.alpha = check_number(alpha, 'TverskyLoss alpha', 0, 10)
        self.beta = check_number(beta, 'TverskyLoss beta', 0, 10)
        if not self.alpha and not self.beta:
            raise InputError('TverskyLoss alpha and beta must be above 0, at least one of them')
        self.smooth = check_number(smooth, 'TverskyLoss smooth', 1e-6, 1e6)
        self.loss_weight = loss_weight

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the scalar loss for logits (M, 1, h, w) and targets of the same shape in [0, 1]."""
        probs, target = logits.float().sigmoid().flatten(1), target.float().flatten(1)  # float32 also under autocast
        hits = (probs * target).sum(1)
        false, missing = probs.sum(1) - hits, target.sum(1) - hits
        index = (hits + self.smooth) / (hits + self.alpha * false + self.beta * missing + self.smooth)
        return self.loss_weight * mean_over_ranks(1 - index)

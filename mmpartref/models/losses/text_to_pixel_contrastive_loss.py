"""CRIS's text-to-pixel contrastive loss."""
import torch
import torch.nn.functional as F
from torch import nn

from mmpartref.models.losses.mean_over_ranks import mean_over_ranks
from mmpartref.registry import MODELS


@MODELS.register_module()
class TextToPixelContrastiveLoss(nn.Module):
    """Binary cross-entropy of the text-to-pixel dot products, averaged over pixels and expressions.

    With ``z_t . z_v`` the logit of a pixel and ``sigma`` the sigmoid (CRIS, CVPR 2022, equations 1 and 2)::

        L_con(z_t, z_v) = -log sigma(z_t . z_v)        inside the mask
                          -log(1 - sigma(z_t . z_v))   outside
        loss            = mean of L_con over pixels and expressions

    A target between 0 and 1 (a pixel partly covered by the mask) weights both terms. In distributed training the mean
    is over the expressions of all ranks, which may have different numbers of them.

    Args:
        loss_weight: factor on the loss.

    Attributes:
        name: of the loss in the log.
    """
    name = 'loss_text_to_pixel'

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the scalar loss for logits (M, 1, H/s, W/s) and targets of the same shape in [0, 1]."""
        # float32 also under autocast.
        per_row = F.binary_cross_entropy_with_logits(logits.float(), target, reduction='none').mean(dim=(1, 2, 3))
        return self.loss_weight * mean_over_ranks(per_row)

"""Asymmetric loss for multi-label classification."""
import torch
import torch.nn.functional as F
from torch import nn

from mmpartref.errors import InputError
from mmpartref.registry import MODELS


@MODELS.register_module()
class AsymmetricLoss(nn.Module):
    """Binary cross-entropy with focusing and a probability margin for negatives.

    With ``p`` the probability of a label and ``p_m = max(p - m, 0)``::

        positive   -(1 - p)^gamma_pos log p
        negative   -p_m^gamma_neg log(1 - p_m)

    Negatives with ``p < m`` have no loss. ``gamma_neg=0, margin=0`` is binary cross-entropy. Gradients flow through
    the focusing weights too, which the authors' code can switch off.

    Source: Ridnik et al., "Asymmetric Loss For Multi-Label Classification", ICCV 2021, equations 4 to 6.

    Args:
        gamma_neg, gamma_pos: focusing exponents of negatives and positives; 0 or at least 1.
        margin: m, from 0 to below 1.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, gamma_neg: float = 4.0, gamma_pos: float = 0.0, margin: float = 0.05) -> None:
        super().__init__()
        for name, gamma in (('gamma_neg', gamma_neg), ('gamma_pos', gamma_pos)):
            if gamma < 1 and gamma != 0:
                raise InputError(f'AsymmetricLoss {name}={gamma} should be 0 or at least 1')
        if not 0 <= margin < 1:
            raise InputError(f'AsymmetricLoss margin={margin} should be a probability below 1')
        self.gamma_neg = gamma_neg
        self.gamma_pos = gamma_pos
        self.margin = margin

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the loss of each entry, float32, for logits and bool targets of the same shape."""
        logits = logits.float()
        prob = logits.sigmoid()
        positive = -F.logsigmoid(logits)
        negative = -F.logsigmoid(-logits)
        if self.margin:
            # 1 - p_m is at least the margin, so its log is finite.
            negative = -torch.log((1 - prob + self.margin).clamp(max=1))
        if self.gamma_pos:
            positive = positive * (1 - prob)**self.gamma_pos
        if self.gamma_neg:
            negative = negative * (prob - self.margin).clamp(min=0)**self.gamma_neg
        return torch.where(target, positive, negative)

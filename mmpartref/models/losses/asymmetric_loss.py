"""Binary cross-entropy for many labels of which few are there."""
import torch
import torch.nn.functional as F
from torch import nn

from mmpartref.errors import InputError
from mmpartref.registry import MODELS


@MODELS.register_module()
class AsymmetricLoss(nn.Module):
    """Weigh easy negatives down and forget the easiest.

    With ``p`` the probability of a label and ``p_m = max(p - m, 0)`` (Ridnik et al., "Asymmetric Loss For Multi-Label
    Classification", ICCV 2021, equations 4 to 6)::

        there       -(1 - p)^gamma_pos log p
        not there   -p_m^gamma_neg log(1 - p_m)

    The margin also forgives labels that are missing from the annotation but look absent with ``p < m``. ``gamma_neg=0,
    margin=0`` is binary cross-entropy. Gradients pass through the weights too, which the authors' code can switch off.

    Args:
        gamma_neg, gamma_pos: focusing of the negatives and of the positives; 0 or at least 1.
        margin: m, from 0 to below 1.

    Raises:
        ValueError: one of them is out of range.
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
        """Return the loss of each entry, float32, of logits and bool targets of any one shape."""
        logits = logits.float()
        prob = logits.sigmoid()
        there = -F.logsigmoid(logits)
        absent = -F.logsigmoid(-logits)
        if self.margin:
            # 1 - p_m is at least the margin, so its log is finite.
            absent = -torch.log((1 - prob + self.margin).clamp(max=1))
        if self.gamma_pos:
            there = there * (1 - prob)**self.gamma_pos
        if self.gamma_neg:
            absent = absent * (prob - self.margin).clamp(min=0)**self.gamma_neg
        return torch.where(target, there, absent)

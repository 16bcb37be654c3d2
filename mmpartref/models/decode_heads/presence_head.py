"""Presence head: predicts whether the part that an expression names is in the image."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import nn

from mmpartref.errors import InputError
from mmpartref.models.losses.mean_over_ranks import mean_over_ranks
from mmpartref.registry import MODELS
from mmpartref.structures import ReferringDataSample
from mmpartref.text import shown_name


@MODELS.register_module()
class PresenceHead(BaseModule):
    """Predict one logit per expression: whether the part that it names is in the image.

    ::

        pixels (M, C, H/16, W/16) --max and mean over positions--> (M, 2C) --+
                                                                             +--Linear, ReLU, Linear--> (M,)
        sentence (M, E) -----------------------------------------------------+

    Trained by binary cross-entropy on expressions of present and of absent parts (``absent`` of the dataset). The form,
    an MLP on pooled vision-language features, and the loss weight follow the no-target label of GRES (Liu, Ding and
    Jiang, CVPR 2023, and its code).

    Args:
        in_channels: C, channels of the decoded pixels.
        sentence_channels: E, width of the sentence.
        hidden_channels: width between the two layers; None means C.
        loss_weight: factor on the loss.
        init_cfg: mmengine's initialisation config.
    """

    def __init__(self,
                 *,
                 in_channels: int,
                 sentence_channels: int,
                 hidden_channels: int | None = None,
                 loss_weight: float = 0.1,
                 init_cfg: dict | list | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        hidden = hidden_channels or in_channels
        self.loss_weight = loss_weight
        self.classifier = nn.Sequential(
            nn.Linear(2 * in_channels + sentence_channels, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, 1))

    def forward(self, pixels: torch.Tensor, sentence: torch.Tensor) -> torch.Tensor:
        """Return logits (M,) of decoded pixels (M, C, H/16, W/16) and sentences (M, E)."""
        pooled = torch.cat([pixels.amax(dim=(2, 3)), pixels.mean(dim=(2, 3)), sentence], dim=1)  # (M, 2C + E)
        return self.classifier(pooled)[:, 0]  # (M,)

    def loss(self, logits: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """Return the mean cross-entropy over the expressions of all ranks; logits (M,), ``present`` (M,) bool."""
        per_row = F.binary_cross_entropy_with_logits(logits.float(), present.float(), reduction='none')
        return self.loss_weight * mean_over_ranks(per_row)


def are_present(samples: Sequence[ReferringDataSample]) -> torch.Tensor:
    """Return (M,) bool: whether the part of each of the samples' expressions is annotated in its image.

    Read from the refs, because the mask of a small part may be empty at the network's input size.

    Raises:
        ValueError: a sample has no refs.
    """
    for sample in samples:
        if 'refs' not in sample:
            raise InputError(f"image {shown_name(str(sample.get('img_path')))} has no refs, from which a presence head "
                             'learns which parts are absent; train it on a PartReferDataset')
    present = [ref.get('absent') is None for sample in samples for ref in sample.refs]
    return torch.tensor(present, device=samples[0].gt_masks.device)

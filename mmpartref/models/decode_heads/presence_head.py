"""Is there anything to segment?"""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from mmengine.model import BaseModule
from torch import nn

from mmpartref.errors import InputError
from mmpartref.registry import MODELS
from mmpartref.structures import ReferringDataSample


@MODELS.register_module()
class PresenceHead(BaseModule):
    """One logit per expression: that the part it names is in the photo.

    ::

        pixels (M, C, H/16, W/16) --max and mean over places--> (M, 2C) --+
                                                                          +--Linear, ReLU, Linear--> (M,)
        sentence (M, E) --------------------------------------------------+

    Trained on expressions of parts that are there and of absent ones (``absent`` of the data set) by binary
    cross-entropy; without absent ones it learns to say yes. The form, a small perceptron on pooled vision-language
    features, and the weight of its loss follow GRES's no-target label (Liu, Ding and Jiang, CVPR 2023, and its code).

    Args:
        in_channels: C, channels of the decoded pixels.
        sentence_channels: E, width of the sentence.
        hidden_channels: width between the two layers; None takes C.
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
        return self.classifier(pooled)[:, 0]

    def loss(self, logits: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """Return the mean cross-entropy of logits (M,) over the expressions of all ranks.

        Args:
            logits: (M,).
            present: (M,) bool.
        """
        rows = torch.tensor(float(len(logits)), device=logits.device)
        all_reduce(rows, op='mean')
        each = F.binary_cross_entropy_with_logits(logits.float(), present.float(), reduction='none')
        return self.loss_weight * each.sum() / rows


def are_present(samples: Sequence[ReferringDataSample]) -> torch.Tensor:
    """Return (M,) bool: which of the samples' expressions name a part that is there.

    The refs say so; masks cannot, since small ones may vanish at the network's input.

    Raises:
        ValueError: a sample has no refs.
    """
    for sample in samples:
        if 'refs' not in sample:
            raise InputError(f"photo {sample.get('img_path')!r} comes without refs, which tell a presence head what is "
                             'absent; train it on a PartReferDataset')
    present = [ref.get('absent') is None for sample in samples for ref in sample.refs]
    return torch.tensor(present, device=samples[0].gt_masks.device)

"""Multi-label classification of the part categories in an image, as an auxiliary task."""
from collections.abc import Sequence

import torch
from mmengine.dist import all_reduce
from mmengine.model import BaseModule
from torch import nn

from mmpartref.datasets.partimagenet.partimagenet_referring_dataset import partimagenet_labels
from mmpartref.errors import InputError
from mmpartref.registry import MODELS
from mmpartref.structures import ReferringDataSample
from mmpartref.text import shown_name


@MODELS.register_module()
class MultiLabelPresenceHead(BaseModule):
    """Predict one logit per image and part category, as an auxiliary task of the image encoder.

    ::

        C5 (N, C, H/32, W/32) --mean over positions--> (N, C) --Linear--> (N, K)

    Each label is a part category of the data ("car tire"). The dataset provides which of its categories an image shows
    (``entries=dict(labels=dict())``); labels that it does not annotate are ignored by the loss, so that datasets with
    different categories can be mixed. The loss is the mean over the other entries (images x labels) of all ranks.

    Source: CLIP-Decoder (Ali and Khan, arXiv 2406.14830), which adds a classification loss to CLIP's,
    L = alpha L_clip + beta L_c. There the logits come from ML-Decoder's attention with CLIP's text features of the
    labels as queries, for unseen labels; here they come from a linear layer on the pooled map, because only the
    gradient to the encoder is used.

    Args:
        in_channels: C, channels of the encoder's last map.
        labels: the K labels, ``'<super-category> <part>'`` in lower case; ``'partimagenet'`` means its 40. Without
            them, ``tools/train.py`` takes those of the training json.
        loss: config of the loss, which returns one value per entry.
        loss_weight: factor on the mean.
        in_evaluation: also predict in evaluation (``pred_part_presence``), for ``PartPresenceMetric``.
        init_cfg: mmengine's initialisation config.

    Raises:
        ValueError: there are no labels, or one occurs twice.
    """

    def __init__(self,
                 *,
                 in_channels: int,
                 labels: Sequence[str] | str | None = None,
                 loss: dict | None = None,
                 loss_weight: float = 0.1,
                 in_evaluation: bool = False,
                 init_cfg: dict | list | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        if labels == 'partimagenet':
            labels = partimagenet_labels()
        if not labels or isinstance(labels, str) or len(set(labels)) < len(labels):
            raise InputError(f"MultiLabelPresenceHead labels={labels!r} should be 'partimagenet' or a list of labels, "
                             'each once, as the config that training leaves in its work dir has them')
        self.labels = list(labels)
        self.loss_weight = loss_weight
        self.in_evaluation = in_evaluation
        self.classifier = nn.Linear(in_channels, len(self.labels))
        self.loss_module = MODELS.build(loss or {'type': 'AsymmetricLoss'})

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return logits (N, K) of the encoder's last map (N, C, H/32, W/32)."""
        return self.classifier(features.mean(dim=(2, 3)))

    def loss(self, logits: torch.Tensor, samples: Sequence[ReferringDataSample]) -> torch.Tensor:
        """Return the scalar loss for logits (N, K); raises the errors of ``targets``."""
        present, known = self.targets(samples, logits.device)
        entries = known.sum().float()
        all_reduce(entries, op='mean')
        # Unknown entries stay in the graph, so that every parameter has a gradient on every rank (DDP).
        each = torch.where(known, self.loss_module(logits, present), logits.float() * 0)
        return self.loss_weight * each.sum() / entries.clamp(min=torch.finfo(torch.float32).tiny)

    def targets(self, samples: Sequence[ReferringDataSample],
                device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Return two (N, K) bool: which labels are present, and for which this is annotated.

        Raises:
            ValueError: a sample has no ``part_presence``.
        """
        for sample in samples:
            if 'part_presence' not in sample:
                raise InputError(f"image {shown_name(str(sample.get('img_path')))} has no part_presence, which the "
                                 'auxiliary head is trained on; set entries=dict(labels=dict()) on the dataset')
        rows = [[sample.part_presence.get(label) for label in self.labels] for sample in samples]
        present = [[bool(each) for each in row] for row in rows]
        known = [[each is not None for each in row] for row in rows]
        both = torch.tensor([present, known], device=device)  # one copy to the device
        return both[0], both[1]

    def write_prediction(self, samples: Sequence[ReferringDataSample], logits: torch.Tensor) -> None:
        """Write ``pred_part_presence``, the probability of each label, on each of N samples; logits are (N, K)."""
        for sample, row in zip(samples, logits.float().sigmoid().tolist(), strict=True):
            sample.pred_part_presence = dict(zip(self.labels, row, strict=True))

"""Does the model know which parts a photo shows?"""
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmpartref.errors import InputError
from mmpartref.evaluation.scoring.iou_metrics import mean
from mmpartref.evaluation.scoring.presence import average_precision
from mmpartref.registry import METRICS


@METRICS.register_module()
class PartPresenceMetric(BaseMetric):
    """Mean average precision of the photos' part labels, from an auxiliary head with ``in_evaluation=True``.

    For each label the photos are ranked by its probability; AP is the sum over the ranking of the gain in recall times
    the precision, equal scores being one step. Keys, with the prefix ``photo/``::

        mAP          mean AP over the labels that some photo shows and some other does not
        prevalence   mean share of the photos that show such a label: what a ranking at random is worth
        labels       so many; the others are counted in the log
        photos       photos ranked

    Args:
        collect_device: ``'cpu'`` (through files) or ``'gpu'``.
        prefix: replaces ``'photo'``.
    """

    default_prefix = 'photo'

    def __init__(self, *, collect_device: str = 'cpu', prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep label, probability and truth of each photo, where the truth is known.

        Raises:
            ValueError: the model gave no labels, or the data set says nothing of them.
        """
        for sample in data_samples:
            for key, remedy in (('pred_part_presence', "model.auxiliary_head=dict(type='MultiLabelPresenceHead', "
                                 'in_evaluation=True)'), ('part_presence', 'photo_labels=True on the data set')):
                if key not in sample:
                    raise InputError(f"photo {sample.get('img_path')!r} comes without {key}; set {remedy}")
            truth = sample['part_presence']
            self.results.append([(label, probability, truth[label])
                                 for label, probability in sample['pred_part_presence'].items() if label in truth])

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Return the figures; the order of the photos does not matter.

        Raises:
            ValueError: no label is shown by some photos and not by others.
        """
        scores: dict[str, tuple[list[float], list[float]]] = {}
        for label, probability, there in (entry for photo in results for entry in photo):
            scores.setdefault(label, ([], []))[not there].append(probability)
        ranked = {label: (np.array(here), np.array(others)) for label, (here, others) in scores.items()
                  if here and others}
        if not ranked:
            raise InputError('no part label is there in some photos and absent from others; check the labels of '
                             'model.auxiliary_head against the categories of the json')
        found = {
            'mAP': mean([average_precision(here, others) for here, others in ranked.values()]),
            'prevalence': mean([len(here) / (len(here) + len(others)) for here, others in ranked.values()]),
            'labels': len(ranked),
            'photos': len(results),
        }
        print_log(f"parts of whole photos: mAP {100 * found['mAP']:.2f} over {len(ranked)} labels (at random about "
                  f"{100 * found['prevalence']:.2f}); {len(scores) - len(ranked)} labels are in none or all of the "
                  f'{len(results)} photos', 'current')
        return found

"""Average precision of predictions which parts an image shows."""
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmpartref.argument_checks import check_choice, check_text
from mmpartref.errors import InputError
from mmpartref.evaluation.dumps.skipped_images import (
    COLLECT_DEVICES,
    SkippedImage,
    count_skipped,
    describe_skipped,
    skipped_image,
)
from mmpartref.evaluation.scoring.iou_metrics import mean
from mmpartref.evaluation.scoring.presence import average_precision
from mmpartref.registry import METRICS
from mmpartref.text import shown_name

# What a config lacks where samples do not have these keys.
FIXES = {'pred_part_presence': "model.auxiliary_head=dict(type='MultiLabelPresenceHead', in_evaluation=True)",
         'part_presence': 'entries=dict(labels=dict()) on the dataset'}


@METRICS.register_module()
class PartPresenceMetric(BaseMetric):
    """Mean average precision of the images' part labels, from an auxiliary head with ``in_evaluation=True``.

    For each label the images are ranked by its probability. AP is the sum over the ranking of the gain in recall times
    the precision; equal scores are one step. Images that could not be read are skipped. Keys, with the prefix
    ``image/``::

        mAP             mean AP over the labels that at least one image shows and at least one does not
        prevalence      mean over these labels of the fraction of images that show the label: mAP of a random ranking
        labels          number of these labels; the log has the number of the others
        images          number of ranked images
        skipped_images, skipped_expressions     only where there are any

    Args:
        collect_device: ``'cpu'`` (through files) or ``'gpu'``.
        prefix: replaces ``'image'``.

    Raises:
        InputTypeError: ``prefix`` is not a string.
        InputError: ``collect_device`` is unknown.
    """

    default_prefix = 'image'

    def __init__(self, *, collect_device: str = 'cpu', prefix: str | None = None) -> None:
        check_choice(collect_device, 'collect_device', COLLECT_DEVICES)
        super().__init__(collect_device=collect_device, prefix=None if prefix is None else check_text(prefix, 'prefix'))

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Add label, probability and ground truth of each sample, for the labels with a ground truth.

        Raises:
            ValueError: a sample has no predicted labels or no ground truth.
        """
        for sample in data_samples:
            skipped = skipped_image(sample)
            if skipped is not None:
                self.results.append(skipped)
                continue
            for key, fix in FIXES.items():
                if key not in sample:
                    image = shown_name(str(sample.get('img_path')))
                    raise InputError(f'the sample of image {image} has no {key}; set {fix}')
            truth = sample['part_presence']
            self.results.append([(label, probability, truth[label])
                                 for label, probability in sample['pred_part_presence'].items() if label in truth])

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Return the metrics; they do not depend on the order of the images.

        Raises:
            ValueError: every label is shown by all images or by none, or no image could be read.
        """
        skipped = [each for each in results if isinstance(each, SkippedImage)]
        images = [each for each in results if not isinstance(each, SkippedImage)]
        if skipped and not images:
            raise InputError(f'no image was scored: {describe_skipped(skipped, 0)}')
        scores: dict[str, tuple[list[float], list[float]]] = {}
        for label, probability, present in (entry for image in images for entry in image):
            scores.setdefault(label, ([], []))[not present].append(probability)
        ranked = {label: (np.array(present), np.array(absent)) for label, (present, absent) in scores.items()
                  if present and absent}
        if not ranked:
            raise InputError('each part label is present in all images or in none; check the labels of '
                             'model.auxiliary_head against the categories of the json')
        metrics = {
            'mAP': mean([average_precision(present, absent) for present, absent in ranked.values()]),
            'prevalence': mean([len(present) / (len(present) + len(absent)) for present, absent in ranked.values()]),
            'labels': len(ranked),
            'images': len(images),
            **count_skipped(skipped),
        }
        print_log(f"part labels of images: mAP {100 * metrics['mAP']:.2f} over {len(ranked)} labels (a random ranking: "
                  f"about {100 * metrics['prevalence']:.2f}); {len(scores) - len(ranked)} labels are present in all or "
                  f'none of the {len(images)} images', 'current')
        if skipped:
            print_log(f'{len(skipped)} images were skipped: {skipped[0].reason}', 'current', logging.WARNING)
        return metrics

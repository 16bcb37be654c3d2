"""IoU and Precision@X of referring segmentation."""
from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmpartref.registry import METRICS

from .predictions import read_sample
from .report import PRECISION_THRESHOLDS, exact_thresholds, format_table, score_photo, summarise


@METRICS.register_module()
class ReferringSegMetric(BaseMetric):
    """Score one predicted mask per expression, on the photo's own pixels.

    Let I_m and U_m be the pixels in the intersection and the union of the m-th of M predictions with the union of its
    expression's annotations; IoU_m = I_m / U_m, and 1 where both masks are empty. For the J annotated parts, I_j, U_j
    and IoU_j compare the mask predicted for the expression with that annotation alone. Fractions from 0 to 1::

        mIoU         sum_m IoU_m / M
        cIoU         sum_m I_m / sum_m U_m, also called overall IoU; large parts weigh more
        P@X          |{m: IoU_m > X}| / M; >= with strict=False. 0.7 means 7/10: counts are compared, not floats
        mIoU_part    mean of IoU_m over each (super-category, part), then mean over those
        mIoU_super   mean of IoU_m over each super-category, then mean over those
        ann_mIoU, ann_cIoU, ann_P@X    the same over j = 1..J. Where an expression refers to several annotations
                     (``instances='merged'``) a perfect mask does not reach 1 here; with ``'separate'`` J = M and both
                     countings agree
        expressions, annotated_parts   M and J

    Keys get the prefix ``refer/``. The sums do not depend on the order of the photos. Each data sample leaves exactly
    one entry in ``results``, the list of its expressions' rows: mmengine gathers the processes' entries in turn and
    keeps as many as the data set has items, which also drops what the sampler added to make the shares even.

    Args:
        precision_thresholds: the X of P@X.
        strict: count IoU > X, as CRIS's evaluation does; False counts IoU >= X.
        collect_device: ``'cpu'`` (through files) or ``'gpu'``.
        prefix: replaces ``'refer'``.

    Raises:
        ValueError: a threshold is not between 0 and 1.
    """

    default_prefix = 'refer'

    def __init__(self,
                 *,
                 precision_thresholds: Sequence[float] = PRECISION_THRESHOLDS,
                 strict: bool = True,
                 collect_device: str = 'cpu',
                 prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        exact_thresholds(precision_thresholds)
        self.precision_thresholds = tuple(precision_thresholds)
        self.strict = strict

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Score a batch of samples that carry ``refs``, ``pred_masks`` and ``pred_scores``.

        Raises:
            ValueError: see ``read_sample``.
        """
        self.results += [score_photo(read_sample(sample)) for sample in data_samples]

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Print the table and return the metrics of all rows."""
        rows = [row for photo in results for row in photo]
        print_log(
            '\n' + format_table(rows, precision_thresholds=self.precision_thresholds, strict=self.strict), 'current')
        return summarise(rows, precision_thresholds=self.precision_thresholds, strict=self.strict)

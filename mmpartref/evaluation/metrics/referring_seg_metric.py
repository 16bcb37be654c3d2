"""IoU and Precision@X of referring segmentation."""
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmpartref.datasets.protocols import load_protocol
from mmpartref.errors import InputError
from mmpartref.evaluation.dumps.predictions import read_sample
from mmpartref.evaluation.dumps.unread_images import UnreadPhoto, count_unread, describe_unread, unread_photo
from mmpartref.evaluation.scoring.conventions import EmptyRule, check_empty_rule
from mmpartref.evaluation.scoring.iou_metrics import (
    PRECISION_THRESHOLDS,
    exact_thresholds,
    format_table,
    score_photo,
    summarise,
)
from mmpartref.evaluation.scoring.presence import format_presence, score_absent, summarise_presence
from mmpartref.evaluation.scoring.protocol_metrics import format_protocol, summarise_protocol, tag_rows
from mmpartref.registry import METRICS


@METRICS.register_module()
class ReferringSegMetric(BaseMetric):
    """Score one predicted mask per expression, on the photo's own pixels.

    Let I_m and U_m be the pixels in the intersection and the union of the m-th of M predictions with the union of its
    expression's annotations; IoU_m = I_m / U_m. For the J annotated parts, I_j, U_j and IoU_j compare the mask
    predicted for the expression with that annotation alone. Fractions from 0 to 1::

        mIoU         sum_m IoU_m / M
        cIoU         sum_m I_m / sum_m U_m, also called overall IoU; large parts weigh more
        P@X          |{m: IoU_m > X}| / M; >= with strict=False. 0.7 means 7/10: counts are compared, not floats
        mIoU_part    mean of IoU_m over each (super-category, part), then mean over those
        mIoU_super   mean of IoU_m over each super-category, then mean over those
        ann_mIoU, ann_cIoU, ann_P@X    the same over j = 1..J. Where an expression refers to several annotations
                     (``instances='merged'``) a perfect mask does not reach 1 here; with ``'separate'`` J = M and both
                     countings agree
        expressions, annotated_parts   M and J
        mIoU_level_<level>, mIoU_source_<data set>     over the expressions of each level (object, part, subpart) and
                     of each data set, where there are several. An object counts as one annotation, whatever its parts
        unread_expressions, unread_photos   with on_bad_sample='skip' only, where there are any: expressions in no
                     figure (not among M) because their photo could not be read, and those photos
        skipped      expressions left out; with empty='skip' only, and then not among M and J

    Expressions of parts that are not there (``ref['absent']``) count in none of these. Where there are any, the figures
    of ``presence.summarise_presence`` are added: N_acc, T_acc, gIoU, cIoU_all, presence_AUC, presence_AP, and those of
    each kind of absence.

    With a ``protocol`` come the figures of its seen and unseen parts and their harmonic means
    (``protocol_report.summarise_protocol``).

    Keys get the prefix ``refer/``. The sums do not depend on the order of the photos. Each data sample leaves exactly
    one entry in ``results``, the list of its expressions' rows: mmengine gathers the processes' entries in turn and
    keeps as many as the data set has items, which also drops what the sampler added to make the shares even.

    Args:
        precision_thresholds: the X of P@X.
        strict: count IoU > X, as CRIS's evaluation does; False counts IoU >= X.
        empty: what counts where prediction and truth are both empty: ``'one'`` (IoU 1), ``'zero'`` (IoU 0) or
            ``'skip'`` (left out of every mean and counted in ``skipped``). cIoU is the same under all three.
        presence_threshold: N_acc, T_acc, gIoU and cIoU_all count masks of a lower presence as empty; None takes the
            masks as they are. ``tools/calibrate_presence.py`` chooses one on a validation split.
        protocol: tells seen from unseen, e.g. ``dict(name='partimagenet_parts_25_15')`` (``protocols.load_protocol``).
        collect_device: ``'cpu'`` (through files) or ``'gpu'``.
        prefix: replaces ``'refer'``.

    Raises:
        ValueError: a threshold is not between 0 and 1, or there is no such rule for empty masks or protocol.
    """

    default_prefix = 'refer'

    def __init__(self,
                 *,
                 precision_thresholds: Sequence[float] = PRECISION_THRESHOLDS,
                 strict: bool = True,
                 empty: EmptyRule = 'one',
                 presence_threshold: float | None = None,
                 protocol: Mapping[str, Any] | None = None,
                 collect_device: str = 'cpu',
                 prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        exact_thresholds(precision_thresholds)
        self.precision_thresholds = tuple(precision_thresholds)
        self.strict = strict
        check_empty_rule(empty)
        self.empty = empty
        self.presence_threshold = presence_threshold
        self.protocol = None if protocol is None else load_protocol(**protocol)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Score a batch of samples that carry ``refs``, ``pred_masks`` and ``pred_scores``.

        Raises:
            ValueError: see ``read_sample``; or the protocol does not know a part.
        """
        for sample in data_samples:
            unread = unread_photo(sample)
            if unread is not None:
                self.results.append(unread)
                continue
            photo = read_sample(sample)
            rows = score_photo(photo)
            if self.protocol is not None:
                rows = [*tag_rows(rows, self.protocol, {photo.img_id: photo.img_path})]
            self.results.append(rows + score_absent(photo))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Print the table and return the metrics of all rows."""
        unread = [photo for photo in results if isinstance(photo, UnreadPhoto)]
        asked = [row for photo in results if not isinstance(photo, UnreadPhoto) for row in photo]
        if unread and not asked:
            raise InputError(f'no expression was scored: {describe_unread(unread, 0)}')
        rows = [row for row in asked if row.absent is None]
        conventions: dict[str, Any] = {
            'precision_thresholds': self.precision_thresholds, 'strict': self.strict, 'empty': self.empty
        }
        summary = summarise(rows, **conventions)
        tables = [format_table(rows, **conventions)]
        if len(asked) > len(rows):
            summary.update(summarise_presence(asked, self.presence_threshold))
            tables.append(format_presence(asked, self.presence_threshold))
        if self.protocol is not None:
            sides: dict[str, Any] = {'strict': self.strict, 'empty': self.empty}
            summary.update(summarise_protocol(rows, **sides))
            tables.append(format_protocol(rows, self.protocol, **sides))
        if unread:
            summary.update(count_unread(unread))
            tables.append(describe_unread(unread, len(asked)))
        print_log('\n' + '\n'.join(tables), 'current')
        return summary

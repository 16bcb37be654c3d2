"""IoU and Precision@X of referring segmentation."""
import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmpartref.argument_checks import check_choice, check_number, check_switch, check_text
from mmpartref.datasets.protocols import Protocol, load_protocol
from mmpartref.errors import InputError, InputTypeError
from mmpartref.evaluation.dumps.predictions import read_sample
from mmpartref.evaluation.dumps.skipped_images import (
    COLLECT_DEVICES,
    SkippedImage,
    count_skipped,
    describe_skipped,
    skipped_image,
)
from mmpartref.evaluation.scoring.conventions import EmptyRule, check_empty_rule
from mmpartref.evaluation.scoring.iou_metrics import (
    PRECISION_THRESHOLDS,
    count_truncated,
    describe_truncated,
    exact_thresholds,
    format_table,
    summarise,
)
from mmpartref.evaluation.scoring.presence import format_presence, summarise_presence
from mmpartref.evaluation.scoring.protocol_metrics import format_protocol, summarise_protocol, tag_rows
from mmpartref.evaluation.scoring.score_dump import score_absent, score_image
from mmpartref.registry import METRICS
from mmpartref.text import shown

# Names of metrics by which checkpoints can be compared, but for those of thresholds. Some depend on the data.
NAMES = re.compile(r'(ann_)?[mc]IoU|[mc]IoU_part|mIoU_(super|small|medium|large)|mIoU_(level|source|position)_.+|'
                   r'P@0\.5:0\.95|(over|under)_segmentation|'
                   r'(seen|unseen|harmonic)_.+|'
                   r'(mask_)?(N_acc|T_acc|gIoU|cIoU_all)|N_acc_.+|presence_(AUC|AP|AUC_.+)')


@METRICS.register_module()
class ReferringSegMetric(BaseMetric):
    """Score one predicted mask per expression, on the image's own pixels.

    Let I_m and U_m be the pixels in the intersection and the union of the m-th of M predictions with the union of its
    expression's annotations; IoU_m = I_m / U_m. For the J annotated parts, I_j, U_j and IoU_j compare the mask
    predicted for the expression with that annotation alone. Fractions from 0 to 1::

        mIoU         sum_m IoU_m / M
        cIoU         sum_m I_m / sum_m U_m, also called overall IoU; large parts weigh more
        P@X          |{m: IoU_m > X}| / M; >= with strict=False. 0.7 means 7/10: counts are compared, not floats
        P@0.5:0.95   mean of P@X over X = .5, .55, ..., .95
        over_segmentation, under_segmentation    mean of |P_m minus G_m| / |P_m| and of |G_m minus P_m| / |G_m| of the
                     predictions P_m and the annotations' unions G_m; 0 where P_m or G_m is empty
        mIoU_part    mean of IoU_m over each (super-category, part), then mean over those ("macro")
        cIoU_part    cIoU over each (super-category, part), then mean over those ("micro")
        mIoU_super   mean of IoU_m over each super-category, then mean over those
        mIoU_small, _medium, _large    mean of the IoU_m of expressions whose annotations cover less than 32 ** 2, less
                     than 96 ** 2 and more pixels of the image (COCO's borders), where there are any
        ann_mIoU, ann_cIoU, ann_P@X    the same over j = 1..J. Where an expression refers to several annotations
                     (``instances='merged'``) a perfect mask does not reach 1; with ``'separate'`` J = M and both
                     counts are equal
        expressions, annotated_parts   M and J
        mIoU_level_<level>, mIoU_source_<dataset>, mIoU_position_<position>     over the expressions of each level
                     (object, part, subpart), dataset and position ("left", ...; "(single)" for the only object of its
                     kind), where there are several; the table has their numbers. An object counts as one annotation
        skipped_images, skipped_expressions     with on_bad_image='skip', where there are any: images that could not
                     be read and their expressions, which are ignored (not among M)
        truncated_expressions    where there are any: expressions, those of absent parts included, with more tokens than
                     the rows of the text encoder, so that the model did not see their last words
        skipped_empty    with empty='skip': expressions that are ignored (not among M and J)

    Expressions of parts that are not in the image (``ref['absent']``) are ignored by all of these. Where there are any,
    the metrics of ``presence.summarise_presence`` are added: N_acc, T_acc, gIoU, cIoU_all, presence_AUC, presence_AP,
    and those of each kind of absence. With a ``protocol`` the metrics of its seen and unseen parts and their harmonic
    means are added (``protocol_metrics.summarise_protocol``).

    Keys get the prefix ``refer/``. The sums do not depend on the order of the images. Each data sample adds exactly one
    entry to ``results``, the list of its expressions' rows: mmengine interleaves the processes' entries and truncates
    them to the length of the dataset, which also drops the samples that the sampler repeated.

    Args:
        precision_thresholds: the X of P@X.
        strict: count IoU > X, as CRIS's evaluation does; False counts IoU >= X.
        empty: what counts where prediction and truth are both empty: ``'one'`` (IoU 1), ``'zero'`` (IoU 0) or
            ``'skip'`` (ignored by every mean and counted in ``skipped_empty``). cIoU is the same under all three.
        presence_threshold: N_acc, T_acc, gIoU and cIoU_all count masks of a lower presence as empty; None takes the
            masks as they are. ``tools/calibrate_presence.py`` chooses one on a validation split.
        protocol: splits parts into seen and unseen, e.g. ``dict(name='partimagenet_parts_25_15')``
            (``protocols.load_protocol``).
        collect_device: ``'cpu'`` (through files) or ``'gpu'``.
        prefix: replaces ``'refer'``.

    Raises:
        InputTypeError: an argument is of another type.
        InputError: a threshold is not from 0 to 1, or ``empty``, ``collect_device`` or the protocol is unknown.
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
        check_choice(collect_device, 'collect_device', COLLECT_DEVICES)
        super().__init__(collect_device=collect_device, prefix=None if prefix is None else check_text(prefix, 'prefix'))
        exact_thresholds(precision_thresholds)
        self.precision_thresholds = tuple(precision_thresholds)
        self.strict = check_switch(strict, 'strict')
        check_empty_rule(empty)
        self.empty = empty
        self.presence_threshold = (None if presence_threshold is None else
                                   check_number(presence_threshold, 'presence_threshold', 0, 1))
        self.protocol = None if protocol is None else self._load_protocol(protocol)

    @staticmethod
    def _load_protocol(protocol: Mapping[str, Any]) -> Protocol:
        keys = inspect.signature(load_protocol).parameters.keys()
        if not isinstance(protocol, Mapping) or 'name' not in protocol or not protocol.keys() <= keys:
            raise InputTypeError(f"protocol={shown(protocol)} should be a dict with 'name' and no keys but "
                                 f"{', '.join(keys)}")
        return load_protocol(**protocol)

    @staticmethod
    def may_return(name: str, precision_thresholds: Sequence[float] = PRECISION_THRESHOLDS) -> bool:
        """Return whether a metric of this name, without the prefix, may be among the results.

        Raises:
            InputTypeError, InputError: an argument is of another type, or a threshold is not from 0 to 1.
        """
        name = check_text(name, 'name')
        precisions = {f'{kind}P@{each}' for kind in ('', 'ann_') for each in exact_thresholds(precision_thresholds)}
        return name in precisions or NAMES.fullmatch(name) is not None

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Score a batch of samples with ``refs``, ``pred_masks`` and ``pred_scores``.

        Raises:
            ValueError: see ``read_sample``; or a part is not in the protocol.
        """
        for sample in data_samples:
            skipped = skipped_image(sample)
            if skipped is not None:
                self.results.append(skipped)
                continue
            image = read_sample(sample)
            rows = score_image(image)
            if self.protocol is not None:
                rows = [*tag_rows(rows, self.protocol, {image.img_id: image.img_path})]
            self.results.append(rows + score_absent(image))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Log the tables and return the metrics of all rows."""
        skipped = [each for each in results if isinstance(each, SkippedImage)]
        scored = [row for each in results if not isinstance(each, SkippedImage) for row in each]
        if skipped and not scored:
            raise InputError(f'no expression was scored: {describe_skipped(skipped, 0)}')
        rows = [row for row in scored if row.absent is None]
        conventions: dict[str, Any] = {'strict': self.strict, 'empty': self.empty}
        thresholds: dict[str, Any] = {'precision_thresholds': self.precision_thresholds}
        summary = summarise(rows, **conventions, **thresholds)
        tables = [format_table(rows, **conventions, **thresholds)]
        if len(scored) > len(rows):
            summary.update(summarise_presence(scored, self.presence_threshold))
            tables.append(format_presence(scored, self.presence_threshold))
        if self.protocol is not None:
            summary.update(summarise_protocol(rows, **conventions))
            tables.append(format_protocol(rows, self.protocol, **conventions))
        summary.update(count_truncated(scored))
        if truncated := describe_truncated(scored):
            tables.append(truncated)
        if skipped:
            summary.update(count_skipped(skipped))
            tables.append(describe_skipped(skipped, len(scored)))
        print_log('\n' + '\n'.join(tables), 'current')
        return summary

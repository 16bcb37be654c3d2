"""Writing predictions to a file."""
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmpartref.errors import InputError
from mmpartref.evaluation.dumps.dump import PredictionDump, encode_header, in_order
from mmpartref.evaluation.dumps.predictions import read_sample
from mmpartref.evaluation.dumps.unread_images import UnreadPhoto, count_unread, describe_unread, unread_photo
from mmpartref.registry import METRICS


@METRICS.register_module()
class ReferringDump(BaseMetric):
    """Write every prediction to one JSON file (see ``dump``); ``tools/evaluate.py`` scores it without the model.

    Goes beside ``ReferringSegMetric`` in an evaluator's list. The first process writes; the photos are sorted by id, so
    that the file does not depend on the number of processes. Photos that could not be read are not in it; the header
    counts them (``unread_photos``, ``unread_expressions``).

    Args:
        out_file: where to; its folder is made at once, so that a typo shows before the evaluation and not after.
        header: how the masks were made, e.g. ``dict(config=..., checkpoint=..., decode=...)``; strings and numbers.
        collect_device: ``'cpu'`` (through files) or ``'gpu'``.

    Raises:
        ValueError: ``out_file`` is a folder, or the header cannot be written.
    """

    default_prefix = 'dump'

    def __init__(self, *, out_file: str, header: Mapping[str, Any] | None = None, collect_device: str = 'cpu') -> None:
        super().__init__(collect_device=collect_device)
        if os.path.isdir(out_file):
            raise InputError(f'out_file={out_file!r} is a folder; give the name of a .json file')
        os.makedirs(os.path.dirname(os.path.abspath(out_file)), exist_ok=True)
        self.out_file = out_file
        self.header = dict(header or {})
        encode_header(self.header)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep one entry per data sample; raises as ``read_sample``."""
        self.results += [unread_photo(sample) or read_sample(sample) for sample in data_samples]

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Write the file; there is no figure to return."""
        unread = [each for each in results if isinstance(each, UnreadPhoto)]
        results = [each for each in results if not isinstance(each, UnreadPhoto)]
        PredictionDump({**self.header, **count_unread(unread)}, in_order(results)).write(self.out_file)
        expressions = sum(len(photo.expressions) for photo in results)
        print_log(f'predictions for {expressions} expressions of {len(results)} photos -> {self.out_file}', 'current')
        if unread:
            print_log(describe_unread(unread, expressions), 'current', logging.WARNING)
        return {}

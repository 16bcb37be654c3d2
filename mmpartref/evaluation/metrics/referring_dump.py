"""Dump of predictions."""
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmpartref.argument_checks import check_choice, check_path
from mmpartref.errors import InputError
from mmpartref.evaluation.dumps.dump import PredictionDump, check_header, unite_images
from mmpartref.evaluation.dumps.predictions import read_sample
from mmpartref.evaluation.dumps.skipped_images import (
    COLLECT_DEVICES,
    SkippedImage,
    count_skipped,
    describe_skipped,
    skipped_image,
)
from mmpartref.files.output_path import check_output_file, write_errors
from mmpartref.registry import METRICS


@METRICS.register_module()
class ReferringDump(BaseMetric):
    """Write all predictions to one dump file (see ``dump``), which ``tools/evaluate.py`` scores without the model.

    Goes next to ``ReferringSegMetric`` in an evaluator's list and returns no metric. The first process writes the file,
    sorted by image id, so that it does not depend on the number of processes. Images that could not be read are not
    in it; the header counts them (``skipped_images``, ``skipped_expressions``).

    Args:
        out_file: path of the file. Its folder is made at once, so that a wrong path fails before the evaluation.
        header: how the masks were made, e.g. ``dict(config=..., checkpoint=..., decode=...)``; strings and numbers.
        collect_device: ``'cpu'`` (through files) or ``'gpu'``.

    Raises:
        InputTypeError: ``out_file`` or ``header`` is of another type.
        InputError: ``out_file`` is a folder, or the header cannot be written.
        FileInTheWayError, FileWriteError, NotAFolderError: ``out_file`` cannot be written.
    """

    default_prefix = 'dump'

    def __init__(self, *, out_file: str | os.PathLike, header: Mapping[str, Any] | None = None,
                 collect_device: str = 'cpu') -> None:
        check_choice(collect_device, 'collect_device', COLLECT_DEVICES)
        super().__init__(collect_device=collect_device)
        self.out_file = check_path(out_file, 'out_file')
        if not self.out_file or os.path.isdir(self.out_file):
            raise InputError(f'out_file={self.out_file!r} is a folder; give the name of a .json file')
        check_output_file(self.out_file)
        with write_errors(self.out_file):
            os.makedirs(os.path.dirname(os.path.abspath(self.out_file)), exist_ok=True)
        check_header({} if header is None else header)
        self.header = dict(header or {})

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Convert each data sample to one entry; raises as ``read_sample``."""
        self.results += [skipped_image(sample) or read_sample(sample) for sample in data_samples]

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Write the file and return an empty dict.

        Raises:
            ValueError: an expression occurs twice, so that no tool could read the dump.
        """
        skipped = [each for each in results if isinstance(each, SkippedImage)]
        images = [each for each in results if not isinstance(each, SkippedImage)]
        PredictionDump({**self.header, **count_skipped(skipped)}, unite_images(images)).write(self.out_file)
        expressions = sum(len(image.expressions) for image in images)
        print_log(f'predictions for {expressions} expressions of {len(images)} images -> {self.out_file}', 'current')
        if skipped:
            print_log(describe_skipped(skipped, expressions), 'current', logging.WARNING)
        return {}

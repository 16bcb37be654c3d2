"""A detector's instances as a COCO results file."""
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmpartref.argument_checks import check_choice, check_path
from mmpartref.errors import InputError
from mmpartref.evaluation.dumps.skipped_images import COLLECT_DEVICES, skipped_image
from mmpartref.files.atomic_write import write_text
from mmpartref.files.output_path import check_output_file
from mmpartref.masks.iou import encode_masks
from mmpartref.registry import METRICS


@METRICS.register_module()
class InstanceResults(BaseMetric):
    """Write all instances of a ``ReferringDetector`` as COCO results, whatever the expressions; returns no metric.

    ``tools/evaluate.py --predictions FILE --ann-file JSON --ap`` computes the average precision. Category ids are those
    of the dataset's json. The first process writes the file, by image in the order of the dataset.

    Args:
        out_file: path of the .json file.
        collect_device: ``'cpu'`` (through files) or ``'gpu'``.

    Raises:
        InputTypeError, InputError: an argument is of another type or cannot be used.
        FileInTheWayError, FileWriteError, NotAFolderError: ``out_file`` cannot be written.
    """

    default_prefix = 'instances'

    def __init__(self, *, out_file: str | os.PathLike, collect_device: str = 'cpu') -> None:
        check_choice(collect_device, 'collect_device', COLLECT_DEVICES)
        super().__init__(collect_device=collect_device)
        self.out_file = check_path(out_file, 'out_file')
        check_output_file(self.out_file)

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Convert the instances of each data sample to one list of records.

        Raises:
            InputError: a sample has no ``pred_instances``; only detectors have.
        """
        for sample in data_samples:
            if skipped_image(sample) is not None:
                self.results.append([])
                continue
            if 'pred_instances' not in sample:
                raise InputError('InstanceResults needs a ReferringDetector; the data samples of this model have no '
                                 'pred_instances')
            self.results.append(self._records(sample['img_id'], sample['pred_instances']))

    def _records(self, img_id: int | str, instances: Any) -> list[dict[str, Any]]:
        ids = [category['id'] for category in self.dataset_meta['categories']]
        masks = instances['masks']
        masks = masks.cpu().numpy() if hasattr(masks, 'cpu') else masks  # (C, h, w) bool
        rles = encode_masks(masks.astype(bool)) if len(masks) else []
        return [{'image_id': img_id, 'category_id': ids[label], 'score': score, 'segmentation': rle}
                for label, score, rle in zip(instances['labels'].tolist(), instances['scores'].tolist(), rles,
                                             strict=True)]

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Write the file and return an empty dict."""
        records = [record for of_image in results for record in of_image]
        write_text(self.out_file, '[' + ',\n'.join(map(json.dumps, records)) + ']\n')
        print_log(f'{len(records):,} instances of {len(results):,} images -> {self.out_file}', 'current')
        return {}

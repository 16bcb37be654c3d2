"""Overlays of ground truth and prediction, drawn in validations and tests."""
import copy
import logging
import os

import mmcv
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmpartref.engine.background_evaluator import BackgroundEvaluator
from mmpartref.files.plain_file import read_any_file
from mmpartref.masks.rle import decode_refs
from mmpartref.registry import HOOKS
from mmpartref.structures import ReferringDataSample
from mmpartref.visualization import PartReferVisualizer


@HOOKS.register_module()
class ReferringVisualizationHook(Hook):
    """Draw the first images of each validation and test.

    A validation adds them to the backends of the visualiser (files, TensorBoard). A test writes them to ``out_dir``, in
    the thread of a ``BackgroundEvaluator``.

    Args:
        max_images: images per validation or test.
        out_dir: folder for a test's images; None draws none.
    """

    def __init__(self, max_images: int = 8, out_dir: str | None = None) -> None:
        self.max_images = max_images
        self.out_dir = out_dir
        self._drawn = 0

    def before_run(self, runner: Runner) -> None:
        """Draw nothing, with a warning, where the visualiser is another one."""
        if not isinstance(runner.visualizer, PartReferVisualizer):
            self.max_images = 0
            print_log(f'{type(runner.visualizer).__name__} cannot draw expressions; set visualizer.type to '
                      "'PartReferVisualizer'", 'current', logging.WARNING)

    def before_val_epoch(self, runner: Runner) -> None:
        """Reset the counter."""
        self._drawn = 0

    def before_test_epoch(self, runner: Runner) -> None:
        """Reset the counter; make ``out_dir``."""
        self._drawn = 0
        if self.out_dir is not None:
            os.makedirs(self.out_dir, exist_ok=True)

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                       outputs: list[ReferringDataSample] | None = None) -> None:
        """Add the batch's images to the backends, up to ``max_images``."""
        for sample in outputs or []:
            if self._drawn < self.max_images and 'skipped' not in sample:
                # No slash in the name: mmengine's LocalVisBackend would take it for a folder and write nothing.
                name = f'val_{self._drawn}'
                self._drawn += 1
                draw(runner.visualizer, sample, name, None, runner.iter)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                        outputs: list[ReferringDataSample] | None = None) -> None:
        """Write the batch's images into ``out_dir``, up to ``max_images``."""
        for sample in outputs or []:
            if self.out_dir is not None and self._drawn < self.max_images and 'skipped' not in sample:
                stem = os.path.splitext(os.path.basename(sample.img_path))[0]
                # Numbered, since several items of an image, or images of several folders, may have the same name.
                name = f'{self._drawn:04d}_{stem}'
                self._drawn += 1
                # runner.iter would build the training loop with its dataset.
                arguments = runner.visualizer, copy.copy(sample), name, os.path.join(self.out_dir, f'{name}.png'), 0
                if isinstance(runner.test_evaluator, BackgroundEvaluator):
                    runner.test_evaluator.in_background('drawing', draw, *arguments)
                else:
                    draw(*arguments)


def draw(visualizer: PartReferVisualizer, sample: ReferringDataSample, name: str, out_file: str | None,
         step: int) -> None:
    """Draw a sample for the backends of a visualiser or into a file; the main process only."""
    if not is_main_process():  # only its visualiser writes
        return
    image = mmcv.imfrombytes(read_any_file(sample.img_path), channel_order='rgb')
    truth = decode_refs(sample.refs, sample.ori_shape[:2]).astype(bool)
    visualizer.add_datasample(name, image, sample, truth=truth, out_file=out_file, step=step)

"""Visualizer of referring segmentation."""
from typing import Any

import numpy as np
from mmengine.dist import master_only
from mmengine.visualization import Visualizer
from PIL import Image

from mmpartref.registry import VISUALIZERS
from mmpartref.structures import ReferringDataSample
from mmpartref.visualization.overlay import OVERLAY_COMPRESSION, side_by_side


@VISUALIZERS.register_module()
class PartReferVisualizer(Visualizer):
    """mmengine visualizer for ``ReferringDataSample``."""

    @classmethod
    def get_instance(cls, name: str = 'visualizer', **kwargs: Any) -> 'PartReferVisualizer':
        """Return the visualizer of that name, made with these arguments where there is none yet.

        mmengine's runner gives the name of the run; mmdet's and mmseg's tools build the config's visualizer as it is.
        """
        return super().get_instance(name, **kwargs)

    @master_only
    def add_datasample(self, name: str, image: np.ndarray, data_sample: ReferringDataSample, *,
                       truth: np.ndarray | None = None, max_expressions: int = 8, out_file: str | None = None,
                       step: int = 0) -> None:
        """Draw image, ground truth and prediction side by side with a legend, for the backends or a file.

        Args:
            name: of the picture in the backends.
            image: RGB (h, w, 3) uint8.
            data_sample: with ``expressions``, ``pred_masks`` and ``pred_scores``.
            truth: (K, h, w) bool masks, or None for no panel.
            max_expressions: number of expressions to draw.
            out_file: path to write to instead of the backends.
            step: the step of the run, for the backends.

        Raises:
            OSError: ``out_file`` cannot be written.
        """
        shown = slice(None, max_expressions)
        masks = data_sample.pred_masks[shown].cpu().numpy()
        scores = [float(score) for score in data_sample.pred_scores[shown]]
        picture = side_by_side(image, None if truth is None else truth[shown], masks, data_sample.expressions[shown],
                               scores)
        if out_file is None:
            self.add_image(name, picture, step)
        else:
            Image.fromarray(picture).save(out_file, compress_level=OVERLAY_COMPRESSION)

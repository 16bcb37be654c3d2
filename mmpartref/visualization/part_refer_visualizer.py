"""Draw truth and prediction of one photo for mmengine's visualisation backends."""
import cv2
import numpy as np
from mmengine.dist import master_only
from mmengine.visualization import Visualizer

from mmpartref.registry import VISUALIZERS
from mmpartref.structures import ReferringDataSample
from mmpartref.visualization.overlay import side_by_side


@VISUALIZERS.register_module()
class PartReferVisualizer(Visualizer):
    """mmengine's visualiser, which also draws a ``ReferringDataSample``."""

    @master_only
    def add_datasample(self, name: str, image: np.ndarray, data_sample: ReferringDataSample, *,
                       truth: np.ndarray | None = None, max_expressions: int = 8, out_file: str | None = None,
                       step: int = 0) -> None:
        """Draw photo, truth and prediction side by side with a legend, for the backends or into a file.

        Args:
            name: what the backends call the picture.
            image: the photo, RGB (h, w, 3) uint8.
            data_sample: with ``expressions``, ``pred_masks`` and ``pred_scores``.
            truth: (K, h, w) bool masks; None leaves the panel out.
            max_expressions: the first so many are drawn.
            out_file: write here instead of to the backends.
            step: the run's step.
        """
        shown = slice(None, max_expressions)
        masks = data_sample.pred_masks[shown].cpu().numpy()
        scores = [float(score) for score in data_sample.pred_scores[shown]]
        picture = side_by_side(image, None if truth is None else truth[shown], masks, data_sample.expressions[shown],
                               scores)
        if out_file is None:
            self.add_image(name, picture, step)
        elif not cv2.imwrite(out_file, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
            raise OSError(f'{out_file} could not be written')

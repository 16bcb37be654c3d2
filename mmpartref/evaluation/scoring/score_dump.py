"""Score a dump of predictions again."""
import sys

from mmengine.utils import ProgressBar

from mmpartref.evaluation.dumps.dump import PredictionDump
from mmpartref.evaluation.scoring.iou_metrics import Row, score_photo
from mmpartref.evaluation.scoring.presence import score_absent

# Dumps of fewer images are scored without a progress bar.
BAR_FROM = 500


def score_dump(dump: PredictionDump) -> list[Row]:
    """Return a row for each expression of a part that is in its image; draws a progress bar on a terminal."""
    bar = None
    if len(dump.photos) >= BAR_FROM and sys.stderr.isatty():
        bar = ProgressBar(len(dump.photos), file=sys.stderr)
    rows = []
    for photo in dump.photos:
        rows += score_photo(photo)
        if bar is not None:
            bar.update()
    return rows


def score_absent_parts(dump: PredictionDump) -> list[Row]:
    """Return a row for each expression of a part that is not in its image."""
    return [row for photo in dump.photos for row in score_absent(photo)]

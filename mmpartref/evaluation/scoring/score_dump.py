"""Score predictions, of one image or of a whole dump."""
from dataclasses import replace

from mmpartref.evaluation.dumps.dump import PredictionDump, check_dump
from mmpartref.evaluation.dumps.predictions import ImagePredictions, Prediction
from mmpartref.evaluation.scoring.iou_metrics import Row
from mmpartref.masks.iou import score_rles
from mmpartref.progress import track

# Dumps of fewer images are scored without a progress bar.
BAR_FROM = 500


def score_image(image: ImagePredictions) -> list[Row]:
    """Return a row for each expression of a part that is in the image."""
    return [_score_prediction(image, each) for each in image.expressions if each.absent is None]


def score_absent(image: ImagePredictions) -> list[Row]:
    """Return a row for each expression of a part that is not in the image."""
    return [_score_prediction(image, each) for each in image.expressions if each.absent is not None]


def score_dump(dump: PredictionDump) -> list[Row]:
    """Return the rows of ``score_image`` for all images, with a progress bar.

    Raises:
        InputTypeError: ``dump`` is of another type, e.g. the path of one.
    """
    check_dump(dump)
    return [row for image in track(dump.images, 'images', min_items=BAR_FROM) for row in score_image(image)]


def score_absent_parts(dump: PredictionDump) -> list[Row]:
    """Return the rows of ``score_absent`` for all images; raises as ``score_dump``."""
    check_dump(dump)
    return [row for image in dump.images for row in score_absent(image)]


def _score_prediction(image: ImagePredictions, each: Prediction) -> Row:
    """Score one expression; an object counts as one annotation, however many parts it has."""
    score = score_rles(each.pred, each.truth)
    if each.level == 'object':
        score = replace(score, per_annotation=(score.overlap, ))
    return Row(image.img_id, each.ref_id, each.expression, each.part, each.super_category, score, each.absent,
               each.presence, each.source, each.level, each.position, each.truncated)

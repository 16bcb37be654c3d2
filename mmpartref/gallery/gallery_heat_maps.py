"""What the heat maps of a dump are: the levels of a probability, a detector's instances, or nothing."""
from collections.abc import Iterable, Sequence
from typing import Any

from mmpartref.evaluation.dumps.dump import PredictionDump
from mmpartref.evaluation.dumps.predictions import Prediction
from mmpartref.gallery.colours import HEAT

HOW = 'write it with tools/test.py CONFIG CHECKPOINT --dump FILE --candidates and make the gallery again.'


def describe_heat(dump: PredictionDump) -> dict[str, Any]:
    """Say how the page draws and explains heat maps.

    Returns:
        ``kind``: 'levels' (every expression has the same scores: nested masks of a probability map), 'instances'
        (a detector's) or 'none'; ``levels``: the scores, lowest first, of the first kind; ``note``: what the colours
        mean; ``missing``: what to say where there is no heat map; ``colours``: from score 0 to score 1.
    """
    predictions = [each for photo in dump.photos for each in photo.expressions]
    lacking = sum(each.candidates is None for each in predictions)
    if lacking == len(predictions):
        return described('none', '', f'No heat map: this dump holds the masks alone; {HOW}')
    missing = f'No heat map: the dump lacks the candidates of {lacking} of {len(predictions)} expressions; {HOW}'
    levels = shared_scores(predictions)
    if 'resolver' in dump.header or len(levels) < 2:
        note = ('Heat map: the highest score of the instances that cover a pixel, among all that the detector returned '
                'for the category of the expression. Grey: no instance.')
        return described('instances', note, missing if lacking else '')
    listed = ', '.join(f'{level:g}' for level in levels)
    note = (f'Heat map: the probability in {len(levels)} steps. A pixel has the colour of the highest of the levels '
            f'{listed} that its probability exceeds. Grey: {levels[0]:g} or less.')
    return described('levels', note, missing if lacking else '', levels)


def described(kind: str, note: str, missing: str, levels: Sequence[float] = ()) -> dict[str, Any]:
    """Put the answers of ``describe_heat`` together."""
    return {'kind': kind, 'note': note, 'missing': missing, 'levels': list(levels), 'colours': HEAT}


def shared_scores(predictions: Iterable[Prediction]) -> list[float]:
    """Return the scores that all expressions with candidates have in common, lowest first; none where they differ."""
    scores = {tuple(sorted(each.score for each in prediction.candidates))
              for prediction in predictions if prediction.candidates is not None}
    return list(scores.pop()) if len(scores) == 1 else []

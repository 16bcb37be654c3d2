import numpy as np
import pytest

from mmpartref.evaluation.dumps.dump import PredictionDump, read_dump
from mmpartref.evaluation.dumps.predictions import Candidate, ImagePredictions, Prediction
from mmpartref.evaluation.scoring.threshold_sweep import best_threshold, dump_at, format_sweep, prediction_at, sweep
from mmpartref.masks.iou import encode_masks


def rle(*columns: int) -> dict:
    mask = np.zeros((4, 6), bool)
    mask[:, list(columns)] = True
    return encode_masks(mask[None])[0]


@pytest.fixture
def dump() -> PredictionDump:
    """Truth is columns 0 and 1; instances of score .9 (column 0), .6 (column 1) and .3 (columns 2 to 5)."""
    candidates = [Candidate(.9, rle(0)), Candidate(.6, rle(1)), Candidate(.3, rle(2, 3, 4, 5))]
    first = Prediction('1', 'car tire', 'tire', 'car', [1], .9, rle(0), [rle(0, 1)], candidates)
    nothing = Prediction('2', 'car body', 'body', 'car', [2], 0., rle(), [rle(5)], [])
    return PredictionDump({'config': 'x.py'}, [ImagePredictions(1, 'a.jpg', (4, 6), [first, nothing])])


@pytest.mark.parametrize(('threshold', 'rule', 'expected', 'score'), [
    (0.95, 'union', (), 0.), (0.9, 'union', (0, ), .9), (0.6, 'union', (0, 1), .9),
    (0.1, 'union', (0, 1, 2, 3, 4, 5), .9), (0.1, 'top1', (0, ), .9)])
def test_cutting_unites_what_reaches_the_threshold(dump, threshold, rule, expected, score):
    found = prediction_at(dump.images[0].expressions[0], threshold, rule)
    assert found.pred == rle(*expected)
    assert found.score == score


def test_the_best_threshold_is_found(dump):
    results = sweep(dump)
    # Both columns from .35 to .6; the other expression is never found.
    assert results[0.6]['mIoU'] == 0.5
    assert results[0.3]['mIoU'] == pytest.approx(1 / 6)
    assert results[0.9]['mIoU'] == 0.25
    assert results[0.95]['mIoU'] == 0.0
    assert best_threshold(results) == 0.35
    shown = format_sweep(results, 0.35)
    assert shown.count('*') == 1
    assert len(shown.splitlines()) == 20
    with pytest.raises(ValueError, match="there is no metric 'IoU'; choose one of mIoU"):
        best_threshold(results, 'IoU')


def test_candidates_survive_the_file_and_a_dump_can_be_cut(dump, tmp_path):
    dump.write(tmp_path / 'dump.json')
    again = read_dump(tmp_path / 'dump.json')
    assert again.images == dump.images
    at = dump_at(again, 0.6)
    assert at.header['threshold'] == 0.6
    at.write(tmp_path / 'cut.json')
    assert read_dump(tmp_path / 'cut.json').images[0].expressions[0].pred == rle(0, 1)


def test_without_candidates_the_error_names_the_option(dump):
    plain = Prediction('1', 'car tire', 'tire', 'car', [1], .9, rle(0), [rle(0, 1)])
    with pytest.raises(ValueError, match='--candidates'):
        prediction_at(plain, 0.5)


def test_damaged_candidates_are_rejected(dump, tmp_path):
    dump.write(tmp_path / 'dump.json')
    text = (tmp_path / 'dump.json').read_text()
    for old, new, message in (('"score": 0.6', '"score": null', 'candidate number 1: score is None'),
                              ('"score": 0.6, ', '', 'wrong keys .missing: score'),
                              ('"candidates": []', '"candidates": 3', 'candidates is 3')):
        (tmp_path / 'broken.json').write_text(text.replace(old, new))
        with pytest.raises(ValueError, match=message):
            read_dump(tmp_path / 'broken.json')

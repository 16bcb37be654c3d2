import csv

import numpy as np
import pytest

from mmpartref.apis import ImageResults
from mmpartref.apis.doubt import Ranking, image_doubt
from mmpartref.apis.results import PartResult
from mmpartref.errors import InputError
from mmpartref.images.read_image import DecodedImage

IMAGE = DecodedImage(np.zeros((1, 10, 3), np.uint8), 'a.jpg')


def results(*heat_maps: list[float]) -> ImageResults:
    """Of an image of one row; masks at 0.4."""
    maps = [np.array([each], dtype=np.float32) for each in heat_maps]
    return ImageResults(IMAGE, [PartResult(IMAGE, f'part {number}', each > 0.4, 0.5, heat_map=each)
                                for number, each in enumerate(maps)])


def test_doubt_by_hand():
    # Above 0.2: five pixels, of which 0.3 and 0.5 are below 0.6. The second part is not found, nor doubtful.
    found = results([0.3, 0.5, 0.9, 0.9, 0.7, 0, 0, 0.2, 0.1, 0], [0.1] * 10)
    doubt = image_doubt(found, 0.4)
    assert (doubt.image, doubt.uncertain, doubt.empty, doubt.disagreement) == ('a.jpg', 0.4 / 2, 0.5, None)
    assert doubt.doubt == pytest.approx((0.2 + 0.5) / 2)
    # Masks of four pixels and of two of these: an IoU of 1/2; both empty: 1.
    other = results([0, 0.5, 0.9, 0, 0, 0, 0, 0, 0, 0], [0.0] * 10)
    assert image_doubt(found, 0.4, other).disagreement == 0.25
    assert image_doubt(found, 0.4, other).doubt == pytest.approx((0.2 + 0.5 + 0.25) / 3)


def test_a_sure_image_has_none():
    assert image_doubt(results([0.95] * 5 + [0.01] * 5), 0.4).doubt == 0


def test_what_cannot_be_ranked_is_named():
    with pytest.raises(InputError, match='has no doubt; predict at least one'):
        image_doubt(ImageResults(IMAGE), 0.4)
    with pytest.raises(InputError, match='there are 1 expressions but 2 in other words'):
        image_doubt(results([0.5] * 10), 0.4, results([0.5] * 10, [0.5] * 10))
    with pytest.raises(InputError, match='has no heat map'):
        image_doubt(ImageResults(IMAGE, [PartResult(IMAGE, 'x', np.zeros((1, 10), bool), 0)]), 0.4)


def test_a_ranking_begins_with_the_most_doubtful(inferencer, image, tmp_path):
    ranking = Ranking(inferencer, ['car body'], 'a photo of the {}')
    for name in ('a', 'b'):
        ranking.add(name, inferencer(image, ['car body'], heat_map=True))
    ranking.add('c', inferencer(np.roll(image, 9, axis=1), ['car body'], heat_map=True))
    ranked = ranking.write(tmp_path / 'rank.csv')
    doubts = [each.doubt for each in ranked]
    assert doubts == sorted(doubts, reverse=True)
    # Of equals the names decide.
    assert [each.image for each in ranked if each.image != 'c'] == ['a', 'b']
    rows = list(csv.DictReader((tmp_path / 'rank.csv').open()))
    assert [row['image'] for row in rows] == [each.image for each in ranked]
    assert all(0 <= float(row[key]) <= 1 for row in rows for key in ('doubt', 'uncertain', 'empty', 'disagreement'))

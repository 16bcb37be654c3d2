import copy
import io
import pickle

import numpy as np
import pytest
from PIL import Image

from mmpartref.apis import DecodedImage, ImageResults, PartResult
from mmpartref.errors import MMPartRefError
from mmpartref.visualization.overlay import distinct_colour, draw_heat_map

WHITE = np.full((60, 90, 3), 255, dtype=np.uint8)


@pytest.fixture
def results() -> ImageResults:
    """A mask in the middle, and an empty one, on a white image."""
    image = DecodedImage(WHITE, 'white.png')
    mask = np.zeros((60, 90), dtype=bool)
    mask[20:40, 30:60] = True
    heat = np.linspace(0, 1, 90, dtype=np.float32)[None].repeat(60, axis=0)
    return ImageResults(image, [PartResult(image, 'car body', mask, 0.5, heat_map=heat, presence=0.75),
                                PartResult(image, 'car tire', ~mask & mask, 0.0)])


def test_a_result_is_a_dict_and_has_attributes(results):
    body, tire = results
    assert list(body) == ['expression', 'mask', 'score', 'heat_map']
    assert list(tire) == ['expression', 'mask', 'score']
    assert (body.expression, body.score, body.presence, body.size) == ('car body', 0.5, 0.75, (60, 90))
    assert body.mask is body['mask']
    assert body.heat_map is body['heat_map']
    assert {**tire}['expression'] == 'car tire'
    assert tire.presence is None
    assert results.size == (60, 90)
    assert repr(results) == ("[PartResult('car body', score 50.00, 11.1% of 90 x 60 pixels), "
                             "PartResult('car tire', score 0.00, 0.0% of 90 x 60 pixels)]")


def test_results_survive_another_process(results):
    again = pickle.loads(pickle.dumps(results))
    assert np.array_equal(again[0].mask, results[0].mask)
    assert again[0].presence == 0.75
    assert again.image.name == 'white.png'


def test_overlays_show_each_mask_in_its_colour(results):
    drawn = np.array(results.overlay()).astype(int)
    assert drawn.shape == (60, 90, 3)
    blended = 255 + 0.45 * (np.array(distinct_colour(0)) - 255)
    assert (np.abs(drawn - blended).max(axis=2) < 2).sum() > 100
    assert (drawn[:2, -20:] == 255).all()
    alone = np.array(results[0].overlay())
    assert not np.array_equal(alone, drawn)  # the empty mask's label is missing
    assert np.array_equal(WHITE, results.image.pixels)


def test_pictures_for_notebooks_are_small(results):
    for each in (results, results[0]):
        assert Image.open(io.BytesIO(each._repr_png_())).size == (90, 60)
    large = DecodedImage(np.repeat(np.repeat(WHITE, 20, axis=0), 20, axis=1), 'large.png')
    mask = np.zeros((1200, 1800), dtype=bool)
    mask[:, :900] = True
    result = PartResult(large, 'half', mask, 0.5, heat_map=mask.astype(np.float32))
    shown = Image.open(io.BytesIO(ImageResults(large, [result])._repr_png_()))
    assert shown.size == (1024, 683)
    # The left half is coloured, the right one is not.
    assert (np.array(shown)[300, [100, 900]].min(axis=1) < 255).tolist() == [True, False]
    assert result.heat_overlay(90).size == (90, 60)
    assert result.overlay().size == (1800, 1200)


def test_no_results_are_the_image():
    assert np.array_equal(np.array(ImageResults(DecodedImage(WHITE, 'x')).overlay()), WHITE)


def test_heat_maps_go_from_dark_to_yellow(results):
    drawn = np.array(results[0].heat_overlay()).astype(int)
    assert drawn.shape == (60, 90, 3)
    low, high = drawn[30, 0], drawn[30, -1]
    assert low[2] > low[1]
    assert high[0] > 200 > high[2]
    assert np.array_equal(drawn, draw_heat_map(WHITE, results[0].heat_map))
    with pytest.raises(ValueError, match=r'the heat map is \(2, 3\) but the image is \(60, 90\)'):
        draw_heat_map(WHITE, np.zeros((2, 3), np.float32))


def test_slices_and_copies_keep_their_type_and_image(results):
    for part in (results[:1], results[::-1], results[5:], results.copy(), copy.copy(results)):
        assert type(part) is ImageResults
        assert part.image is results.image
        part.overlay()
    assert [each.expression for each in results[::-1]] == ['car tire', 'car body']
    assert results[np.int64(-1)] is results[-1]
    body = results[0].copy()
    assert type(body) is PartResult
    assert (body.image, body.presence) == (results.image, 0.75)
    assert body.mask is results[0].mask
    body['score'] = 0.0
    assert results[0].score == 0.5


@pytest.mark.parametrize('side', [0, -1, 1.5, True, '90', float('nan'), [90], np.arange(2)])
def test_a_side_that_is_no_positive_integer_is_one_sentence(results, side):
    for draw in (results.overlay, results[0].overlay, results[0].heat_overlay):
        with pytest.raises(MMPartRefError, match=r'^max_side='):
            draw(side)


def test_a_side_may_be_of_numpy(results):
    for draw in (results.overlay, results[0].overlay, results[0].heat_overlay):
        assert draw(np.int64(30)).size == draw(30).size == (30, 20)

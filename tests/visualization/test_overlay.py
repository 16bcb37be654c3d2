import random
import time

import numpy as np
import pytest

from mmpartref.errors import MMPartRefError
from mmpartref.visualization.fonts import printable
from mmpartref.visualization.labels import LabelBoxes, fit_text, text_width
from mmpartref.visualization.overlay import distinct_colour, draw_heat_map, draw_overlay, side_by_side


def disc(shape: tuple[int, int], x: int, y: int, radius: int) -> np.ndarray:
    rows, columns = np.ogrid[:shape[0], :shape[1]]
    return (columns - x)**2 + (rows - y)**2 <= radius**2


@pytest.fixture
def image() -> np.ndarray:
    return np.full((120, 160, 3), 100, dtype=np.uint8)


def test_a_mask_is_tinted_with_its_colour_and_the_image_left_alone(image):
    masks = np.stack([disc((120, 160), 40, 60, 20), disc((120, 160), 120, 60, 20)])
    before = image.copy()
    drawn = draw_overlay(image, masks)
    assert np.array_equal(image, before)
    assert drawn.shape == image.shape
    assert drawn.dtype == np.uint8
    for number, x in ((0, 40), (1, 120)):
        expected = 100 + 0.45 * (np.array(distinct_colour(number)) - 100)
        assert np.abs(drawn[60, x] - expected).max() <= 1
    assert np.array_equal(drawn[5, 80], image[5, 80])


def test_a_small_mask_shows_on_top_of_a_large_one(image):
    masks = np.stack([disc((120, 160), 80, 60, 10), disc((120, 160), 80, 60, 50)])
    for order in ([0, 1], [1, 0]):
        drawn = draw_overlay(image, masks[order], alpha=1.0)
        assert tuple(drawn[60, 80]) == distinct_colour(order.index(0))


@pytest.mark.parametrize('shape', [(120, 160), (24, 18), (700, 40)])
def test_labels_of_any_length_are_drawn_inside_images_of_any_shape(shape):
    image = np.zeros((*shape, 3), dtype=np.uint8)
    masks = np.stack([disc(shape, 0, 0, 8), disc(shape, shape[1] - 1, shape[0] - 1, 8), np.zeros(shape, bool)])
    labels = ['the left foot of the biped standing behind the fence', 'räd', '']
    drawn = draw_overlay(image, masks, labels, [0.5, 0.25, 0.0])
    assert drawn.shape == image.shape
    assert (drawn != draw_overlay(image, masks)).any()


def test_scores_may_be_an_array(image):
    masks = np.stack([disc((120, 160), 40, 60, 20)])
    from_list = draw_overlay(image, masks, ['car tire'], [0.5])
    assert np.array_equal(draw_overlay(image, masks, ['car tire'], np.array([0.5])), from_list)


def test_scores_are_drawn_in_percent(image):
    masks = np.stack([disc((120, 160), 40, 60, 20)])
    assert np.array_equal(draw_overlay(image, masks, ['tire'], [0.6022]), draw_overlay(image, masks, ['tire 60.22']))
    with_score = side_by_side(image, masks, masks, ['tire'], [0.6022])
    assert np.array_equal(with_score, side_by_side(image, masks, masks, ['tire  score 60.22']))


def test_labels_of_neighbouring_parts_do_not_cover_each_other(image):
    masks = np.stack([disc((120, 160), 70, 60, 6), disc((120, 160), 84, 60, 6)])
    boxes = LabelBoxes(masks)
    boxes.draw(image, masks[0], 'car tire', distinct_colour(0))
    one = int(boxes.labelled.sum())
    boxes.draw(image, masks[1], 'car tire', distinct_colour(1))
    assert boxes.labelled.sum() == 2 * one > 0


def test_annotation_and_prediction_are_side_by_side(image):
    masks = np.stack([disc((120, 160), 40, 60, 20)])
    both = side_by_side(image, masks, masks, ['car tire'], [0.5])
    one = side_by_side(image, None, masks, ['car tire'], [0.5])
    assert both.dtype == np.uint8
    assert both.shape[1] > one.shape[1] > image.shape[1]


def test_incompatible_settings_are_rejected(image):
    masks = np.zeros((2, 120, 160), dtype=bool)
    with pytest.raises(ValueError, match='got 2 masks, 1 labels'):
        draw_overlay(image, masks, ['car'])
    with pytest.raises(ValueError, match=r'0 labels and 2 scores; .* scores only with labels'):
        draw_overlay(image, masks, scores=[0.5, 0.5])
    with pytest.raises(ValueError, match=r'must be \(K, 120, 160\) bool'):
        draw_overlay(image, masks[:, :50])
    with pytest.raises(ValueError, match=r'must be \(K, 120, 160\) bool'):
        draw_overlay(image, masks.astype(np.uint8))
    with pytest.raises(ValueError, match=r'RGB \(h, w, 3\) uint8'):
        draw_overlay(image[:, :, 0], masks)


def fit_letter_by_letter(text: str, height: int, max_width: int) -> tuple[str, int]:
    """What ``fit_text`` returns, by trying every length."""
    fitted = text = printable(text)
    while (width := text_width(fitted, height)) > max_width and fitted:
        text = text[:-1]
        fitted = f'{text}..' if text else ''
    return fitted, width


def test_a_text_is_fitted_as_by_trying_every_length():
    draw = random.Random(3)
    for _ in range(500):
        text = ''.join(draw.choice('abcil.WM fj?é') for _ in range(draw.randint(0, 90)))
        height, width = draw.randint(8, 40), draw.randint(-5, 900)
        assert fit_text(text, height, width) == fit_letter_by_letter(text, height, width)


@pytest.mark.parametrize('text', ['wheel ' * 6000, 'x' * 10**6, '\n' * 32_000, '犬' * 32_000],
                         ids=['words', 'letters', 'lines', 'others'])
def test_a_label_of_many_letters_is_drawn_at_once(image, text):
    start = time.process_time()
    drawn = draw_overlay(image, np.stack([disc((120, 160), 80, 60, 10)]), [text], [0.5])
    side_by_side(image, None, np.stack([disc((120, 160), 80, 60, 10)]), [text])
    assert time.process_time() - start < 5
    assert drawn.shape == image.shape


def test_control_characters_of_a_label_are_shown():
    """A font draws boxes for them, and begins a line at the second."""
    assert fit_text('a\0b\nc\x1b', 20, 900)[0] == r'a\x00b\nc\x1b'


@pytest.mark.parametrize(('arguments', 'message'), [
    ({'image': [[1]]}, 'image should be an array, got a list'), ({'masks': None}, 'masks should be an array'),
    ({'labels': 'one'}, "labels='one' should be a list of strings"), ({'labels': [1]}, r'labels\[0\] is 1'),
    ({'labels': ['one'], 'scores': 0.5}, 'scores=0.5 should be a list of numbers'),
    ({'alpha': 2}, 'alpha=2 must be from 0 to 1'), ({'alpha': None}, 'alpha=None should be a number'),
])
def test_wrong_arguments_raise_one_sentence(arguments, message, image):
    masks = np.ones((1, *image.shape[:2]), dtype=bool)
    with pytest.raises(MMPartRefError, match=message):
        draw_overlay(**{'image': image, 'masks': masks, **arguments})


@pytest.mark.parametrize(('arguments', 'message'), [
    ({'image': 5}, 'image should be an array, got a int'), ({'heat': [[0.5]]}, 'heat should be an array, got a list'),
    ({'alpha': 'a'}, "alpha='a' should be a number from 0 to 1"),
])
def test_wrong_arguments_of_a_heat_map_raise_one_sentence(arguments, message, image):
    with pytest.raises(MMPartRefError, match=message):
        draw_heat_map(**{'image': image, 'heat': np.zeros(image.shape[:2], np.float32), **arguments})


def test_labels_may_be_a_tuple_and_scores_an_array(image):
    masks = np.ones((1, *image.shape[:2]), dtype=bool)
    drawn = draw_overlay(image, masks, ('one', ), np.array([0.5]), alpha=np.float32(0.5))
    assert np.array_equal(drawn, draw_overlay(image, masks, ['one'], [0.5], alpha=0.5))

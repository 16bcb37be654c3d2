"""Random transforms keep image, masks and words together, and draw alike in every process."""
import copy
from typing import Any

import numpy as np
import pytest
from mmcv.transforms import BaseTransform

from mmpartref.datasets.transforms import RandomColour, RandomPartFlip, RandomPartZoom
from mmpartref.datasets.transforms.random_colour import shift_hue
from mmpartref.datasets.transforms.random_part_flip import exchange_sides
from mmpartref.errors import InputError

SIZE = (40, 60)


def sample(img_id: int = 3, expressions: tuple[str, ...] = ('left wheel', 'mirror', 'absent')) -> dict[str, Any]:
    """An image whose blue channel is 200 in the first part and 100 in the second; the third part is absent."""
    rng = np.random.default_rng(0)
    image = np.zeros((*SIZE, 3), np.uint8)
    image[..., 0] = rng.integers(0, 255, SIZE)
    masks = np.zeros((3, *SIZE), np.uint8)
    masks[0, 5:15, 4:20] = 255
    masks[1, 25:38, 40:57] = 255
    image[..., 2][masks[0] > 0], image[..., 2][masks[1] > 0] = 200, 100
    return {'img': image, 'img_id': img_id, 'gt_masks': masks, 'expressions': list(expressions),
            'refs': [{'ref_id': number} for number in range(3)]}


@pytest.mark.parametrize(('text', 'expected'), [
    ('the left wheel', 'the right wheel'), ('Right Front Door', 'Left Front Door'), ('LEFT', 'RIGHT'),
    ('leftmost leg, right of the tail', 'rightmost leg, left of the tail'), ('right-hand mirror', 'left-hand mirror'),
    ('the upright seat', 'the upright seat'), ('tail', 'tail'), ("driver's door", None),
    ('passenger side mirror', None), ('a right-angled joint', None), ('counterclockwise arrow', None),
    ('the eastern wing', None),
    ('left_mirror', 'right_mirror'), ('cup right next to the plate', None), ('leftward arrow', None),
    ("the hand at 3 o'clock", None), ('bottomleft leg', None), ('bright light', 'bright light')])
def test_left_and_right_are_exchanged(text: str, expected: str | None) -> None:
    assert exchange_sides(text) == expected
    if expected is not None:
        assert exchange_sides(expected) == text


def test_a_flip_moves_masks_and_words_with_the_image() -> None:
    before = sample()
    after = RandomPartFlip(prob=1.0)(copy.deepcopy(before))
    assert np.array_equal(after['img'], before['img'][:, ::-1])
    assert np.array_equal(after['gt_masks'], before['gt_masks'][:, :, ::-1])
    assert after['expressions'] == ['right wheel', 'mirror', 'absent']
    assert (after['flip'], after['flip_direction']) == (True, 'horizontal')
    again = RandomPartFlip(prob=1.0)(after)
    assert np.array_equal(again['img'], before['img'])
    assert again['expressions'] == before['expressions']


def test_what_cannot_be_exchanged_is_dropped_and_nothing_is_flipped_without_others() -> None:
    after = RandomPartFlip(prob=1.0)(sample(expressions=('left wheel', "the driver's door", 'tail')))
    assert after['expressions'] == ['right wheel', 'tail']
    assert [ref['ref_id'] for ref in after['refs']] == [0, 2]
    assert after['gt_masks'].shape == (2, *SIZE)
    before = sample(expressions=('the nearside wheel', "the driver's door", 'eastern wing'))
    after = RandomPartFlip(prob=1.0)(copy.deepcopy(before))
    assert 'flip' not in after
    assert np.array_equal(after['img'], before['img'])
    assert after['expressions'] == before['expressions']


def test_a_flip_exchanges_the_labels_of_the_image() -> None:
    presence = {'left wheel': True, 'right wheel': False, 'left ear': True, 'tail': False}
    after = RandomPartFlip(prob=1.0)({**sample(), 'part_presence': presence})
    assert after['part_presence'] == {'left wheel': False, 'right wheel': True, 'tail': False}


@pytest.mark.parametrize('epoch', range(20))
def test_a_crop_holds_a_whole_part_and_clips_or_drops_the_others(epoch: int) -> None:
    before, zoom = sample(), RandomPartZoom(scale=(1.2, 4), prob=1.0, min_visible=0.5)
    zoom.set_epoch(epoch)
    after = zoom(copy.deepcopy(before))
    height, width = after['img'].shape[:2]
    assert height <= SIZE[0]
    assert width <= SIZE[1]
    assert height * width < SIZE[0] * SIZE[1]
    assert after['gt_masks'].shape == (len(after['expressions']), height, width)
    whole = {0: 160, 1: 221}
    shares = {}
    for ref, mask, text in zip(after['refs'], after['gt_masks'], after['expressions'], strict=True):
        number = ref['ref_id']
        assert text == before['expressions'][number]
        if number < 2:
            shares[number] = np.count_nonzero(mask) / whole[number]
            # The mask is where its part is.
            assert np.array_equal(mask > 0, after['img'][..., 2] == (200, 100)[number])
        else:
            assert not mask.any()
    assert 2 in [ref['ref_id'] for ref in after['refs']]
    assert max(shares.values()) == 1
    assert min(shares.values()) >= 0.5
    for number in {0, 1} - shares.keys():
        assert np.count_nonzero(after['img'][..., 2] == (200, 100)[number]) < 0.5 * whole[number]


def test_zooming_out_puts_the_image_on_a_canvas() -> None:
    before = sample()
    after = RandomPartZoom(scale=(0.5, 0.5), prob=1.0, fill=(10, 20, 30))(copy.deepcopy(before))
    assert after['img'].shape == (80, 120, 3)
    place = np.argwhere((after['img'] != (10, 20, 30)).any(axis=2))[[0, -1]]
    top, left = place.min(axis=0)
    assert np.array_equal(after['img'][top:top + 40, left:left + 60], before['img'])
    assert np.array_equal(after['gt_masks'][:, top:top + 40, left:left + 60], before['gt_masks'])
    assert np.count_nonzero(after['gt_masks']) == np.count_nonzero(before['gt_masks'])
    assert after['expressions'] == before['expressions']


def test_an_image_without_visible_parts_is_cropped_anywhere() -> None:
    before = sample()
    before['gt_masks'][:] = 0
    after = RandomPartZoom(scale=(2, 2), prob=1.0)(before)
    assert after['img'].shape == (20, 30, 3)
    assert len(after['expressions']) == 3


def test_colours_change_and_nothing_else() -> None:
    before = sample()
    after = RandomColour(prob=1.0)(copy.deepcopy(before))
    assert after['img'].dtype == np.uint8
    assert not np.array_equal(after['img'], before['img'])
    assert np.array_equal(after['gt_masks'], before['gt_masks'])
    same = RandomColour(0, 0, 0, 0, prob=1.0)(copy.deepcopy(before))
    assert np.abs(same['img'].astype(int) - before['img']).max() <= 1


def test_a_hue_is_turned_both_ways() -> None:
    red = np.full((2, 2, 3), (255, 0, 0), np.uint8)
    for shift, colour in ((1 / 3, (0, 255, 0)), (-1 / 3, (0, 0, 255))):
        assert np.abs(shift_hue(red, shift).astype(int) - colour).max() <= 8


TRANSFORMS = [RandomPartFlip(), RandomPartZoom(), RandomColour()]


@pytest.mark.parametrize('transform', TRANSFORMS, ids=lambda each: type(each).__name__)
def test_draws_depend_on_seed_epoch_and_image_alone(transform: BaseTransform) -> None:
    def drawn(each: BaseTransform, img_id: int = 3) -> bytes:
        return each(sample(img_id))['img'].tobytes()

    for epoch in range(4):
        transform.set_epoch(epoch)
        assert len({drawn(transform), drawn(transform), drawn(copy.deepcopy(transform))}) == 1
    transform.set_epoch(0)
    by_image = [drawn(transform, img_id) for img_id in range(12)]
    by_epoch = set()
    for epoch in range(12):
        transform.set_epoch(epoch)
        by_epoch.add(drawn(transform))
    other = type(transform)(seed=1)
    by_seed = [drawn(other, img_id) for img_id in range(12)]
    assert len(set(by_image)) > 1
    assert len(by_epoch) > 1
    assert by_seed != by_image


@pytest.mark.parametrize(('make', 'message'), [
    (lambda: RandomPartFlip(prob=2), 'prob=2 must be from 0 to 1'), (lambda: RandomPartFlip(seed='x'), 'seed='),
    (lambda: RandomPartZoom(scale=(2, 1)), 'smallest, greatest'),
    (lambda: RandomPartZoom(scale=(0, 1)), r'scale\[0\]=0'),
    (lambda: RandomPartZoom(min_visible=-1), 'min_visible=-1'), (lambda: RandomColour(hue=0.6), 'hue=0.6'),
    (lambda: RandomPartZoom(prob=1)({**sample(), 'part_presence': {}}), 'cannot be used with image labels'),
    (lambda: RandomPartFlip(prob=1)({'img': 0, 'img_id': 1}), 'RandomPartFlip needs masks; put LoadReferringMasks'),
    (lambda: RandomColour(prob=1)({'img_id': 1}), 'RandomColour needs an image; put LoadImage')])
def test_wrong_settings_and_pipelines(make: Any, message: str) -> None:
    with pytest.raises((InputError, TypeError), match=message):
        make()

"""A detector's flip and zoom keep image, masks, boxes and categories together."""
import copy
from typing import Any

import numpy as np
import pytest
import torch

from mmpartref.datasets.transforms import (
    RandomDetectorFlip,
    RandomDetectorZoom,
    RandomPartZoom,
)
from mmpartref.errors import InputError

CATEGORIES = ('left wheel', 'right wheel', 'mirror', "driver's door", 'left ear')
pytestmark = pytest.mark.full_mmcv


def sample(labels: tuple[int, ...] = (0, 2), img_id: int = 3) -> dict[str, Any]:
    """An image as mmdet loads it, whose blue channel is 200 in the first instance and 100 in the second."""
    from mmdet.structures.bbox import HorizontalBoxes
    from mmdet.structures.mask import BitmapMasks
    masks = np.zeros((2, 40, 60), np.uint8)
    masks[0, 5:15, 4:20], masks[1, 25:38, 40:57] = 1, 1
    image = np.zeros((40, 60, 3), np.uint8)
    image[..., 0] = np.random.default_rng(0).integers(0, 255, (40, 60))
    image[..., 2] = 200 * masks[0] + 100 * masks[1]
    return {'img': image, 'img_id': img_id, 'img_shape': (40, 60), 'gt_masks': BitmapMasks(masks, 40, 60),
            'gt_bboxes': HorizontalBoxes(torch.tensor([[4.0, 5, 20, 15], [40, 25, 57, 38]])),
            'gt_bboxes_labels': np.array(labels), 'gt_ignore_flags': np.array([False, True])}


def check(results: dict, values: list[int]) -> None:
    """Check that boxes and masks are where the instances with these blue values are."""
    for box, mask, value in zip(results['gt_bboxes'].tensor.tolist(), results['gt_masks'].masks, values, strict=True):
        rows, columns = np.nonzero(results['img'][..., 2] == value)
        assert np.array_equal(mask > 0, results['img'][..., 2] == value)
        assert box == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_a_flip_exchanges_categories() -> None:
    before = sample()
    after = RandomDetectorFlip(prob=1.0, categories=CATEGORIES)(copy.deepcopy(before))
    assert np.array_equal(after['img'], before['img'][:, ::-1])
    assert after['gt_bboxes_labels'].tolist() == [1, 2]
    check(after, [200, 100])
    again = RandomDetectorFlip(prob=1.0, categories=CATEGORIES)(after)
    assert again['gt_bboxes_labels'].tolist() == [0, 2]
    assert torch.equal(again['gt_bboxes'].tensor, before['gt_bboxes'].tensor)


def test_instances_without_a_counterpart_are_dropped() -> None:
    after = RandomDetectorFlip(prob=1.0, categories=CATEGORIES)(sample((3, 0)))
    assert after['gt_bboxes_labels'].tolist() == [1]
    assert after['gt_ignore_flags'].tolist() == [True]
    check(after, [100])
    before = sample((3, 4))
    after = RandomDetectorFlip(prob=1.0, categories=CATEGORIES)(copy.deepcopy(before))
    assert np.array_equal(after['img'], before['img'])
    assert after['gt_bboxes_labels'].tolist() == [3, 4]


@pytest.mark.parametrize('epoch', range(12))
@pytest.mark.parametrize('scale', [(1.2, 4), (0.4, 0.9)])
def test_a_zoom_is_that_of_the_expressions_form(scale: tuple[float, float], epoch: int) -> None:
    before = sample()
    settings = {'scale': scale, 'prob': 1.0, 'fill': (1, 2, 3)}
    zoom, other = RandomDetectorZoom(**settings), RandomPartZoom(**settings)
    for each in (zoom, other):
        each.set_epoch(epoch)
    # The draws have the name of the class.
    other.generator = zoom.generator
    after = zoom(copy.deepcopy(before))
    expected = other({'img': before['img'], 'img_id': 3, 'gt_masks': before['gt_masks'].masks * 255,
                      'refs': [200, 100], 'expressions': ['a', 'b']})
    assert np.array_equal(after['img'], expected['img'])
    assert np.array_equal(after['gt_masks'].masks * 255, expected['gt_masks'])
    check(after, expected['refs'])
    assert after['img_shape'] == after['img'].shape[:2] == (after['gt_masks'].height, after['gt_masks'].width)
    assert len(after['gt_bboxes_labels']) == len(after['gt_ignore_flags']) == len(expected['refs'])


def test_what_they_need() -> None:
    from mmdet.structures.mask import PolygonMasks
    with pytest.raises(InputError, match='RandomDetectorFlip has no categories'):
        RandomDetectorFlip(prob=1.0)(sample())
    polygons = {**sample(), 'gt_masks': PolygonMasks([[np.array([0.0, 0, 5, 0, 5, 5])]] * 2, 40, 60)}
    with pytest.raises(InputError, match='needs masks of pixels; set poly2mask=True'):
        RandomDetectorZoom(prob=1.0)(polygons)

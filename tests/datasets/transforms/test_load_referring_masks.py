import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmpartref.datasets.transforms import LoadReferringMasks


def rectangle(top: int, bottom: int) -> np.ndarray:
    mask = np.zeros((8, 10), np.uint8)
    mask[top:bottom, 2:5] = 1
    return mask


def encode(mask: np.ndarray) -> dict:
    return coco_mask.encode(np.asfortranarray(mask))


def test_one_mask_per_ref_uniting_its_annotations() -> None:
    upper, lower, overlapping = rectangle(0, 2), rectangle(4, 6), rectangle(1, 3)
    refs = [{'rles': [encode(upper), encode(lower), encode(overlapping)]}, {'rles': [encode(lower)]}]
    masks = LoadReferringMasks()({'refs': refs, 'img_path': 'x'})['gt_masks']
    assert masks.dtype == np.uint8
    np.testing.assert_array_equal(masks, 255 * np.stack([upper | lower | overlapping, lower]))


def test_a_resized_image_is_rejected() -> None:
    results = {'refs': [{'rles': [encode(rectangle(0, 2))]}], 'img_path': 'x.jpg', 'img': np.zeros((32, 32, 3))}
    with pytest.raises(ValueError, match=r'x\.jpg.*before Letterbox'):
        LoadReferringMasks()(results)


def test_refs_without_annotations_have_empty_masks_of_the_image_size() -> None:
    absent = {'rles': []}
    masks = LoadReferringMasks()({'refs': [absent, {'rles': [encode(rectangle(0, 2))]}], 'img_path': 'x'})['gt_masks']
    np.testing.assert_array_equal(masks, 255 * np.stack([np.zeros_like(rectangle(0, 2)), rectangle(0, 2)]))
    alone = LoadReferringMasks()({'refs': [absent], 'img_path': 'x', 'height': 8, 'width': 10})['gt_masks']
    assert alone.shape == (1, 8, 10)
    assert not alone.any()
    with pytest.raises(ValueError, match='none of these refs has an annotation'):
        LoadReferringMasks()({'refs': [absent], 'img_path': 'x'})

"""The union of RLEs is that of the decoded masks."""
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmpartref.evaluation.dumps.predictions import as_text
from mmpartref.masks.rle import empty, union


@pytest.mark.parametrize('number', range(4))
@pytest.mark.parametrize('text', [False, True])
def test_a_union_is_any_of_the_masks(number, text):
    masks = np.random.default_rng(number).random((number, 7, 11)) < 0.3
    rles = [coco_mask.encode(np.asfortranarray(mask, np.uint8)) for mask in masks]
    found = union([as_text(rle) for rle in rles] if text else rles, (7, 11))
    assert found['size'] == [7, 11]
    assert np.array_equal(coco_mask.decode(found), masks.any(axis=0))


@pytest.mark.parametrize('size', [(3, 5), [3, 5], tuple(np.array([3, 5]))])
def test_an_empty_mask_is_as_pycocotools_encodes_it(size):
    assert empty(size) == coco_mask.encode(np.zeros((3, 5), np.uint8, order='F'))

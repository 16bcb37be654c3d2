from typing import Any

import numpy as np
import pytest
import torch

from mmpartref.datasets.transforms import PackReferringInputs
from mmpartref.structures import ReferringDataSample


@pytest.fixture
def results() -> dict[str, Any]:
    refs = [{'ref_id': f'4:{i}', 'expressions': [f'first {i}', f'second {i}']} for i in range(2)]
    img = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    return {'img': img, 'img_id': 4, 'img_path': 'a.jpg', 'ori_shape': (8, 12), 'img_shape': (4, 6),
            'letterbox_matrix': np.array([[0.5, 0, 0], [0, 0.5, 0]]), 'refs': refs, 'height': 8, 'width': 12,
            'gt_masks': np.zeros((2, 4, 6), np.uint8)}


def test_packs_tensor_and_sample(results: dict) -> None:
    packed = PackReferringInputs()(results)
    assert packed.keys() == {'inputs', 'data_samples'}
    assert packed['inputs'].dtype == torch.uint8
    assert torch.equal(packed['inputs'], torch.from_numpy(results['img']).permute(2, 0, 1))
    sample = packed['data_samples']
    assert isinstance(sample, ReferringDataSample)
    assert set(sample.metainfo_keys()) == {'img_id', 'img_path', 'ori_shape', 'img_shape', 'pad_shape',
                                           'letterbox_matrix'}
    assert sample.pad_shape == (4, 6)
    assert sample.expressions == ['first 0', 'first 1']
    assert sample.refs == results['refs']
    assert sample.gt_masks.shape == (2, 4, 6)


def test_sampled_expressions_are_used(results: dict) -> None:
    results['expressions'] = ['x', 'y']
    assert PackReferringInputs()(results)['data_samples'].expressions == ['x', 'y']


def test_refs_are_optional() -> None:
    packed = PackReferringInputs()({'img': np.zeros((4, 6, 3), np.uint8), 'expressions': ['dog head']})
    sample = packed['data_samples']
    assert 'refs' not in sample
    assert 'gt_masks' not in sample
    assert sample.ori_shape == sample.img_shape == (4, 6)
    np.testing.assert_array_equal(sample.letterbox_matrix, [[1, 0, 0], [0, 1, 0]])


def test_no_expression_is_rejected() -> None:
    with pytest.raises(ValueError, match=r'b\.jpg has no expression'):
        PackReferringInputs()({'img': np.zeros((4, 6, 3), np.uint8), 'img_path': 'b.jpg'})


@pytest.mark.parametrize('key', ['refs', 'gt_masks'])
def test_differing_numbers_are_rejected(key: str, results: dict) -> None:
    results['expressions'] = ['x', 'y']
    results[key] = results[key][:1]
    with pytest.raises(ValueError, match=f'2 expressions but 1 {key}'):
        PackReferringInputs()(results)

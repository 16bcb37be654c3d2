import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmpartref.apis import PartReferInferencer


@pytest.fixture
def config(tiny_model_cfg) -> Config:
    pipeline = [dict(type='LoadImage'), dict(type='Letterbox', size=64), dict(type='PackReferringInputs')]
    return Config(dict(model=tiny_model_cfg, test_dataloader=dict(dataset=dict(pipeline=pipeline))))


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)


def test_masks_come_at_the_photos_size_in_the_order_asked(config, photo):
    results = PartReferInferencer(config, device='cpu')(photo, ['car tire', 'bird head'])
    assert [result['expression'] for result in results] == ['car tire', 'bird head']
    for result in results:
        assert result['mask'].shape == (50, 70)
        assert result['mask'].dtype == bool
        assert 0 <= result['score'] <= 1


def test_a_file_gives_what_its_array_gives(config, photo, tmp_path):
    file = tmp_path / 'photo.png'
    cv2.imwrite(str(file), photo[:, :, ::-1])
    inferencer = PartReferInferencer(config)
    from_file, from_array = inferencer(file, 'car tire'), inferencer(photo, 'car tire')
    assert np.array_equal(from_file[0]['mask'], from_array[0]['mask'])
    assert from_file[0]['score'] == from_array[0]['score']


def test_weights_come_from_the_checkpoint(config, photo, tmp_path):
    first = PartReferInferencer(config)
    torch.save({'state_dict': first.model.state_dict()}, tmp_path / 'weights.pth')
    second = PartReferInferencer(config, tmp_path / 'weights.pth')
    assert first(photo, 'car tire')[0]['score'] == second(photo, 'car tire')[0]['score']
    torch.save({'state_dict': {'backbone.conv1.weight': torch.zeros(1)}}, tmp_path / 'other.pth')
    with pytest.raises(RuntimeError, match=r'size mismatch|Missing'):
        PartReferInferencer(config, tmp_path / 'other.pth')


def test_bad_calls_are_told(config, photo, tmp_path):
    with pytest.raises(FileNotFoundError, match='there is no checkpoint'):
        PartReferInferencer(config, tmp_path / 'none.pth')
    with pytest.raises(FileNotFoundError, match='there is no config'):
        PartReferInferencer(tmp_path / 'none.py')
    inferencer = PartReferInferencer(config)
    for expressions in ([], '', ['car', ' ']):
        with pytest.raises(ValueError, match='at least one expression, and none empty'):
            inferencer(photo, expressions)
    with pytest.raises(ValueError, match=r'RGB \(h, w, 3\) uint8'):
        inferencer(photo[:, :, 0], 'car')
